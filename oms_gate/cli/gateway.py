"""``oms-gate serve`` without ``--webhook``: gateway, decision API and receivers of events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from oms_gate.config import load_config
from oms_gate.errors import ConfigError, UsageError

_EVERY = ("0.0.0.0", "::")  # noqa: S104


@dataclass(frozen=True)
class Listening:
    """Where a service is reached, by the options; None where there is none.

    certificate, key: to serve over TLS with.
    client_ca: by whom certificates of clients are.
    """

    host: str | None
    port: int | None
    health_port: int | None
    certificate: Path | None
    key: Path | None
    client_ca: Path | None


def run(
    config_file: Path | None, listening: Listening, *, workers: int | None, cache: Path | None
) -> None:
    """Serve until told to end.

    workers: how many processes; None for one a core.
    cache: the folder of verified files; None for the user's own.

    Raises:
        UsageError: the options cannot be meant.
        ConfigError: something that they name cannot be used, or a package is missing.
        OmsGateError: the service ended by itself.
    """
    if config_file is None:
        raise UsageError("no gate is named: give --config gate.yaml, or set OMS_GATE_CONFIG")
    if (listening.certificate is None) != (listening.key is None):
        raise UsageError("--tls-cert and --tls-key belong together; give both")
    if listening.client_ca is not None and listening.certificate is None:
        raise UsageError(
            "--client-ca needs --tls-cert and --tls-key: clients show certificates over TLS only"
        )
    try:
        import asyncio

        from oms_gate.server.logs import set_up
        from oms_gate.server.task import Task
        from oms_gate.server.workers import cores, listen, new_instance, serve
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name} is missing: install oms-gate[server]"
        ) from error
    from oms_gate.cache.layout import Layout

    settings = load_config(config_file).service
    set_up(settings.log_format)
    secure = listening.certificate is not None
    host = listening.host or ("0.0.0.0" if secure else "127.0.0.1")  # noqa: S104
    port = (8443 if secure else 8080) if listening.port is None else listening.port
    task = Task(
        config_file=str(config_file.absolute()),
        cache=str(Layout.of(cache).folder),
        instance=new_instance(),
        log_format=settings.log_format,
        listener=-1,
        reports=-1,
        certificate=_absolute(listening.certificate),
        key=_absolute(listening.key),
        client_ca=_absolute(listening.client_ca),
    )
    task.tls()  # Before anything begins, so that a mistake is told at once.
    count = workers or cores()
    with (
        listen(host, port) as own,
        listen(host, 8081 if listening.health_port is None else listening.health_port) as health,
    ):
        scheme = f"http{'s' * secure}://"
        address = f"{scheme}{_shown(own.getsockname())}"
        endpoint = f"{scheme}localhost:{own.getsockname()[1]}" if host in _EVERY else address
        health_address = f"http://{_shown(health.getsockname())}"

        def on_start() -> None:
            typer.echo(
                f"serving at {address} with {count} process{'es' * (count > 1)} (clients: "
                f"HF_ENDPOINT={endpoint}), health and metrics at {health_address}"
            )

        asyncio.run(serve(settings, task, own, health, count, on_start))


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _shown(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
