"""What a signature that is there already is worth, to whoever signs the model again.

Whoever can write to a model can put any signature beside it. It tells what was decided on before
only where it is by somebody who may decide: the signer of the new one, or whom a policy accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from oms_gate.errors import StepError
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.certificate import read_certificates
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import VerifiedSignature, verify
from oms_gate.policy.engine import Engine
from oms_gate.policy.input import CoverageInput, InputHistory, input_document
from oms_gate.reason_codes import ReasonCode
from oms_gate.signing.model import ModelSigner
from oms_gate.stores import Snapshot
from oms_gate.verdict import Assurance, Model, Signer


@dataclass(frozen=True)
class Standing:
    """What a signature file is worth.

    signer: whose it is, if it counts.
    doubt: why it does not, a sentence; None if it does.
    conditional: whether it counts only if the new one turns out to be by the same signer.
    """

    signer: Signer | None
    doubt: str | None = None
    conditional: bool = False


Vouch = Callable[[bytes, Snapshot], Standing]
"""Says what a signature file of a model is worth. It never fails for what is in the file."""


Recall = Callable[[Snapshot, VerifiedSignature], InputHistory]


def of_the_signer(signer: ModelSigner, limits: Limits) -> Vouch:
    """A signature counts that is by `signer` too, though its certificate may have expired."""

    def vouch(bundle: bytes, _: Snapshot) -> Standing:
        try:
            before = _verified(bundle, signer.trust, limits).signer
        except StepError as error:
            return Standing(None, error.reason.message)
        if signer.identity not in (None, before.identity):
            return Standing(None, f"the model is signed by {before.identity}, who is not you")
        return Standing(before, conditional=signer.identity is None)

    return vouch


def of_the_policy(
    trust: Trust,
    engine: Engine,
    assurance: Assurance,
    limits: Limits,
    recall: Recall | None = None,
) -> Vouch:
    """A signature counts by which the policy would admit the model that was signed.

    What is there now is nothing that it is asked about. A certificate may have expired.

    recall: gives what is remembered of the model, where a memory is kept.
    """

    def vouch(bundle: bytes, snapshot: Snapshot) -> Standing:
        try:
            before = _verified(bundle, trust, limits)
            history = None if recall is None else recall(snapshot, before)
            decision = engine.decide(_as_it_was_signed(before, snapshot, assurance, history))
        except StepError as error:
            return Standing(None, error.reason.message)
        if decision.deny:
            return Standing(None, decision.deny[0].message)
        return Standing(before.signer)

    return vouch


def _verified(bundle: bytes, trust: Trust, limits: Limits) -> VerifiedSignature:
    """Verify a signature file; where a certificate has expired, as of the last of its days.

    A signature is renewed because of that, and who had the key then is who is asked for here.
    """
    now = datetime.now(UTC)
    try:
        return verify(bundle, trust, at=now, limits=limits)
    except StepError as error:
        if error.reason.code is not ReasonCode.CERTIFICATE_EXPIRED:
            raise
    certificates = read_certificates(parse_bundle(bundle, limits))
    last = min(certificate.not_valid_after_utc for certificate in certificates)
    return verify(bundle, trust, at=min(last, now), limits=limits)


def _as_it_was_signed(
    before: VerifiedSignature,
    snapshot: Snapshot,
    assurance: Assurance,
    history: InputHistory | None,
) -> dict[str, object]:
    model, manifest = snapshot.reference, before.manifest
    return input_document(
        model=Model(url=model.url, name=model.name, revision=snapshot.revision),
        # Rules say by what proof an expired certificate may be used, which nobody does here.
        signer=before.signer.model_copy(update={"expired_at": None}),
        signature=before.summary(""),
        sorted_names=manifest.sorted_names,
        allow_symlinks=manifest.allow_symlinks,
        coverage=CoverageInput(signed=tuple((path, None) for path in manifest.files)),
        assurance=assurance,
        now=datetime.now(UTC),
        history=history,
    )
