"""Traces for OpenTelemetry, where the extra is installed and an endpoint is configured."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from oms_gate.gateway.observer import Transfer
from oms_gate.server.logs import masked
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_LOG = logging.getLogger(__name__)

STATUS: Final = "http.response.status_code"
"""The attribute that has the status of an answer."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def open_tracing() -> Tracing | None:
    """Traces as the standard variables ``OTEL_*`` ask for them; None where they do not."""
    if not any(map(os.environ.get, _ENDPOINTS)):
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _LOG.warning("there are no traces, although an endpoint is set: install oms-gate[otel]")
        return None
    name = os.environ.get("OTEL_SERVICE_NAME", "oms-gate")
    # Later ones count more: what OTEL_RESOURCE_ATTRIBUTES says stays.
    provider = TracerProvider(
        resource=Resource({SERVICE_NAME: name}).merge(Resource.create({SERVICE_NAME: name}))
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


class Tracing:
    """The spans of one process. Neither tokens nor queries are in them."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("oms_gate")
        self._incoming = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, request: web.Request, route: str) -> Iterator[Span]:
        """A span for the block, as a part of the trace that the request belongs to, if it does."""
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            f"{request.method} {route}",
            context=self._incoming.extract(request.headers),
            kind=SpanKind.SERVER,
            # Messages of exceptions may have anything in them.
            record_exception=False,
            set_status_on_exception=False,
            attributes={
                "http.request.method": request.method,
                "http.route": route,
                "url.path": masked(request.rel_url.raw_path),
                "url.scheme": request.scheme,
                "client.address": request.remote or "",
            },
        ) as span:
            try:
                yield span
            except web.HTTPException as answer:
                span.set_attribute(STATUS, answer.status)
                raise
            except BaseException:
                span.set_status(StatusCode.ERROR)
                raise

    def decided(self, source: str, verdict: Verdict, seconds: float) -> None:
        """Spans for a decision that has just been made, and for each of its steps."""
        from opentelemetry.trace import set_span_in_context

        ended = time.time_ns()
        moment = ended - int(seconds * 1e9)
        codes = sorted({str(reason.code) for reason in verdict.reasons})
        span = self._tracer.start_span(
            "decide",
            start_time=moment,
            attributes={
                "oms_gate.source": source,
                "oms_gate.model": verdict.model.name,
                "oms_gate.outcome": verdict.outcome,
                "oms_gate.reasons": codes,
            },
        )
        context = set_span_in_context(span)
        for step, took in verdict.timings.items():
            part = self._tracer.start_span(step, context=context, start_time=moment)
            moment += int(took * 1e9)
            part.end(moment)
        span.end(ended)

    def fetched(self, transfer: Transfer) -> None:
        """A span for a transfer that has just ended."""
        from opentelemetry.trace import StatusCode

        ended = time.time_ns()
        span = self._tracer.start_span(
            "fetch",
            start_time=ended - int(transfer.seconds * 1e9),
            attributes={
                "oms_gate.model": transfer.model,
                "oms_gate.path": transfer.path,
                "oms_gate.hashed_bytes": transfer.hashed_bytes,
            },
        )
        if transfer.failure is not None:
            span.set_attribute("oms_gate.reasons", [transfer.failure])
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()
