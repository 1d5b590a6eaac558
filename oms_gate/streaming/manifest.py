"""The manifest of a model as it lies in its store: what a signer signs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from operator import attrgetter

from oms_gate.errors import SignatureError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms import names
from oms_gate.oms.digests import DIGEST_BYTES, HASH_TYPES, HashType
from oms_gate.oms.manifest import (
    EXCLUDED_FILES,
    EXCLUDED_FOLDERS,
    LARGEST_OFFSET,
    Manifest,
    Resource,
)
from oms_gate.oms.quoting import quoted
from oms_gate.oms.statement import serialize_statement
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import FileRange, Hashing, ProgressCallback

# Certificates, log entry and timestamp of a real bundle have less, and so has a model's name.
_MATERIAL_BYTES = 32 * 1024


def manifest_of(
    snapshot: Snapshot,
    *,
    ignore_paths: Collection[str] = (),
    hash_type: HashType = "sha256",
    shard_size: int | None = None,
    known: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    on_progress: ProgressCallback | None = None,
) -> Manifest:
    """Hash every file of a snapshot into a manifest, in code point order of the names.

    ignore_paths: relative paths to leave out, a folder with all below it.
    shard_size: bytes; None for whole files.
    known: digests, in hex, of whole files that need not be read for it, by path.

    Raises:
        UsageError: nothing is left to sign, not all of it can be signed in shards, there is no such
            hash type or shard size, or the signature would be larger than `limits` allow.
        SignatureError: a name cannot be signed.
        StoreError: the store failed.
        MeasureError: it took longer than `limits.total_seconds`.
    """
    limits = limits or Limits()
    if hash_type not in HASH_TYPES:
        raise UsageError(f"{hash_type!r} is no hash type; take one of {', '.join(HASH_TYPES)}")
    if shard_size is not None and not 1 <= shard_size <= LARGEST_OFFSET:
        raise UsageError(
            f"{shard_size} is no size of shards; give a number of bytes from 1 to {LARGEST_OFFSET}"
        )
    ignored = tuple(sorted({*EXCLUDED_FILES, *EXCLUDED_FOLDERS, *ignore_paths}))
    left_out = names.Subtrees(ignored)
    paths = [path for path in snapshot.files if path not in left_out]
    if not paths:
        raise UsageError(
            f"{snapshot.reference.url} has no file to sign; an empty signature would vouch for "
            "nothing"
        )
    _check_count(snapshot, paths, shard_size, limits)
    ranges = [part for path in paths for part in _ranges(snapshot, path, shard_size)]

    for part in ranges:
        part.digest = (known or {}).get(part.path)

    def manifest() -> Manifest:
        unknown = "0" * 2 * DIGEST_BYTES[hash_type]
        resources = (
            Resource(part.path, part.digest or unknown)
            if shard_size is None
            else Resource(part.path, part.digest or unknown, part.start, part.end)
            for part in ranges
        )
        return Manifest(
            serialization="files" if shard_size is None else "shards",
            hash_type=hash_type,
            shard_size=shard_size,
            allow_symlinks=False,
            ignore_paths=ignored,
            resources=tuple(sorted(resources, key=attrgetter("name"))),
        )

    # What is wrong with the names, or too much, need not be hashed first.
    _check_names(paths)
    _check_size(manifest(), limits)
    deadline = time.monotonic() + limits.total_seconds
    unread = [part for part in ranges if part.digest is None]
    hashing = Hashing(
        snapshot, unread, hash_type, limits, deadline=deadline, on_progress=on_progress
    )
    with closing(hashing.run()) as ended:
        for part in ended:
            if part.error is not None:
                raise part.error
    return manifest()


def _check_names(paths: Collection[str]) -> None:
    for path in paths:
        if flaw := names.flaw(path):
            raise _unsignable(path, f"the name {quoted(path)} {flaw}")
    if pair := names.clash(paths):
        raise _unsignable(
            pair[1],
            f"the names {quoted(pair[0])} and {quoted(pair[1])} cannot lie side by side on every "
            "file system",
        )


def _unsignable(path: str, fault: str) -> SignatureError:
    return SignatureError(
        ReasonCode.STATEMENT_UNSAFE_NAME,
        f"the model cannot be signed: {fault}; rename the file",
        path=path[: names.NAME_BYTES],
    )


def _check_count(
    snapshot: Snapshot, paths: Collection[str], shard_size: int | None, limits: Limits
) -> None:
    sizes = (snapshot.files[path].size or 0 for path in paths)
    count = sum(1 if shard_size is None else -(-size // shard_size) for size in sizes)
    if count > limits.resources:
        raise UsageError(
            f"the manifest would have {count} entries, more than limits.resources allows "
            f"({limits.resources}), and so do verifiers; sign larger shards or whole files, or the "
            "parts of the model on their own"
        )


def _check_size(manifest: Manifest, limits: Limits) -> None:
    size = len(serialize_statement(manifest, "")) * 4 // 3 + _MATERIAL_BYTES
    if size > limits.bundle_bytes:
        raise UsageError(
            f"the signature would have some {size} bytes, more than limits.bundle_bytes allows "
            f"({limits.bundle_bytes}), and so do verifiers; sign larger shards or whole files, or "
            "the parts of the model on their own"
        )


def _ranges(snapshot: Snapshot, path: str, shard_size: int | None) -> Iterator[FileRange]:
    if shard_size is None:
        yield FileRange(path)
        return
    size = snapshot.files[path].size
    if not size:
        what = "is empty" if size == 0 else "has no size that its store would tell"
        raise UsageError(f"{path} {what}, so no shard could cover it; sign whole files instead")
    for start in range(0, size, shard_size):
        yield FileRange(path, start, min(start + shard_size, size))
