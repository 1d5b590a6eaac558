"""What the processes of a service are told, and what they say."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from oms_gate.server.tls import KeyPair, ServerTls

REPORT_SECONDS: Final = 1.0
"""How often a process says how it is."""

BACKLOG: Final = 1024
"""Most connections that wait to be let in; the system may allow fewer."""


@dataclass(frozen=True)
class Task:
    """What a process is to do.

    listener, reports: file descriptors that it inherits: of the socket that listens, and of one
        on which it says how it is; the other end of that is closed when the service is gone.
    certificate, key, client_ca: files; None to serve without TLS, and to ask for no certificates.
    """

    config_file: str
    cache: str
    instance: str
    log_format: str
    listener: int
    reports: int
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None

    def to_json(self) -> str:
        """As the argument of a command."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        return cls(**json.loads(text))

    def tls(self) -> ServerTls | None:
        """The certificate that clients are shown.

        Raises:
            ConfigError: it cannot be used.
        """
        if self.certificate is None or self.key is None:
            return None
        pair = Path(self.certificate), Path(self.key)
        authority = None if self.client_ca is None else Path(self.client_ca)
        return ServerTls(lambda: KeyPair.from_files(*pair), authority)


@dataclass(frozen=True)
class Report:
    """How a process is.

    unready: why it should get no requests; None where it may.
    failed: it ends, as it could not begin; with `misconfigured`, as its configuration is no good.
    """

    unready: str | None = None
    failed: bool = False
    misconfigured: bool = False

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """What `line` gave."""
        return cls(**json.loads(line))
