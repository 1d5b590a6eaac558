"""What of a model is in a folder already: hashed again, never trusted."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from oms_gate.delivery.folders import around, open_file, status_of
from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.snapshot import chunked
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import measure
from oms_gate.verdict import printable


def right_files(
    folder: int,
    wanted: Mapping[str, tuple[Resource, ...]],
    sizes: Mapping[str, int | None],
    hash_type: HashType,
    limits: Limits,
    *,
    deadline: float,
    on_progress: ProgressCallback | None,
) -> dict[str, os.stat_result]:
    """The status of each wanted file that is in a folder as it was signed.

    folder: a descriptor.
    sizes: of the wanted files, in bytes; None where the store does not say.

    Raises:
        MeasureError: the deadline passed.
    """
    found = {}
    for path in wanted:
        status = status_of(folder, path)
        if (
            status is not None
            and stat.S_ISREG(status.st_mode)
            and sizes[path] in (None, status.st_size)
        ):
            found[path] = status

    def read(
        file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[memoryview]:
        return _read(folder, file.path, found[file.path], start, end, buffer)

    measured = measure(
        Snapshot(
            Reference("file", "/"),
            {path: StoredFile(path, status.st_size) for path, status in found.items()},
            single=False,
            read_range=read,
            divisible=True,
        ),
        {path: wanted[path] for path in found},
        hash_type,
        limits,
        deadline=deadline,
        report_all=True,
        on_progress=on_progress,
    )
    wrong = {finding.path for finding in measured.findings}
    return {path: status for path, status in found.items() if printable(path) not in wrong}


def is_same(status: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing was written to a file between two looks at it.

    The time of the change of its status is no part of this: a further name changes that as well.
    """
    return os.path.samestat(status, other) and (status.st_size, status.st_mtime_ns) == (
        other.st_size,
        other.st_mtime_ns,
    )


def is_unchanged(status: os.stat_result, other: os.stat_result) -> bool:
    """The same, and nothing was done to it at all: who writes can set all times back but one."""
    return is_same(status, other) and status.st_ctime_ns == other.st_ctime_ns


def _read(
    folder: int,
    path: str,
    status: os.stat_result,
    start: int,
    end: int | None,
    buffer: memoryview,
) -> Iterator[memoryview]:
    try:
        with around(folder, path) as (here, name):
            descriptor = open_file(here, name)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            stream.seek(start)
            left = (status.st_size if end is None else end) - start
            yield from chunked(stream.readinto, left, buffer)
            now = os.fstat(descriptor)
        if not is_unchanged(now, status):
            raise StoreError(
                ReasonCode.STORE_CHANGED, f"{path} was changed while it was read", path=path
            )
    except OSError as error:
        raise StoreError(
            ReasonCode.STORE_UNAVAILABLE, f"{path} cannot be read: {error.strerror}", path=path
        ) from error
