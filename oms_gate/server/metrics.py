"""What Prometheus is told of a service with several processes.

Each process counts in files of its own, in one folder; whoever has the folder can tell them all.
No label has values without bound: neither models nor paths nor clients are among them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from oms_gate import __version__
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client is told the folder, when it is imported."""

_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)
_DECISION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """What one process counts. Safe for use by several threads."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "oms_gate_requests",
            "Requests that were answered, or given up while they were (status aborted).",
            ["route", "method", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "oms_gate_request_seconds",
            "Time from a request to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._served = Counter(
            "oms_gate_served_bytes", "Bytes of answers, their heads included.", registry=registry
        )
        self._decisions = Counter(
            "oms_gate_decisions",
            "Decisions about models that were made anew.",
            ["source", "outcome"],
            registry=registry,
        )
        self._denials = Counter(
            "oms_gate_denials",
            "Reasons for denials, those that were only noted included.",
            ["reason"],
            registry=registry,
        )
        self._decision_seconds = Histogram(
            "oms_gate_decision_seconds",
            "Time to a decision.",
            ["source"],
            registry=registry,
            buckets=_DECISION_BUCKETS,
        )
        self._lookups = Counter(
            "oms_gate_cache_lookups",
            "Decisions and verified files that were wanted, by whether they were there already.",
            ["what", "result"],
            registry=registry,
        )
        self._hashed = Counter(
            "oms_gate_hashed_bytes", "Bytes of stores that were hashed.", registry=registry
        )
        self._upstream_failures = Counter(
            "oms_gate_upstream_failures",
            "Requests to which a store gave no usable answer.",
            ["reason"],
            registry=registry,
        )
        self.refused = Counter(
            "oms_gate_refused_connections",
            "Connections that were one too many for their process.",
            registry=registry,
        )
        self.cut = Counter(
            "oms_gate_cut_connections",
            "Connections that were ended as their clients were too slow.",
            registry=registry,
        )
        self.running = Gauge(
            "oms_gate_requests_running",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.connections = Gauge(
            "oms_gate_connections",
            "Connections that are open.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.stale = Gauge(
            "oms_gate_configuration_stale",
            "Whether the configuration was changed and cannot be used as it is now.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def answered(
        self, route: str, method: str, status: int | None, size: int, seconds: float
    ) -> None:
        """Count a request.

        route: of a few.
        status: None where the answer did not reach its end.
        """
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, "aborted" if status is None else str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        self._served.inc(size)

    def decided(self, source: str, verdict: Verdict, seconds: float) -> None:
        """Count a decision.

        source: which part of the service asked.
        """
        self._decisions.labels(source, verdict.outcome).inc()
        self._decision_seconds.labels(source).observe(seconds)
        for code in {reason.code for reason in verdict.reasons}:
            self._denials.labels(code).inc()

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._lookups.labels(what, "hit" if hit else "miss").inc()

    def hashed(self, count: int) -> None:
        """So many bytes of a store were hashed."""
        self._hashed.inc(count)

    def upstream_failed(self, code: ReasonCode) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._upstream_failures.labels(code).inc()


class ServiceMetrics:
    """What all processes of a service have counted, those that are gone included."""

    def __init__(self, folder: Path) -> None:
        """
        folder: where each of them counts.
        """
        self._folder = folder
        self._registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(self._registry, path=str(folder))  # type: ignore[no-untyped-call]
        own = self._own = CollectorRegistry()
        self.workers = Gauge(
            "oms_gate_workers", "Processes that serve, by their state.", ["state"], registry=own
        )
        self.restarts = Counter(
            "oms_gate_worker_restarts", "Processes that ended and were begun anew.", registry=own
        )
        build = Gauge(
            "oms_gate_build_info", "1, with the version as a label.", ["version"], registry=own
        )
        build.labels(__version__).set(1)

    def ended(self, process: int) -> None:
        """Count what a process had open no more."""
        multiprocess.mark_process_dead(process, path=str(self._folder))  # type: ignore[no-untyped-call]

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._own) + generate_latest(self._registry)


def environment(folder: Path) -> dict[str, str]:
    """The variables of a process that is to count in a folder."""
    return {**os.environ, FOLDER_VARIABLE: str(folder)}
