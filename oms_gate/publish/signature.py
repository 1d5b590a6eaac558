"""The signature of a publication, made for the revision that is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import OPERATION, Publication
from oms_gate.signing.model import ModelSigner
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of


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
    known = _vouched_for(gate, publication)
    covered = ({*publication.sent} | known.keys()) - {name}
    manifest = manifest_of(
        replace(result, files={path: result.files[path] for path in covered}),
        ignore_paths={name},
        known=known,
        limits=gate.limits,
        on_progress=on_progress,
    )
    subject = publication.target.name.rpartition("/")[2]
    bundle, _ = signer.sign(manifest, subject, limits=gate.limits)
    signed = overlay(publication.target, result, None, contents={name: bundle})
    # A key makes the same signature of the same files again: what is signed now is no older release.
    new = replace(publication, result=signed, sent={*publication.sent, name}, earlier=tuple)
    return new, bundle


def _vouched_for(gate: Gate, publication: Publication) -> Mapping[str, str]:
    """The signed digests of what is there already and stays, by path."""
    published = publication.published
    kept = publication.result.files.keys() - {*publication.sent}
    if published is None or not kept:
        return {}
    try:
        admission = gate.admit(
            publication.target,
            listing=lambda: overlay(publication.target, published, None),
            context=OPERATION,
        )
    except AdmissionDenied:
        return {}
    if admission.hash_type != "sha256":
        return {}
    return {
        path: parts[0].digest
        for path, parts in admission.signed.items()
        if path in kept and parts[0].start is None
    }
