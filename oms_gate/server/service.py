"""The webhook service from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from kubernetes.client import ApiClient

from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError
from oms_gate.server.admission import Admission
from oms_gate.server.cluster import Cluster
from oms_gate.server.decisions import Decisions
from oms_gate.server.events import EventWriter
from oms_gate.server.findings import Review
from oms_gate.server.health import health
from oms_gate.server.policy_keeper import PolicyKeeper
from oms_gate.server.rulebook import Rulebook
from oms_gate.server.tls import ServerTls, follow
from oms_gate.server.webhook import Metrics, webhooks

_DRAIN_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Listening:
    """Where the service is reached.

    port: of the webhooks, over TLS; 0 for a free one.
    health_port: of health and metrics, without.
    """

    host: str
    port: int
    health_port: int


async def serve(
    config: GateConfig,
    client: ApiClient,
    tls: ServerTls,
    listening: Listening,
    *,
    namespace: str,
    instance: str,
    renew_seconds: float,
    config_file: Path | None = None,
    on_start: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Answer the API server until the process is told to end; what is being answered is ended.

    namespace, instance: where the gate itself is, and what this replica is called.
    renew_seconds: how often to look for a new certificate.
    config_file: where `config` is from, if it is to be followed.
    on_start: told both ports once they are open.

    Raises:
        ConfigError: the configuration cannot be used.
        OSError: a port is taken.
    """
    settings = config.kubernetes
    if settings.image is None:
        raise ConfigError(
            "kubernetes.image in gate.yaml is missing: the image of the gate that init containers "
            "run"
        )
    rulebook = await asyncio.to_thread(Rulebook, config, config_file)
    decisions = Decisions(
        checks=settings.checks,
        waiting=settings.waiting_checks,
        namespace=settings.namespace_checks,
        remembered=settings.verdicts,
        admitted_seconds=config.limits.decision_seconds,
        denied_seconds=settings.denial_seconds,
    )
    metrics = Metrics(decisions, rulebook)
    cluster = Cluster(client, lambda: keeper.changed())
    keeper = PolicyKeeper(cluster, rulebook, namespace)
    events = EventWriter(cluster, instance)

    def on_review(review: Review) -> None:
        metrics.reviewed(review)
        events.note(review)
        if not review.request.dry_run:
            keeper.note(review)

    admission = Admission(settings, rulebook, decisions, cluster.labels, on_review)
    hooks = webhooks(
        admission,
        metrics,
        most_seconds=settings.admission_seconds,
        most_bytes=settings.review_bytes,
        known_clients=tls.context.verify_mode is not ssl.CERT_NONE,
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def unready() -> str | None:
        ready = cluster.ready and keeper.ready.is_set() and not ended.is_set()
        return None if ready else "the cluster's policies are not read yet\n"

    async with AsyncExitStack() as stack:
        stack.callback(rulebook.close)
        stack.callback(decisions.close)
        for part in (events, keeper, cluster):
            part.start()
            stack.callback(part.stop)
        port = await _listen(stack, hooks, listening.host, listening.port, tls)
        health_port = await _listen(
            stack, health(metrics.text, unready), listening.host, listening.health_port
        )
        renewal = asyncio.create_task(follow(tls, renew_seconds))
        stack.callback(renewal.cancel)
        on_start(port, health_port)
        await ended.wait()


async def _listen(
    stack: AsyncExitStack, app: web.Application, host: str, port: int, tls: ServerTls | None = None
) -> int:
    """Open a port; which."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port, ssl_context=None if tls is None else tls.context)
    await site.start()
    return int(runner.addresses[0][1])
