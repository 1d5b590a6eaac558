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
        self.fp = io.BufferedReader(_Watched(sock.makefile("rb", buffering=0), limits))


class _Watched(io.RawIOBase):
    """The bytes of a connection. A server may pause, but not for `limits.read_seconds`; and in
    what it sends meanwhile, byte by byte, it may not go below the minimum speed either.

    Only the time that is spent waiting for the server counts.
    """

    def __init__(self, raw: socket.SocketIO, limits: Limits) -> None:
        self._raw = raw
        self._limits = limits
        self._waited = 0.0
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        start = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - start
        self._bytes += count or 0
        if self._waited > self._limits.read_seconds:
            if self._bytes < self._limits.minimum_bytes_per_second * self._waited:
                raise TooSlowError(self._bytes / self._waited, self._limits)
            self._waited, self._bytes = 0.0, 0
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()
