"""The admission webhooks over HTTP, and what is counted of them."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from oms_gate.errors import UsageError
from oms_gate.server.admission import Admission
from oms_gate.server.decisions import Decisions
from oms_gate.server.findings import Review
from oms_gate.server.health import alive
from oms_gate.server.review import Answer, ReviewRequest
from oms_gate.server.rulebook import Rulebook

_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
# The answer has to travel back before the API server stops to wait.
_MARGIN_SECONDS = 0.5
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What Prometheus is told."""

    def __init__(self, decisions: Decisions, rulebook: Rulebook) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "oms_gate_admissions",
            "Answers to the API server.",
            ["webhook", "allowed"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "oms_gate_admission_seconds",
            "Time to an answer.",
            ["webhook"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._outcomes = Counter(
            "oms_gate_reviews",
            "Objects that use models, by what came of them.",
            ["outcome", "kind"],
            registry=self._registry,
        )
        self._reasons = Counter(
            "oms_gate_denials",
            "Reasons for denials, those that were only noted included.",
            ["reason"],
            registry=self._registry,
        )
        running = Gauge(
            "oms_gate_checks_running",
            "Checks of models at work or waiting.",
            registry=self._registry,
        )
        running.set_function(lambda: decisions.running)
        stale = Gauge(
            "oms_gate_configuration_stale",
            "Whether the configuration was changed and cannot be used as it is now.",
            registry=self._registry,
        )
        stale.set_function(lambda: rulebook.mistake is not None)

    def answered(self, webhook: str, answer: Answer, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(webhook, str(answer.allowed).lower()).inc()
        self._seconds.labels(webhook).observe(seconds)

    def reviewed(self, review: Review) -> None:
        """Count what came of an object."""
        self._outcomes.labels(review.outcome, review.request.kind).inc()
        for code in review.codes():
            self._reasons.labels(code).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


def webhooks(
    admission: Admission,
    metrics: Metrics,
    *,
    most_seconds: float,
    most_bytes: int,
    known_clients: bool,
) -> web.Application:
    """``/mutate`` and ``/validate``.

    most_seconds: longest wait for an answer.
    most_bytes: largest request.
    known_clients: whether only those are answered that have shown a certificate.
    """
    app = web.Application(client_max_size=most_bytes)

    def handler(
        name: str, review: Callable[[ReviewRequest, float], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            started = time.monotonic()
            if known_clients and not _has_certificate(request):
                raise web.HTTPForbidden(text="a client certificate of the API server is needed\n")
            try:
                asked = ReviewRequest.parse(await request.read())
            except UsageError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from error
            waits = _seconds(request.query.get("timeout", ""))
            seconds = most_seconds if waits is None else min(most_seconds, waits - _MARGIN_SECONDS)
            answer = await review(asked, seconds)
            metrics.answered(name, answer, time.monotonic() - started)
            return web.json_response(answer.to_json(asked.uid))

        return handle

    app.router.add_post("/mutate", handler("mutate", admission.mutate))
    app.router.add_post("/validate", handler("validate", admission.validate))
    app.router.add_get("/healthz", alive)
    return app


def _has_certificate(request: web.Request) -> bool:
    transport = request.transport
    return transport is not None and bool(transport.get_extra_info("peercert"))


def _seconds(duration: str) -> float | None:
    """A duration as Go writes it; None for another text."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        return None
    minutes, seconds, milliseconds = (float(group or 0) for group in match.groups())
    return minutes * 60 + seconds + milliseconds / 1000
