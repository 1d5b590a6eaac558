"""The files of a repository that clients may have: of an admitted one, what is verified."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oms_gate.cache import CachedModel
from oms_gate.stores import Snapshot, StoredFile

_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Entry:
    """A file that clients may have.

    etag: of the content that was signed, or that the verdict names; where nobody has verified any,
        of what the store declares.
    proof: how the bytes are verified: as they were signed; as a whole, by the SHA-256 that is the
        entity tag; or not at all.
    content: the bytes, where the gate has them anyway.
    """

    file: StoredFile
    etag: str
    proof: Literal["signed", "digest"] | None
    content: bytes | None = None

    @property
    def blob_id(self) -> str:
        """The Git blob's id; what stands for it where a store is none of Git's."""
        return _blob_id(self.file)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if self.content is not None else self.file.size or 0


def entries(model: CachedModel | None, unverified: Snapshot | None) -> Mapping[str, Entry]:
    """The files of a repository that clients may have, by path.

    Of an admitted one the signed files, the signature, and the attestations that were found valid.
    What is let through has all that is there.
    """
    if model is None:
        return {} if unverified is None else _passed(unverified)
    admission = model.admission
    files = admission.snapshot.files
    found = {}
    if model.verdict.mode == "annotate":
        found = _passed(admission.snapshot)
    for attestation in model.verdict.attestations:
        if (file := files.get(attestation.path)) is not None and file.size is not None:
            found[file.path] = Entry(file, attestation.sha256, "digest")
    for path, size in model.files.items():
        if size is not None:
            found[path] = Entry(files[path], _etag(model.content(path)), "signed")
    bundle = admission.bundle
    if bundle.location in model.listed:
        digest = hashlib.sha256(bundle.content).hexdigest()
        found[bundle.location] = Entry(files[bundle.location], digest, "digest", bundle.content)
    return dict(sorted(found.items()))


def pointer_of(file: StoredFile) -> bytes:
    """What Git has of a large file (Git LFS, pointer files)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()


def _passed(snapshot: Snapshot) -> dict[str, Entry]:
    return {
        path: Entry(file, file.sha256 or _blob_id(file), None)
        for path, file in snapshot.files.items()
    }


def _etag(content: str) -> str:
    """Of a signed content: the SHA-256 that was signed; else what stands for the digests."""
    kind, _, digest = content.partition("/")
    if kind == "sha256" and not digest.startswith("shards-"):
        return digest
    return hashlib.sha256(content.encode()).hexdigest()


def _blob_id(file: StoredFile) -> str:
    if file.sha256 is not None:
        pointer = pointer_of(file)
        return _sha1(b"blob %d\0" % len(pointer) + pointer)
    version = file.version or ""
    return (
        version
        if _SHA1.fullmatch(version)
        else _sha1(f"{file.path}\0{file.size}\0{version}".encode())
    )


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
