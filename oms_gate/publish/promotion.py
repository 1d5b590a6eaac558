"""From one registry to another: an admitted model, with its signature, as it was signed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from oms_gate.admission import Admission
from oms_gate.errors import AdmissionDenied
from oms_gate.gate import Gate
from oms_gate.policy.kinds import kind_of
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Judgement, Publication, judge
from oms_gate.publish.registry import Published, open_registry
from oms_gate.publish.release import Release, Upload, release_folder
from oms_gate.publish.s3_registry import S3Registry
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Verdict

MESSAGE: Final = "Promote the model with its signature"


@dataclass(frozen=True)
class Promotion:
    """What was promoted.

    verdict: on the model at its new place.
    left_out: how many files of the source were not, since nobody signed them.
    """

    verdict: Verdict
    published: Published
    left_out: int


def promote(
    source: Reference | str,
    target: Reference | str,
    *,
    gate: Gate,
    on_progress: ProgressCallback | None = None,
) -> Promotion:
    """Copy an admitted model to another registry: the signed files, the signature, attestations.

    The gate decides twice, whatever its mode: as for who uses the source, and as for who publishes
    at the target. The bytes are hashed on their way, but for what S3 copies itself from S3: of
    that it has to declare the signed SHA-256, before and after. Attestations are the unsigned
    files of kind ``signature`` beside the model's own one.

    Raises:
        AdmissionDenied: the source, or what would be at the target, is denied; it has the verdict.
        UsageError: nothing can be published at the target.
        ConfigError: a store cannot be opened as it is configured.
        StepError: the source has changed, somebody else has published meanwhile, or a store fails.
    """
    source, target = Reference.of(source), Reference.of(target)
    gate = copy.copy(gate)
    gate.mode = "enforce"
    admission = gate.admit(source, context={"operation": "pull"})
    with closing(admission.snapshot) as snapshot:
        chosen = admission.signed.keys() | _attestations(gate, admission)
        to = _to_s3 if target.scheme in S3_SCHEMES else _by_folder
        outcome = to(gate, admission, chosen, target, on_progress)
        left_out = snapshot.files.keys() - chosen - {admission.bundle.location}
    if outcome.published is None:
        raise AdmissionDenied(outcome.verdict)
    return Promotion(outcome.verdict, outcome.published, len(left_out))


def _attestations(gate: Gate, admission: Admission) -> set[str]:
    """What else says something about the model, beside its signature, and is small."""
    return {
        path
        for path, file in admission.snapshot.files.items()
        if kind_of(path) == "signature"
        and "/" not in path
        and path != admission.bundle.location
        and file.size is not None
        and file.size <= gate.limits.bundle_bytes
    }


def _bundle_name(gate: Gate, admission: Admission) -> str:
    """What the signature is called at the target: by what the gate looks for there."""
    if gate.signature.elsewhere is None:
        return gate.signature.location
    return admission.bundle.name


def _to_s3(
    gate: Gate,
    admission: Admission,
    chosen: set[str],
    target: Reference,
    on_progress: ProgressCallback | None,
) -> Release:
    """Send the files as they are read, or have S3 copy them."""
    source = admission.snapshot
    with closing(S3Registry(target, gate, source)) as registry:
        result = overlay(
            target,
            None,
            replace(source, files={path: source.files[path] for path in chosen}),
            contents={_bundle_name(gate, admission): admission.bundle.content},
        )
        publication = Publication(
            target,
            result,
            result.files.keys(),
            published=registry.published,
            earlier=registry.earlier_statements,
        )
        # The bytes are hashed when they are sent.
        judgement = judge(gate, publication, assurance=Assurance.SIGNATURE).kept(gate)
        if not judgement.verdict.admitted:
            return Release(judgement.verdict)
        published = registry.publish(
            publication, judgement, message=MESSAGE, on_progress=on_progress
        )
        return Release(_as_sent(judgement, publication, registry.copied), published)


def _as_sent(judgement: Judgement, publication: Publication, copied: AbstractSet[str]) -> Verdict:
    """The verdict with what was hashed on the way, and proven so."""
    verdict, files = judgement.verdict, publication.result.files
    hashed = judgement.signed.keys() - copied
    size = sum(files[path].size or 0 for path in hashed)
    counts = {"declared": len(copied), "measured": len(hashed), "measured_bytes": size}
    assert verdict.coverage is not None
    coverage = verdict.coverage.model_copy(update=counts)
    proven = Assurance.DECLARED if copied else Assurance.BYTES
    return verdict.model_copy(update={"coverage": coverage, "assurance": proven})


def _by_folder(
    gate: Gate,
    admission: Admission,
    chosen: set[str],
    target: Reference,
    on_progress: ProgressCallback | None,
) -> Release:
    """Deliver the model into a folder, and publish that in place of all that is there."""
    source = admission.snapshot
    with (
        closing(open_registry(target, gate)) as registry,
        TemporaryDirectory(prefix="oms-gate-") as place,
    ):
        folder = gate.pull(
            source.reference,
            Path(place) / "model",
            pinned_signature=hashlib.sha256(admission.bundle.content).hexdigest(),
            on_progress=on_progress,
        )
        for path in chosen - admission.signed.keys():
            content = source.read(path, gate.limits.bundle_bytes)
            if content is not None:
                (folder / path).write_bytes(content)
        return release_folder(
            gate,
            registry,
            Upload(folder, delete=("*",)),
            message=MESSAGE,
            on_progress=on_progress,
        )
