"""TLS that takes from a connection what has come, and not record by record.

OpenSSL itself asks the system twice for each record of 16 KiB, which is a quarter of the work of
receiving.
"""

from __future__ import annotations

import io
import math
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import urllib3
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context
from urllib3.util.ssltransport import SSLTransport

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Environment variables of which the first that is set names a file of certificates that are
trusted."""

# With a quarter of it, what comes fast takes a tenth longer.
_RECEIVED_BYTES = 1024 * 1024
# What of a context urllib3 sets, or this module; see ssl.SSLContext.
_SETTINGS = (
    "minimum_version",
    "maximum_version",
    "options",
    "verify_flags",
    "verify_mode",
    "check_hostname",
    "hostname_checks_common_name",
    "post_handshake_auth",
)


def client_context(authorities: str | None) -> ssl.SSLContext:
    """What connections share: urllib3's own settings, and the authorities, which take longer to
    read than it takes to connect.

    authorities: a file of certificates in PEM that are trusted; None for the system's.

    Raises:
        urllib3.exceptions.SSLError: the file cannot be read.
    """
    context, usual = _Context(ssl.PROTOCOL_TLS_CLIENT), create_urllib3_context()
    for name in _SETTINGS:
        setattr(context, name, getattr(usual, name))
    if usual.keylog_filename:
        context.keylog_filename = usual.keylog_filename
    ssl.SSLContext.set_alpn_protocols(context, ALPN_PROTOCOLS)
    try:
        if authorities is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(authorities)
    except OSError as error:
        raise urllib3.exceptions.SSLError(
            f"the certificates that {' or '.join(CA_VARIABLES)} names: {authorities}: {error}"
        ) from error
    return context


class _Context(ssl.SSLContext):
    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Not any more: urllib3 does so for each connection, while OpenSSL may be reading them for
        another one."""

    def wrap_socket(self, sock: Any, *_: Any, server_hostname: Any = None, **__: Any) -> Any:
        return Transport(sock, self, server_hostname)


class _Memory(threading.local):
    """Where a thread receives, whatever the connection."""

    def __init__(self) -> None:
        self.received = memoryview(bytearray(_RECEIVED_BYTES))


_memory = _Memory()


class Transport(SSLTransport):
    """A connection. As a socket's, a call ends after its time-out, whatever came meanwhile; if that
    was something, after twice that at most."""

    @property
    def has_unread(self) -> bool:
        """Whether the server sent what nobody asked for, its goodbye included."""
        return bool(self.incoming.pending or self.sslobj.pending())

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ARG002
        """As of a socket; and for who wants more than a buffered reader looks ahead, so all of it,
        what came of several records. Otherwise the next one must be left for `has_unread`."""
        view, read = memoryview(buffer)[: nbytes or None], self.sslobj.read
        try:
            count = got = cast("int", self._ssl_io_loop(read, len(view), view))
        except ssl.SSLEOFError:
            return 0
        if len(view) > io.DEFAULT_BUFFER_SIZE:
            with suppress(ssl.SSLWantReadError):
                while got and count < len(view):
                    got = cast("int", read(len(view) - count, view[count:]))
                    count += got
        return count

    def _ssl_io_loop(self, func: Callable[..., Any], *arguments: Any) -> Any:
        until = None
        while True:
            try:
                result = func(*arguments)
            except ssl.SSLWantReadError:
                self._send()
                if until is None:
                    until = time.monotonic() + (self.gettimeout() or math.inf)
                elif time.monotonic() > until:
                    raise TimeoutError("timed out") from None
                self._receive()
            except ssl.SSLError:
                # The server is told why.
                with suppress(OSError):
                    self._send()
                raise
            else:
                self._send()
                return result

    def _send(self) -> None:
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    def _receive(self) -> None:
        if count := self.socket.recv_into(_memory.received):
            self.incoming.write(_memory.received[:count])
        else:
            self.incoming.write_eof()
