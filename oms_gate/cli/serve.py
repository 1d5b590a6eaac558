"""``oms-gate serve``: a service, as the options ask for it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from oms_gate.config import load_config
from oms_gate.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from oms_gate.server.tls import KeyPair

_FILE_SECONDS = 2.0
_SECRET_SECONDS = 10.0


@dataclass(frozen=True)
class Certificate:
    """Where the certificate comes from: two files, or a Secret of the gate's own.

    service, configuration: with a Secret, whom it is for and who has to trust it.
    client_ca: by whom certificates of clients are; None where none are asked for.
    """

    file: Path | None
    key: Path | None
    secret: str | None
    service: str
    configuration: str
    client_ca: Path | None

    def source(self, client: ApiClient, namespace: str) -> Callable[[], KeyPair]:
        """What gives the certificate as it is now.

        Raises:
            UsageError: the options cannot be meant together.
        """
        from oms_gate.server.certificates import OwnCertificate
        from oms_gate.server.tls import KeyPair

        file, key = self.file, self.key
        if self.secret is not None:
            if file is not None or key is not None:
                raise UsageError("give either --tls-cert with --tls-key, or --own-certificate")
            own = OwnCertificate(client, namespace, self.secret, self.service, self.configuration)
            return own.current
        if file is None or key is None:
            raise UsageError("give --tls-cert with --tls-key, or --own-certificate")
        return lambda: KeyPair.from_files(file, key)


def run(
    config_file: Path | None, certificate: Certificate, *, host: str, port: int, health_port: int
) -> None:
    """Serve until told to end.

    Raises:
        UsageError: the options cannot be meant.
        ConfigError: something that they name cannot be used, or a package is missing.
    """
    if config_file is None:
        raise UsageError("no gate is named: give --config gate.yaml, or set OMS_GATE_CONFIG")
    try:
        import asyncio

        from oms_gate.server.cluster import connect
        from oms_gate.server.service import Listening, serve
        from oms_gate.server.tls import ServerTls
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name} is missing: install oms-gate[server]"
        ) from error
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    config = load_config(config_file)
    client = connect()
    namespace = os.environ.get("POD_NAMESPACE", "oms-gate-system")
    tls = ServerTls(certificate.source(client, namespace), certificate.client_ca)

    def on_start(port: int, health_port: int) -> None:
        typer.echo(f"webhooks at https://{host}:{port}, health at http://{host}:{health_port}")

    try:
        asyncio.run(
            serve(
                config,
                client,
                tls,
                Listening(host, port, health_port),
                namespace=namespace,
                instance=os.environ.get("POD_NAME", socket.gethostname()),
                renew_seconds=_FILE_SECONDS if certificate.secret is None else _SECRET_SECONDS,
                config_file=config_file,
                on_start=on_start,
            )
        )
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}: {error}") from error
