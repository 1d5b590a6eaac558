"""One run of the flow from a model reference to a verdict, cheap before dear."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from oms_gate import __version__
from oms_gate.admission import Admission
from oms_gate.attestations import AttestationReader, Attestations
from oms_gate.coverage import Comparison, compare
from oms_gate.errors import (
    AdmissionDenied,
    ConfigError,
    StepError,
    UsageError,
    defect,
    machine_failure,
)
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.signature_file import SignatureFile, SignaturePlace
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import Measurement, measure
from oms_gate.verdict import (
    Assurance,
    Attestation,
    Coverage,
    Delivery,
    Model,
    PolicyUsed,
    Reason,
    Signature,
    Signer,
    Verdict,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.delivery.hub_cache import HubCachePull
    from oms_gate.delivery.pull import Pull
    from oms_gate.history import History, Recollection
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Manifest
    from oms_gate.oms.trust import Trust
    from oms_gate.oms.verify import VerifiedSignature
    from oms_gate.policy.engine import Engine
    from oms_gate.policy.input import InputHistory

_LOG = logging.getLogger(__name__)


class Terms(Protocol):
    """What a check goes by: the gate."""

    trust: Trust
    policy: Engine
    mode: Literal["enforce", "annotate"]
    signature: SignaturePlace
    attestations: Mapping[str, str]
    stores: StoreSettings
    limits: Limits
    history: History | None


@dataclass
class Check:
    """One run of the flow, and what it found so far.

    context: what the caller adds to the policy's input, such as a namespace.
    pinned: SHA-256, in hex, of the one signature file that somebody else has verified and judged;
        None to verify and judge here.
    records: whether it is remembered if it is admitted; not what is only to be there one day.
    """

    gate: Terms
    reference: Reference
    asked: Assurance
    context: Mapping[str, JsonValue] | None = None
    report_all: bool = False
    on_progress: ProgressCallback | None = None
    pull: Pull | HubCachePull | None = None
    pinned: str | None = None
    records: bool = True
    started: float = field(default_factory=time.monotonic)
    checked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    opened: list[Snapshot] = field(default_factory=list)
    snapshot: Snapshot | None = None
    signer: Signer | None = None
    signature: Signature | None = None
    coverage: Coverage | None = None
    attestations: tuple[Attestation, ...] = ()
    assurance: Assurance | None = None
    policy: PolicyUsed | None = None
    found: SignatureFile | None = None
    hash_type: HashType | None = None
    comparison: Comparison | None = None
    document: dict[str, object] = field(default_factory=dict)
    recollection: Recollection | None = None
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
        return self.published or self.verdict()

    def admission(self, listing: Callable[[], Snapshot] | None, assurance: Assurance) -> Admission:
        """Run the flow up to where bytes of the weights would be read.

        listing: gives the model's listing; None to have its store list it.
        assurance: ``signature`` or ``declared``.

        Raises:
            AdmissionDenied: the model is not admitted.
        """
        admitted = False
        try:
            with self._reasoned():
                self.snapshot = self._listed(listing)
                self._judge(self.snapshot)
                self.assurance = Assurance.SIGNATURE
                if assurance is not Assurance.SIGNATURE and not self.reasons:
                    self._measure(self.snapshot, assurance)
                self._record()
            verdict = self.verdict()
            if not verdict.admitted:
                raise AdmissionDenied(verdict)
            assert self.snapshot is not None
            assert self.comparison is not None
            assert self.hash_type is not None
            assert self.found is not None
            admitted = True
            return Admission(
                verdict, self.snapshot, self.comparison.signed, self.hash_type, self.found
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
        wanted = max(self.asked, required or Assurance.SIGNATURE, key=lambda a: a.rank)
        if self.pull is not None:
            self._deliver(self.pull, snapshot)
            return
        if wanted is not Assurance.SIGNATURE:
            self._measure(snapshot, wanted)
        self._record()

    @property
    def _mode(self) -> Literal["enforce", "annotate"]:
        """Of what was admitted elsewhere, and is not found, nothing is to be let through."""
        return self.gate.mode if self.pinned is None else "enforce"

    @property
    def _delivers_denied(self) -> bool:
        """Whether a denied model is delivered all the same."""
        return self.pull is not None and self._mode == "annotate"

    def _judge(self, snapshot: Snapshot) -> Assurance | None:
        """What needs no byte of the files; the assurance that the policy requires, if it does."""
        if self.pinned is not None:
            self._hold_to(self.pinned, snapshot)
            return None
        with self._timed("signature"):
            verified, signature = self._verify(snapshot)
        with self._timed("coverage"):
            comparison = self.comparison = self._compare(snapshot, verified.manifest)
        attested = self._attested(snapshot, verified, comparison)
        with self._timed("policy"):
            return self._decide(snapshot, verified, signature, self.comparison, attested)

    def _hold_to(self, pinned: str, snapshot: Snapshot) -> None:
        """What is left to judge where signer and policy were judged for a signature file."""
        from oms_gate.oms.pinned import read_pinned

        trust, limits = self.gate.trust, self.gate.limits
        with self._timed("signature"):
            found = self._find(snapshot)
            signed = read_pinned(found.content, pinned, limits, accept_old=trust.old_format)
            self.signature = signed.summary(found.location)
            self.hash_type = signed.manifest.hash_type
        with self._timed("coverage"):
            comparison = self.comparison = self._compare(snapshot, signed.manifest)
            self.reasons += comparison.absent()
        self.policy = PolicyUsed(engine="pinned", revision=pinned)

    def verdict(self, delivery: Delivery | None = None) -> Verdict:
        """What this run came to. Only a run that ended without a reason admits."""
        if not self.reasons and (self.policy is None or self.assurance is None):
            self.reasons.append(defect("it ended without a decision"))
        self.timings["total"] = round(time.monotonic() - self.started, 6)
        return Verdict(
            outcome="denied" if self.reasons else "admitted",
            undecided=bool(self.reasons) and all(r.code.undecided for r in self.reasons),
            mode=self._mode,
            model=_model(self.reference, self.snapshot),
            assurance=self.assurance,
            reasons=tuple(self.reasons),
            warnings=tuple(self.warnings),
            signer=self.signer,
            signature=self.signature,
            coverage=self.coverage,
            attestations=self.attestations,
            annotations=self.annotations,
            policy=self.policy,
            delivery=delivery,
            timings=self.timings,
            checked_at=self.checked_at,
            gate_version=__version__,
        )

    def _listed(self, listing: Callable[[], Snapshot] | None) -> Snapshot:
        with self._timed("snapshot"):
            if listing is None:
                return self._snapshot(self.reference)
            snapshot = listing()
            self.opened.append(snapshot)
            return snapshot

    def _snapshot(self, reference: Reference) -> Snapshot:
        store = open_store(reference, self.gate.stores, self.gate.limits)
        snapshot = store.snapshot(reference)
        self.opened.append(snapshot)
        return snapshot

    def _find(self, snapshot: Snapshot) -> SignatureFile:
        """The bundle, of which nothing is verified yet."""
        found = self.gate.signature.read(snapshot, self._snapshot, self.gate.limits)
        self.found = found
        return found

    def _verify(self, snapshot: Snapshot) -> tuple[VerifiedSignature, Signature]:
        """The verified bundle, and what the verdict says of it."""
        from oms_gate.oms.verify import verify

        bundle = self._find(snapshot)
        verified = verify(
            bundle.content, self.gate.trust, at=self.checked_at, limits=self.gate.limits
        )
        self.signer = verified.signer
        self.signature = verified.summary(bundle.location)
        self.hash_type = verified.manifest.hash_type
        return verified, self.signature

    def _compare(self, snapshot: Snapshot, manifest: Manifest) -> Comparison:
        bundle = self.gate.signature.location
        signature = bundle if bundle in snapshot.files else None
        comparison = compare(manifest, snapshot, signature)
        self.reasons += comparison.contradictions
        self.coverage = comparison.summary(snapshot)
        return comparison

    def _attested(
        self, snapshot: Snapshot, verified: VerifiedSignature, comparison: Comparison
    ) -> Attestations:
        """What is stated beside the model, by the trust that its signature is verified with."""
        gate = self.gate
        if not gate.attestations:
            return Attestations()
        reader = AttestationReader(gate.attestations, gate.trust, self.checked_at, gate.limits)
        with self._timed("attestations"):
            found = reader.read(
                snapshot, self._snapshot, verified, comparison.signed, gate.signature.location
            )
        self.attestations = tuple(told for _, told in found.accepted)
        self.warnings += (reason for _, reason in found.refused)
        self.comparison = comparison.with_attestations(found.files, verified.manifest.hash_type)
        self.coverage = self.comparison.summary(snapshot)
        return found

    def _decide(
        self,
        snapshot: Snapshot,
        verified: VerifiedSignature,
        signature: Signature,
        comparison: Comparison,
        attested: Attestations,
    ) -> Assurance | None:
        """Ask the policy; the assurance that it requires, if it does."""
        from oms_gate.policy.input import input_document

        self.document = input_document(
            model=_model(snapshot.reference, snapshot),
            signer=verified.signer,
            signature=signature,
            sorted_names=verified.manifest.sorted_names,
            allow_symlinks=verified.manifest.allow_symlinks,
            coverage=comparison.for_policy(snapshot),
            assurance=self.asked,
            now=self.checked_at,
            context=self.context,
            history=self._recalled(snapshot, verified),
            attestations=[seen for seen, _ in attested.accepted],
            refused_attestations=[seen for seen, _ in attested.refused],
        )
        return self._ask(self.document)

    def _recalled(self, snapshot: Snapshot, verified: VerifiedSignature) -> InputHistory | None:
        if (history := self.gate.history) is None:
            return None
        self.recollection = history.recollect(self.reference, snapshot.revision, verified)
        return self.recollection.facts

    def _ask(self, document: dict[str, object]) -> Assurance | None:
        engine = self.gate.policy
        decision = engine.decide(document)
        self.policy = PolicyUsed(
            engine=engine.kind,
            revision=decision.revision or engine.revision,
            decision_id=decision.decision_id,
        )
        self.reasons += decision.deny
        self.warnings += [reason for reason in decision.warn if reason not in self.warnings]
        self.annotations.update(decision.annotations)
        return decision.require

    def _record(self) -> None:
        """Remember what is to be admitted, before anybody hears of it."""
        if self.recollection is None or self.reasons or not self.records:
            return
        with self._timed("history"):
            try:
                self.recollection.record(self.checked_at, self._admits)
            except StepError as error:
                self.reasons.append(error.reason)

    def _admits(self, history: InputHistory) -> bool:
        """Decide again, where others have been checking the same model meanwhile."""
        self._ask({**self.document, "history": history.model_dump(mode="json")})
        return not self.reasons

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
                deadline=self.started + limits.total_seconds,
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
                verdict = self.verdict(transfer.delivery())
                transfer.publish(verdict.to_json())
                self.published = verdict

    def _count(self, measured: Measurement, proven: Assurance) -> None:
        if self.coverage is not None:
            counts = {"measured": measured.files, "measured_bytes": measured.bytes}
            self.coverage = self.coverage.model_copy(update=counts)
        self.reasons += measured.findings
        if self.assurance is not None and not measured.findings:
            self.assurance = proven

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[step] = round(time.monotonic() - start, 6)


def _model(reference: Reference, snapshot: Snapshot | None) -> Model:
    if snapshot is None:
        return Model(url=reference.url, name=reference.name)
    pinned = snapshot.reference
    return Model(url=pinned.url, name=pinned.name, revision=snapshot.revision)
