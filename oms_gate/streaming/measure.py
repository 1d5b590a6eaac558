"""Compare the bytes of a model with those that were signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from oms_gate.errors import MeasureError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import Destination, FileRange, Hashing, ProgressCallback
from oms_gate.verdict import Reason


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was hashed, and one finding for each resource that is not as it was signed."""

    files: int
    bytes: int
    findings: tuple[Reason, ...]


def measure(
    snapshot: Snapshot,
    signed: Mapping[str, tuple[Resource, ...]],
    hash_type: HashType,
    limits: Limits,
    *,
    deadline: float,
    report_all: bool = False,
    destination: Destination | None = None,
    on_progress: ProgressCallback | None = None,
) -> Measurement:
    """Hash every signed resource and compare it with its signed digest.

    The first finding ends all transfers, unless all are to be reported.

    signed: the resources of each file, by path.
    deadline: on the clock of `time.monotonic`, in seconds.
    destination: where the bytes go in the same pass; None for nowhere.

    Raises:
        MeasureError: the deadline passed.
        Exception: whatever else ended a reader, such as an error of the machine.
    """
    ranges = [
        FileRange(path, resource.start or 0, resource.end, resource.digest)
        for path, parts in signed.items()
        for resource in parts
    ]
    hashing = Hashing(
        snapshot,
        ranges,
        hash_type,
        limits,
        deadline=deadline,
        destination=destination,
        on_progress=on_progress,
    )
    left = {path: len(parts) for path, parts in signed.items()}
    findings: list[Reason] = []
    with closing(hashing.run()) as ended:
        for part in ended:
            finding = finding_of(part, hash_type)
            if finding is not None:
                findings.append(finding)
                if not report_all:
                    break
                continue
            left[part.path] -= 1
            if destination is not None and not left[part.path]:
                destination.complete(part.path)
    return Measurement(hashing.files_done, hashing.bytes_done, tuple(findings))


def read_measured(
    snapshot: Snapshot, path: str, signed: tuple[Resource, ...], hash_type: HashType
) -> bytes:
    """The content of a small file, whose size is listed, once it was found to be as it was signed.

    signed: the resources of the file.

    Raises:
        MeasureError: it is not.
        StoreError: as `Snapshot.chunks`.
    """
    content = snapshot.read(path, snapshot.files[path].size or 0) or b""
    check_measured(content, path, signed, hash_type)
    return content


def check_measured(
    content: bytes, path: str, signed: Sequence[Resource], hash_type: HashType
) -> None:
    """Compare the content of a whole small file with what was signed of it.

    Raises:
        MeasureError: it is not that.
    """
    for resource in signed:
        part = FileRange(path, resource.start or 0, resource.end, resource.digest)
        hasher = new_hasher(hash_type)
        hasher.update(memoryview(content)[part.start : part.end])
        part.digest = hasher.hexdigest()
        if (finding := finding_of(part, hash_type)) is not None:
            raise MeasureError(finding.code, finding.message, path=finding.path)


def finding_of(part: FileRange, hash_type: HashType) -> Reason | None:
    """What is wrong with a range that was hashed, or could not be."""
    if part.error is not None:
        return part.error.reason
    if part.digest == part.signed:
        return None
    where = "" if part.end is None else f" (bytes {part.start} to {part.end})"
    return Reason(
        code=ReasonCode.FILE_CHANGED,
        message=f"{part.path}{where} was changed after signing: signed {hash_type} {part.signed}, "
        f"found {part.digest}; sign the model again, or restore the file",
        path=part.path,
    )
