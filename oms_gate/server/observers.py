"""What parts of a service tell of their work, passed on to metrics, logs and traces."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from oms_gate.gateway.observer import Transfer
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.logs import FIELDS
from oms_gate.server.metrics import Metrics
from oms_gate.server.tracing import Tracing
from oms_gate.verdict import Verdict

_LOG = logging.getLogger(__name__)


class Telling:
    """An `oms_gate.gateway.observer.Observer` for one part of a service."""

    def __init__(
        self,
        source: str,
        metrics: Metrics,
        tracing: Tracing | None,
        record: Callable[[Verdict], object] | None = None,
    ) -> None:
        """
        source: the part, such as ``gateway``; one of a few.
        record: what keeps its verdicts, if anything does.
        """
        self._source = source
        self._metrics = metrics
        self._tracing = tracing
        self._record = record

    def decided(self, verdict: Verdict, seconds: float) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._metrics.decided(self._source, verdict, seconds)
        if self._tracing is not None:
            self._tracing.decided(self._source, verdict, seconds)
        fields = {
            "source": self._source,
            "model": verdict.model.url,
            "verdict": verdict.outcome,
            "mode": verdict.mode,
            "reason": ",".join(sorted({reason.code for reason in verdict.reasons})) or None,
            "message": "; ".join(reason.message for reason in verdict.reasons) or None,
            "signer": None if verdict.signer is None else verdict.signer.identity,
            "seconds": round(seconds, 6),
        }
        _LOG.info("decided", extra={FIELDS: fields})
        if self._record is not None:
            self._record(verdict)

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._metrics.looked_up(what, hit=hit)

    def fetched(self, transfer: Transfer) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._metrics.hashed(transfer.hashed_bytes)
        if self._tracing is not None:
            self._tracing.fetched(transfer)

    def upstream_failed(self, code: ReasonCode) -> None:
        """As `oms_gate.gateway.observer.Observer`."""
        self._metrics.upstream_failed(code)
        _LOG.warning("upstream failed", extra={FIELDS: {"source": self._source, "reason": code}})
