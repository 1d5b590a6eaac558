"""What is judged of a model before a byte of its files is read: by its signature and the policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from oms_gate import __version__
from oms_gate.attestations import AttestationReader, Attestations
from oms_gate.boms import Boms, read_boms
from oms_gate.coverage import Comparison, compare
from oms_gate.errors import ConfigError, StepError, UsageError, defect
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signature_file import SignatureFile, SignaturePlace
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.verdict import (
    AcceptedSummary,
    Assurance,
    Attestation,
    Coverage,
    Model,
    PolicyUsed,
    Reason,
    Signature,
    Signer,
    Verdict,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.evidence.evidence import Evidence
    from oms_gate.history import History, Recollection
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Manifest
    from oms_gate.oms.trust import Trust
    from oms_gate.oms.verify import VerifiedSignature
    from oms_gate.policy.engine import Engine
    from oms_gate.policy.input import InputHistory


class Terms(Protocol):
    """What a check goes by: the gate."""

    trust: Trust
    policy: Engine
    mode: Literal["enforce", "annotate"]
    signature: SignaturePlace
    attestations: Mapping[str, str]
    boms: Mapping[str, str]
    stores: StoreSettings
    limits: Limits
    history: History | None
    evidence: Evidence | None


@dataclass
class Judging:
    """What is found of one model on the way to the policy's decision.

    context: what the caller adds to the policy's input, such as a namespace.
    pinned: SHA-256, in hex, of the one signature file that somebody else has verified and judged;
        None to verify and judge here.
    records: whether it is remembered if it is admitted; not what is only to be there one day.
    keeps: whether evidence of the verdict is kept; not where somebody adds to it first.
    """

    gate: Terms
    reference: Reference
    asked: Assurance
    context: Mapping[str, JsonValue] | None = None
    pinned: str | None = None
    records: bool = True
    keeps: bool = True
    started: float = field(default_factory=time.monotonic)
    checked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    opened: list[Snapshot] = field(default_factory=list)
    signer: Signer | None = None
    signature: Signature | None = None
    coverage: Coverage | None = None
    attestations: tuple[Attestation, ...] = ()
    summary: AcceptedSummary | None = None
    policy: PolicyUsed | None = None
    found: SignatureFile | None = None
    hash_type: HashType | None = None
    comparison: Comparison | None = None
    document: dict[str, object] = field(default_factory=dict)
    recollection: Recollection | None = None

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
        boms = self._boms(snapshot, comparison, verified.manifest.hash_type)
        with self._timed("policy"):
            return self._decide(snapshot, verified, signature, self.comparison, attested, boms)

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

    def _boms(self, snapshot: Snapshot, comparison: Comparison, hash_type: HashType) -> Boms:
        """The bills of materials in the model, as far as its signature covers them."""
        gate = self.gate
        if not gate.boms:
            return Boms()
        with self._timed("boms"):
            found = read_boms(gate.boms, snapshot, comparison.signed, hash_type, gate.limits)
        self.warnings += (reason for _, reason in found.refused)
        return found

    def _decide(
        self,
        snapshot: Snapshot,
        verified: VerifiedSignature,
        signature: Signature,
        comparison: Comparison,
        attested: Attestations,
        boms: Boms,
    ) -> Assurance | None:
        """Ask the policy; the assurance that it requires, if it does."""
        from oms_gate.policy.input import input_document

        self.document = input_document(
            model=pinned_model(snapshot.reference, snapshot),
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
            boms=boms.accepted,
            refused_boms=[seen for seen, _ in boms.refused],
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

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[step] = round(time.monotonic() - start, 6)


def unexamined(model: Model, reason: Reason) -> Verdict:
    """The denial of a model that was not looked at."""
    return Verdict(
        outcome="denied",
        undecided=reason.code.undecided,
        model=model,
        reasons=(reason,),
        checked_at=datetime.now(UTC),
        gate_version=__version__,
    )


def unchecked(reference: Reference, error: Exception) -> Reason:
    """Why a check that raised this says nothing of the model: a mistake of the gate's operator, or
    a defect."""
    if isinstance(error, (ConfigError, UsageError)):
        return Reason(
            code=ReasonCode.GATE_MISCONFIGURED,
            message=f"the gate cannot check {reference.url}: {error}",
        )
    return defect(type(error).__name__)


def pinned_model(reference: Reference, snapshot: Snapshot | None) -> Model:
    """The model, with the revision that was listed; as it was asked for without a listing."""
    if snapshot is None:
        return Model(url=reference.url, name=reference.name)
    pinned = snapshot.reference
    return Model(url=pinned.url, name=pinned.name, revision=snapshot.revision)
