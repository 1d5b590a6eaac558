"""What is kept of each verdict, before anybody hears of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from oms_gate.errors import EvidenceError
from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.signer import OwnSigner
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.evidence_settings import EvidenceSettings

_LOG = logging.getLogger(__name__)


class Evidence:
    """Keeps verdicts. Safe for several threads and processes, and across forks."""

    def __init__(self, audit_log: AuditLog, unwritten: Literal["deny", "warn"]) -> None:
        """
        unwritten: what becomes of a verdict that cannot be written down.
        """
        self.audit_log = audit_log
        self._unwritten = unwritten

    @classmethod
    def from_settings(cls, settings: EvidenceSettings) -> Self | None:
        """As ``gate.yaml`` describes it; None where nothing is to be kept.

        Raises:
            ConfigError: what it needs is not installed.
        """
        if settings.audit_log is None:
            return None
        signer = None if settings.signer is None else OwnSigner(settings.signer)
        return cls(AuditLog.from_settings(settings.audit_log, signer), settings.audit_log.unwritten)

    def keep(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> Verdict:
        """Keep one verdict. What comes back is to be given instead of it.

        That is the same one; or one that warns, or denies, where it could not be kept.

        context: what the caller told the policy, ``operation`` among it.
        """
        try:
            self.audit_log.write(verdict, context)
        except EvidenceError as error:
            _LOG.error("the verdict on %s was not written down: %s", verdict.model.url, error)
            if self._unwritten == "warn":
                return verdict.with_findings((), (error.reason,))
            return verdict.with_findings((error.reason,), ())
        return verdict

    def close(self) -> None:
        """Release what it is sent over."""
        self.audit_log.close()
