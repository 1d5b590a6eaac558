"""What is kept of each verdict, before anybody hears of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from oms_gate.errors import EvidenceError
from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence.summaries import SummaryWriter
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.evidence_settings import AcceptedVerifier, EvidenceSettings
    from oms_gate.oms.manifest import Resource

_LOG = logging.getLogger(__name__)


class Evidence:
    """Keeps verdicts, and knows which other gates' summaries count.

    Safe for several threads and processes, and across forks.
    """

    def __init__(
        self,
        audit_log: AuditLog | None,
        unwritten: Literal["deny", "warn"],
        summaries: SummaryWriter | None = None,
        accepted: tuple[AcceptedVerifier, ...] = (),
    ) -> None:
        """
        unwritten: what becomes of a verdict that cannot be written down.
        summaries: what makes the summaries of admissions, if anything does.
        accepted: whose summaries count in place of hashing the bytes of a model.
        """
        self.audit_log = audit_log
        self._unwritten = unwritten
        self._summaries = summaries
        self.accepted = accepted

    @classmethod
    def from_settings(cls, settings: EvidenceSettings) -> Self | None:
        """As ``gate.yaml`` describes it; None where nothing is to be kept or accepted.

        Raises:
            ConfigError: what it needs is not installed, or its key cannot be used.
        """
        log, summaries = settings.audit_log, settings.summaries
        signer = None if settings.signer is None else OwnSigner(settings.signer)
        if signer is not None:
            signer.check()
        writer = None
        if summaries is not None:
            assert signer is not None
            writer = SummaryWriter(summaries, signer)
        if log is None and writer is None and not settings.accept_summaries:
            return None
        return cls(
            None if log is None else AuditLog.from_settings(log, signer),
            "deny" if log is None else log.unwritten,
            writer,
            settings.accept_summaries,
        )

    def keep(
        self,
        verdict: Verdict,
        context: Mapping[str, JsonValue],
        signed: Mapping[str, tuple[Resource, ...]] | None = None,
    ) -> Verdict:
        """Keep one verdict. What comes back is to be given instead of it.

        That is the same one; or one that warns, or denies, where it could not be kept.

        context: what the caller told the policy, ``operation`` among it.
        signed: the signed resources of each file that is there, by its path; None where there is
            to be no summary of it.
        """
        writer = self._summaries
        if writer is None or signed is None:
            return self._logged(verdict, context)
        try:
            made = writer.made(verdict, signed)
        except EvidenceError as error:
            return self._logged(_faulty(verdict, error, writer.settings.unwritten), context)
        logged = self._logged(verdict, context)
        if made is None or not logged.admitted:
            return logged
        # The last thing of all: there is to be no summary of what was denied for want of a line.
        try:
            writer.write(verdict, *made)
        except EvidenceError as error:
            return self._logged(_faulty(logged, error, writer.settings.unwritten), context)
        return logged

    def _logged(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> Verdict:
        """The verdict once it is in the audit log; the last one there is the one that counts."""
        if self.audit_log is None:
            return verdict
        try:
            self.audit_log.write(verdict, context)
        except EvidenceError as error:
            given = _faulty(verdict, error, self._unwritten)
            self.audit_log.amend(given, context)
            return given
        return verdict

    def close(self) -> None:
        """Release what it is sent over."""
        if self.audit_log is not None:
            self.audit_log.close()


def _faulty(verdict: Verdict, error: EvidenceError, unwritten: Literal["deny", "warn"]) -> Verdict:
    """A verdict of which something could not be kept."""
    _LOG.error("evidence of the verdict on %s was not kept: %s", verdict.model.url, error)
    if unwritten == "warn":
        return verdict.with_findings((), (error.reason,))
    return verdict.with_findings((error.reason,), ())
