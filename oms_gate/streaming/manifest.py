"""The manifest of a model as it lies in its store: what a signer signs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing

from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import EXCLUDED_FILES, EXCLUDED_FOLDERS, Manifest, Resource
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import FileRange, Hashing, ProgressCallback


def manifest_of(
    snapshot: Snapshot,
    *,
    ignore_paths: Collection[str] = (),
    hash_type: HashType = "sha256",
    shard_size: int | None = None,
    limits: Limits | None = None,
    on_progress: ProgressCallback | None = None,
) -> Manifest:
    """Hash every file of a snapshot into a manifest, in code point order.

    ignore_paths: relative paths to leave out, a folder with all below it.
    shard_size: bytes; None for whole files.

    Raises:
        UsageError: nothing is left to sign, or not all of it can be signed in shards.
        SignatureError: a name cannot be signed.
        StoreError: the store failed.
        MeasureError: it took longer than `limits.total_seconds`.
    """
    limits = limits or Limits()
    ignored = tuple(sorted({*EXCLUDED_FILES, *EXCLUDED_FOLDERS, *ignore_paths}))
    paths = [path for path in sorted(snapshot.files) if not _is_below(path, ignored)]
    if not paths:
        raise UsageError(
            f"{snapshot.reference.url} has no file to sign; an empty signature would vouch for "
            "nothing"
        )
    ranges = [part for path in paths for part in _ranges(snapshot, path, shard_size)]
    deadline = time.monotonic() + limits.total_seconds
    hashing = Hashing(
        snapshot, ranges, hash_type, limits, deadline=deadline, on_progress=on_progress
    )
    with closing(hashing.run()) as ended:
        for part in ended:
            if part.error is not None:
                raise part.error
    return Manifest(
        serialization="files" if shard_size is None else "shards",
        hash_type=hash_type,
        shard_size=shard_size,
        allow_symlinks=False,
        ignore_paths=ignored,
        resources=tuple(
            Resource(part.path, part.digest or "")
            if shard_size is None
            else Resource(part.path, part.digest or "", part.start, part.end)
            for part in ranges
        ),
    )


def _ranges(snapshot: Snapshot, path: str, shard_size: int | None) -> Iterator[FileRange]:
    if shard_size is None:
        yield FileRange(path)
        return
    size = snapshot.files[path].size
    if not size:
        what = "is empty" if size == 0 else "has no size that its store would tell"
        raise UsageError(
            f"{path} {what}, so no shard could cover it; sign whole files, or leave it out with "
            "an ignore path"
        )
    for start in range(0, size, shard_size):
        yield FileRange(path, start, min(start + shard_size, size))


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)
