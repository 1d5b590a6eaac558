"""The server's certificate, taken anew whenever it changes, without a connection lost."""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oms_gate.errors import ConfigError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its chain, and its key; both PEM."""

    certificate: bytes
    key: bytes

    @classmethod
    def from_files(cls, certificate: Path, key: Path) -> KeyPair:
        """Read both.

        Raises:
            ConfigError: one cannot be read.
        """
        try:
            return cls(certificate.read_bytes(), key.read_bytes())
        except OSError as error:
            raise ConfigError(f"the server's certificate cannot be read: {error}") from error


class ServerTls:
    """A TLS context whose certificate is renewed while it is in use.

    Connections that are open keep theirs; new ones get the new one.
    """

    def __init__(self, source: Callable[[], KeyPair], client_ca: Path | None = None) -> None:
        """
        source: gives the pair as it is now; raises `ConfigError` where it cannot.
        client_ca: certificates by these, PEM, are asked of clients; one that has none can connect.

        Raises:
            ConfigError: there is no usable pair, or the file cannot be used.
        """
        self._source = source
        self._current = source()
        self.context = _context(self._current)
        if client_ca is not None:
            try:
                self.context.load_verify_locations(client_ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"{client_ca} has no certificates by which to know clients: {error}"
                ) from error
            self.context.verify_mode = ssl.CERT_OPTIONAL

    def renewed(self) -> KeyPair | None:
        """The pair as it is now, if it is another one. It may take a moment.

        Raises:
            ConfigError: it cannot be used, as while one of two files is written.
        """
        pair = self._source()
        if pair == self._current:
            return None
        _context(pair)  # What does not fit together must not come near the one in use.
        return pair

    def take(self, pair: KeyPair) -> None:
        """Use a pair that `renewed` gave, for connections from now on.

        Only in the thread that makes the connections: one that is made meanwhile would find the
        new certificate without its key.
        """
        _load(self.context, pair)
        self._current = pair


async def follow(tls: ServerTls, seconds: float) -> None:
    """Take a new certificate as soon as there is one, until cancelled.

    seconds: how often to look.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            pair = await asyncio.to_thread(tls.renewed)
            if pair is not None:
                tls.take(pair)
                _LOG.info("the server has a new certificate")
        except ConfigError as error:
            _LOG.warning("%s; the certificate before is used on", error)


def _context(pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, pair)
    return context


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    # The module reads files only; those of a mounted Secret may be replaced between two reads.
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + b"\n" + pair.key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                "the server's certificate and key cannot be used together: check that both are "
                f"PEM and belong together ({error})"
            ) from error
