"""A folder to S3 as ``aws s3 sync`` brings it there, but signed, and all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.registry import Published
from oms_gate.publish.release import Upload, release_folder
from oms_gate.publish.s3_registry import S3Registry
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.streaming.hashing import ProgressCallback

if TYPE_CHECKING:
    from oms_gate.signing.model import ModelSigner


def sync(
    folder: str | PathLike[str],
    target: Reference | str,
    *,
    gate: Gate | None = None,
    signer: ModelSigner | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    delete: Sequence[str] = (),
    on_progress: ProgressCallback | None = None,
) -> Published:
    """Publish a folder as the next release of a model in S3, if it may be.

    target: ``s3://bucket/prefix``.
    gate: None for the one that ``OMS_GATE_CONFIG`` configures.
    signer: signs it first; None where it is signed already.
    include, exclude: patterns of what is sent, see `Folder`.
    delete: patterns of what the present release has and the next one has not.

    Raises:
        AdmissionDenied: it may not be published; it has the verdict.
        UsageError: the target is no place in S3, or there is nothing to publish.
        ConfigError: the store or the gate cannot be used as it is configured.
        SigningError: a token or a service failed.
        StepError: somebody else has published meanwhile, a file has changed, or the store fails.
    """
    if not isinstance(target, Reference):
        target = Reference.parse(target)
    if target.scheme not in S3_SCHEMES:
        raise UsageError(f"{target.url} is not in S3; name s3://bucket/prefix")
    if gate is None:
        gate = Gate.from_environment()
    with closing(S3Registry(target, gate)) as registry:
        outcome = release_folder(
            gate,
            registry,
            Upload(Path(folder).expanduser(), include=include, exclude=exclude, delete=delete),
            signer=signer,
            on_progress=on_progress,
        )
    if outcome.published is None:
        raise AdmissionDenied(outcome.verdict)
    return outcome.published
