"""One run of the flow from a model reference to a verdict, cheap before dear."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oms_gate import __version__
from oms_gate.admission import Admission
from oms_gate.errors import (
    AdmissionDenied,
    ConfigError,
    MeasureError,
    StepError,
    UsageError,
    defect,
    machine_failure,
)
from oms_gate.judging import Judging, pinned_model, unchecked
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import Measurement, measure
from oms_gate.verdict import (
    Assurance,
    Delivery,
    Verdict,
)

if TYPE_CHECKING:
    from oms_gate.delivery.hub_cache import HubCachePull
    from oms_gate.delivery.pull import Pull, Transfer
    from oms_gate.history import Recollection

_LOG = logging.getLogger(__name__)


@dataclass
class Check(Judging):
    """One run of the flow, and what it found so far.

    report_all: whether it goes on after a denial, to report everything.
    pull: what delivers the model in the same pass, where it is to be.
    accepts_summaries: whether those of other gates that the configuration names count in place of
        hashing the bytes here.
    searched: how long they were looked for, in seconds.
    """

    report_all: bool = False
    on_progress: ProgressCallback | None = None
    pull: Pull | HubCachePull | None = None
    accepts_summaries: bool = False
    searched: float = 0.0
    snapshot: Snapshot | None = None
    assurance: Assurance | None = None
    published: Verdict | None = None

    def end(self, listing: Callable[[], Snapshot] | None = None) -> Verdict:
        """Run the flow to its end, whatever that is.

        listing: gives the model's listing; None to have its store list it.
        """
        try:
            with self._reasoned():
                self._run(listing)
        finally:
            self._close(self.opened)
        return self.published or self._kept(self.verdict())

    def admission(
        self, listing: Callable[[], Snapshot] | None = None, assurance: Assurance | None = None
    ) -> Admission:
        """Run the flow, and keep open what it admits.

        listing: gives the model's listing; None to have its store list it.
        assurance: how far to look, such as up to where bytes of the weights would be read; None
            for as far as the check is asked to and the policy requires.

        Raises:
            AdmissionDenied: the model is not admitted.
        """
        admitted = False
        try:
            with self._reasoned():
                self.snapshot = self._listed(listing)
                required = self._judge(self.snapshot)
                wanted = assurance or self._wanted(required)
                self.assurance = Assurance.SIGNATURE
                if wanted is not Assurance.SIGNATURE and not self.reasons:
                    self._measure(self.snapshot, wanted)
                self._record()
            verdict = self._kept(self.verdict())
            if not verdict.admitted:
                raise AdmissionDenied(verdict)
            assert self.snapshot is not None
            assert self.comparison is not None
            assert self.hash_type is not None
            assert self.found is not None
            admitted = True
            return Admission(
                verdict,
                self.snapshot,
                self.comparison.signed,
                self.hash_type,
                self.found,
                self._kept,
            )
        finally:
            self._close(self.opened[1:] if admitted else self.opened)

    def judged(self) -> Verdict:
        """Run the flow up to the decision: nothing is hashed, and nothing is remembered."""
        try:
            with self._reasoned():
                self.snapshot = self._listed(None)
                self._judge(self.snapshot)
                self.assurance = Assurance.SIGNATURE
        finally:
            self._close(self.opened)
        return self.verdict()

    def recall(self) -> Recollection | None:
        """See `Gate.recall`; None without a memory."""
        try:
            snapshot = self._listed(None)
            self._recalled(snapshot, self._verify(snapshot)[0])
        finally:
            self._close(self.opened)
        return self.recollection

    @contextmanager
    def _reasoned(self) -> Iterator[None]:
        """Turn what ends the flow early into a reason."""
        try:
            yield
        except StepError as error:
            self.reasons.append(error.reason)
        except (ConfigError, UsageError):
            raise  # The operator's mistake, and nothing about this model.
        except OSError as error:
            self.reasons.append(machine_failure(error))
        except Exception as error:  # noqa: BLE001 - a defect must deny, not crash the caller
            _LOG.exception("while checking %s", self.reference)
            self.reasons.append(defect(type(error).__name__))

    def _close(self, snapshots: Iterable[Snapshot]) -> None:
        for snapshot in snapshots:
            snapshot.close()

    def _run(self, listing: Callable[[], Snapshot] | None) -> None:
        """The flow. A step that cannot go on raises; a denial ends it before the next step."""
        snapshot = self.snapshot = self._listed(listing)
        required = None
        try:
            required = self._judge(snapshot)
        except StepError as error:
            if not self._delivers_denied:
                raise
            self.reasons.append(error.reason)
        if self.reasons and not (self.report_all or self._delivers_denied):
            return
        if not self.reasons or self.report_all:
            self.assurance = Assurance.SIGNATURE
        wanted = self._wanted(required)
        if self.pull is not None:
            self._deliver(self.pull, snapshot)
            return
        if wanted is Assurance.BYTES and not self.reasons:
            wanted = self._left_to_hash(snapshot)
        if wanted is not Assurance.SIGNATURE:
            self._measure(snapshot, wanted)
        self._record()

    def _wanted(self, required: Assurance | None) -> Assurance:
        """How far to look, where the policy requires so much."""
        return max(self.asked, required or Assurance.SIGNATURE, key=lambda level: level.rank)

    def _left_to_hash(self, snapshot: Snapshot) -> Assurance:
        """How far to look here where another gate may have hashed every byte."""
        gate, comparison = self.gate, self.comparison
        accepted = () if gate.evidence is None else gate.evidence.accepted
        if not self.accepts_summaries or not accepted:
            return Assurance.BYTES
        from oms_gate.evidence.accepting import SummaryReader
        from oms_gate.evidence.summary import Subject

        assert comparison is not None
        assert self.policy is not None
        assert self.signature is not None
        model = pinned_model(self.reference, snapshot)
        subject = Subject.of(model, self.signature, comparison.signed)
        reader = SummaryReader(accepted, self._snapshot, gate.trust, self.checked_at, gate.limits)
        begun = time.monotonic()
        with self._timed("summary"):
            self.summary, refused = reader.find(snapshot, subject, self.policy)
        # Who keeps the summaries can make this gate hash, and not make it too late for that.
        self.searched = time.monotonic() - begun
        self.warnings += refused
        if self.summary is None:
            return Assurance.BYTES
        try:
            comparison.to_hash(snapshot, Assurance.DECLARED, gate.limits)
        except MeasureError:
            return Assurance.SIGNATURE
        return Assurance.DECLARED

    @property
    def _mode(self) -> Literal["enforce", "annotate"]:
        """Of what was admitted elsewhere, and is not found, nothing is to be let through."""
        return self.gate.mode if self.pinned is None else "enforce"

    @property
    def _delivers_denied(self) -> bool:
        """Whether a denied model is delivered all the same."""
        return self.pull is not None and self._mode == "annotate"

    def verdict(self, delivery: Delivery | None = None) -> Verdict:
        """What this run came to. Only a run that ended without a reason admits."""
        if not self.reasons and (self.policy is None or self.assurance is None):
            self.reasons.append(defect("it ended without a decision"))
        self.timings["total"] = round(time.monotonic() - self.started, 6)
        return Verdict(
            outcome="denied" if self.reasons else "admitted",
            undecided=bool(self.reasons) and all(r.code.undecided for r in self.reasons),
            mode=self._mode,
            model=pinned_model(self.reference, self.snapshot),
            assurance=self.assurance,
            reasons=tuple(self.reasons),
            warnings=tuple(self.warnings),
            signer=self.signer,
            signature=self.signature,
            coverage=self.coverage,
            attestations=self.attestations,
            summary=self.summary,
            annotations=self.annotations,
            policy=self.policy,
            delivery=delivery,
            timings=self.timings,
            checked_at=self.checked_at,
            gate_version=__version__,
        )

    def _kept(self, verdict: Verdict) -> Verdict:
        """The verdict to give, once evidence of it is kept: nobody hears of it before."""
        evidence = self.gate.evidence
        if evidence is None or not self.keeps:
            return verdict
        context = {"operation": "verify", **(self.context or {})}
        signed = None if self.comparison is None else self.comparison.signed
        return evidence.keep(verdict, context, signed)

    def _measure(self, snapshot: Snapshot, wanted: Assurance) -> None:
        """Hash what the wanted assurance needs hashed."""
        limits = self.gate.limits
        assert self.comparison is not None
        assert self.hash_type is not None
        with self._timed("measure"):
            measured = measure(
                snapshot,
                self.comparison.to_hash(snapshot, wanted, limits),
                self.hash_type,
                limits,
                deadline=self.started + self.searched + limits.total_seconds,
                report_all=self.report_all,
                on_progress=self.on_progress,
            )
        self._count(measured, wanted)

    def _deliver(self, pull: Pull | HubCachePull, snapshot: Snapshot) -> None:
        """Hash what is to arrive while it is written, and let it arrive with the verdict."""
        from oms_gate.delivery.pull import Source

        source = Source(
            snapshot,
            self.comparison,
            self.hash_type,
            self.found,
            denied=bool(self.reasons),
            lets_through=self._delivers_denied,
        )
        limits = self.gate.limits
        with pull.begin(source, limits, self.started + limits.total_seconds) as transfer:
            with self._timed("measure"):
                measured = transfer.run(self.on_progress)
            self._count(measured, Assurance.BYTES)
            self._record()
            if transfer.complete and (not self.reasons or self._delivers_denied):
                verdict = self._kept(self.verdict(transfer.delivery()))
                if verdict.lets_through:
                    self._publish(transfer, verdict)
                self.published = verdict

    def _publish(self, transfer: Transfer, verdict: Verdict) -> None:
        """Let a model arrive of which is written already that it has."""
        try:
            transfer.publish(verdict.to_json())
        except UsageError as error:
            self._kept(verdict.with_findings((unchecked(self.reference, error),), ()))
            raise

    def _count(self, measured: Measurement, proven: Assurance) -> None:
        if self.coverage is not None:
            counts = {"measured": measured.files, "measured_bytes": measured.bytes}
            self.coverage = self.coverage.model_copy(update=counts)
        self.reasons += measured.findings
        if self.assurance is not None and not measured.findings:
            self.assurance = proven
