"""What a server sends, as it comes from the connection: into memory of ours, and not too slowly."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import urllib3

from oms_gate.limits import Limits


class TooSlowError(urllib3.exceptions.HTTPError):
    """A server answers, but with less than `limits.minimum_bytes_per_second`."""

    def __init__(self, speed: float, limits: Limits) -> None:
        super().__init__(
            f"arrives at {speed:.0f} bytes per second, less than the limit "
            f"'minimum_bytes_per_second' of {limits.minimum_bytes_per_second}"
        )


class Received(http.client.HTTPResponse):
    """An answer, from its first header on.

    `readinto` fills a buffer with what comes next of the body: with less than fits only at the
    body's end, and with nothing after it. That spares urllib3's copies, of which each costs a
    fifth of what hashing does.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, limits: Limits, **options: Any):
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Watched(sock, limits))


class _Watched(io.RawIOBase):
    """The bytes of a connection. A server may pause, but not for `limits.read_seconds`; and in
    what it sends meanwhile, byte by byte, it may not go below the minimum speed either.

    Only the time that is spent waiting for the server counts.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        # Keeps the socket open until this is closed too.
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._limits = limits
        self._waited = 0.0
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        # A buffered reader asks for more than fits into it only for a caller who wants all of it.
        # Through TLS that comes in records of 16 KiB, each a call that is better made from here.
        whole = len(buffer) > io.DEFAULT_BUFFER_SIZE
        view, count = memoryview(buffer), 0
        since = time.monotonic()
        while True:
            got = self._sock.recv_into(view[count:])
            now = time.monotonic()
            self._waited, since = self._waited + now - since, now
            self._bytes += got
            if self._waited > self._limits.read_seconds:
                if self._bytes < self._limits.minimum_bytes_per_second * self._waited:
                    raise TooSlowError(self._bytes / self._waited, self._limits)
                self._waited, self._bytes = 0.0, 0
            count += got
            if not got or not whole or count == len(view):
                return count

    def close(self) -> None:
        super().close()
        self._raw.close()
