"""The manifest of a model as it lies in its store: what a signer signs."""

from __future__ import annotations

from collections.abc import Collection

from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.oms.manifest import EXCLUDED_FILES, EXCLUDED_FOLDERS, Manifest, Resource
from oms_gate.stores import Snapshot


def manifest_of(
    snapshot: Snapshot, *, ignore_paths: Collection[str] = (), hash_type: HashType = "sha256"
) -> Manifest:
    """Hash every file of a snapshot into a manifest of whole files, in code point order.

    ignore_paths: relative paths to leave out, a folder with all below it.

    Raises:
        SignatureError: nothing is left to sign, or a name cannot be signed.
        StoreError: the store failed.
    """
    ignored = tuple(sorted({*EXCLUDED_FILES, *EXCLUDED_FOLDERS, *ignore_paths}))
    resources = []
    for path in sorted(snapshot.files):
        if any(path == out or path.startswith(out + "/") for out in ignored):
            continue
        hasher = new_hasher(hash_type)
        for chunk in snapshot.chunks(path):
            hasher.update(chunk)
        resources.append(Resource(path, hasher.hexdigest()))
    return Manifest(
        serialization="files",
        hash_type=hash_type,
        shard_size=None,
        allow_symlinks=False,
        ignore_paths=ignored,
        resources=tuple(resources),
    )
