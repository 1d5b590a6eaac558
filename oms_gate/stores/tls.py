"""TLS that takes from a connection what has come, and not record by record.

OpenSSL itself asks the system twice for each record of 16 KiB, which is a quarter of the work of
receiving.
"""

from __future__ import annotations

import ssl
from typing import Any, cast

import urllib3
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.ssltransport import SSLTransport

_RECEIVED_BYTES = 256 * 1024


def client_context(authorities: str | None) -> ssl.SSLContext:
    """What the connections of a client share: servers must prove their name.

    authorities: a file of certificates in PEM that are trusted; None for the system's.

    Raises:
        urllib3.exceptions.SSLError: the file cannot be read.
    """
    context, usual = _Context(ssl.PROTOCOL_TLS_CLIENT), create_urllib3_context()
    context.minimum_version = usual.minimum_version
    context.options, context.verify_flags = usual.options, usual.verify_flags
    if authorities is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(authorities)
    except OSError as error:
        raise urllib3.exceptions.SSLError(error) from error
    return context


class _Context(ssl.SSLContext):
    def wrap_socket(self, sock: Any, *_: Any, server_hostname: Any = None, **__: Any) -> Any:
        return _Transport(sock, self, server_hostname)


class _Transport(SSLTransport):
    def __init__(self, sock: Any, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._received = memoryview(bytearray(_RECEIVED_BYTES))
        super().__init__(sock, context, server_hostname)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ARG002
        """As of a socket."""
        while True:
            try:
                return cast("int", self.sslobj.read(nbytes or len(buffer), buffer))
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLEOFError:
                return 0
            # An answer of OpenSSL to what is no content, such as new keys.
            if self.outgoing.pending:
                self.socket.sendall(self.outgoing.read())
            if count := self.socket.recv_into(self._received):
                self.incoming.write(self._received[:count])
            else:
                self.incoming.write_eof()
