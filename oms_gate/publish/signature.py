"""The signature of a publication, made for the revision that is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oms_gate.errors import AdmissionDenied, SignatureError, StoreError, UsageError
from oms_gate.gate import Gate
from oms_gate.oms.manifest import whole_digests
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import OPERATION, Publication
from oms_gate.publish.rollback import statement_digest
from oms_gate.reason_codes import ReasonCode
from oms_gate.signing.model import ModelSigner
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of
from oms_gate.verdict import Signer


def sign(
    gate: Gate,
    publication: Publication,
    signer: ModelSigner,
    *,
    on_progress: ProgressCallback | None = None,
) -> tuple[Publication, bytes]:
    """The publication with a new signature, which is sent too; and that signature.

    It covers what is sent, and of what is there already that for which the present signature
    vouches, if the gate admits it: nobody is to vouch for what somebody else has put there.

    Raises:
        UsageError: there is nothing to sign, or the gate looks for signatures elsewhere.
        ConfigError, SigningError: see `ModelSigner.sign`.
        StepError: a file cannot be read, or its name cannot be signed.
    """
    name, result = gate.signature.location, publication.result
    if gate.signature.elsewhere is not None:
        raise UsageError(
            "the gate looks for signatures elsewhere than beside the model ('signature' in its "
            "configuration); sign the model with oms-gate sign --output first"
        )
    kept = _kept(gate, publication)
    covered = ({*publication.sent} | kept.digests.keys()) - {name}
    manifest = manifest_of(
        replace(result, files={path: result.files[path] for path in covered}),
        ignore_paths={name},
        known=kept.digests,
        limits=gate.limits,
        on_progress=on_progress,
    )
    subject = publication.target.name.rpartition("/")[2]
    bundle, by = signer.sign(manifest, subject, limits=gate.limits)
    if kept.by is not None and _who(kept.by) != _who(by):
        raise SignatureError(
            ReasonCode.PUBLISH_LEFT_BEHIND,
            f"what stays at {publication.target.url} was signed by {kept.by.identity}, and "
            f"{by.identity} would vouch for it unread; let {kept.by.identity} sign, or publish the "
            "whole model",
        )
    signed = overlay(publication.target, result, None, contents={name: bundle})
    new = replace(
        publication,
        result=signed,
        sent={*publication.sent, name},
        # A key signs the same files the same way again: what is signed now is no older release.
        earlier=tuple,
        unvouched=kept.flaw,
    )
    return new, bundle


@dataclass(frozen=True)
class _Kept:
    """What is there already and stays, as the present signature has it.

    digests: the signed ones, by path.
    by: who vouches for it; None if nobody does.
    flaw: why nobody does, to complete "the signature there vouches for none of it: ...".
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    by: Signer | None = None
    flaw: str | None = None


def _kept(gate: Gate, publication: Publication) -> _Kept:
    published = publication.published
    kept = publication.result.files.keys() - {*publication.sent}
    if published is None or not kept:
        return _Kept()
    try:
        admission = gate.admit(
            publication.target,
            listing=lambda: overlay(publication.target, published, None),
            context=OPERATION,
        )
    except AdmissionDenied as denied:
        reason = denied.verdict.reasons[0]
        if denied.verdict.undecided:
            raise StoreError(reason.code, reason.message, path=reason.path) from denied
        return _Kept(flaw=reason.message)
    statement = statement_digest(admission.bundle.content, gate.limits) or ""
    if statement in publication.earlier():
        return _Kept(flaw="it was there before, and was replaced since")
    signed = {path: parts for path, parts in admission.signed.items() if path in kept}
    digests = whole_digests(signed, admission.hash_type)
    if not digests:
        return _Kept(flaw="it has no SHA-256 of whole files, by which it could be signed again")
    return _Kept(digests, admission.verdict.signer)


def _who(signer: Signer) -> tuple[str, str, str | None]:
    return signer.method, signer.identity, signer.issuer
