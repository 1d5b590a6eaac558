"""A model's listing in the Hub's words: of an admitted one, what is verified and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oms_gate.gateway.models import Decided
from oms_gate.gateway.origins import Described
from oms_gate.stores import StoredFile

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
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if self.content is not None else self.file.size or 0


def entries(decided: Decided) -> Mapping[str, Entry]:
    """The files of a repository that clients may have, by path.

    Of an admitted one the signed files, the signature, and the attestations that were found valid.
    What is let through has all that is there.
    """
    if decided.model is None:
        snapshot = decided.unverified
        return {} if snapshot is None else {p: _passed(f) for p, f in snapshot.files.items()}
    model, admission = decided.model, decided.model.admission
    files = admission.snapshot.files
    found = {}
    if decided.verdict.mode == "annotate":
        found = {path: _passed(file) for path, file in files.items()}
    for attestation in decided.verdict.attestations:
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


def siblings(listed: Mapping[str, Entry], *, blobs: bool) -> list[dict[str, Any]]:
    """The files as ``/api/models/{name}`` has them; with sizes and digests, if that is asked."""
    return [
        {"rfilename": path} | (_blob(entry) | {"blobId": _blob_id(entry.file)} if blobs else {})
        for path, entry in listed.items()
    ]


def tree(
    listed: Mapping[str, Entry], folder: str, *, recursive: bool
) -> list[dict[str, Any]] | None:
    """What is in a folder, as ``/api/models/{name}/tree/...`` has it; None where there is none."""
    prefix = folder + "/" if folder else ""
    inside = {path: entry for path, entry in listed.items() if path.startswith(prefix)}
    if folder and not inside:
        return None
    found: dict[str, dict[str, Any]] = {}
    for path, entry in inside.items():
        for above in _folders(path, prefix):
            found.setdefault(above, _folder(above))
            if not recursive:
                break
        else:
            found[path] = _file(path, entry)
    return list(found.values())


def paths_info(listed: Mapping[str, Entry], paths: list[str]) -> list[dict[str, Any]]:
    """What is at each path where there is something, as ``.../paths-info/...`` has it."""
    found = []
    for path in dict.fromkeys(paths):
        if path in listed:
            found.append(_file(path, listed[path]))
        elif any(each.startswith(path + "/") for each in listed):
            found.append(_folder(path))
    return found


def _passed(file: StoredFile) -> Entry:
    return Entry(file, file.sha256 or _blob_id(file), None)


def expanded(found: list[dict[str, Any]], described: Described) -> list[dict[str, Any]]:
    """Entries with the commit that each is of, where clients ask for more of it.

    The Hub has the last one that changed the file there; the file is the same.
    """
    last = {"id": described.commit, "title": "", "date": described.date}
    return [entry | {"lastCommit": last} for entry in found]


def _etag(content: str) -> str:
    """Of a signed content: the SHA-256 that was signed; else what stands for the digests."""
    kind, _, digest = content.partition("/")
    if kind == "sha256" and not digest.startswith("shards-"):
        return digest
    return hashlib.sha256(content.encode()).hexdigest()


def _folders(path: str, prefix: str) -> Iterator[str]:
    """The folders of a path below a prefix, the outermost first."""
    parts = path.removeprefix(prefix).split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield prefix + "/".join(parts[:count])


def _folder(path: str) -> dict[str, Any]:
    return {
        "type": "directory",
        "oid": hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest(),
        "size": 0,
        "path": path,
    }


def _file(path: str, entry: Entry) -> dict[str, Any]:
    return {"type": "file", "oid": _blob_id(entry.file), "path": path} | _blob(entry)


def _blob(entry: Entry) -> dict[str, Any]:
    if entry.file.sha256 is None:
        return {"size": entry.size}
    pointer = len(_pointer(entry.file))
    sha256 = entry.file.sha256
    lfs = {"oid": sha256, "sha256": sha256, "size": entry.size, "pointerSize": pointer}
    return {"size": entry.size, "lfs": lfs}


def _blob_id(file: StoredFile) -> str:
    """The Git blob's id; what stands for it where a store is none of Git's."""
    if file.sha256 is not None:
        pointer = _pointer(file)
        return _sha1(b"blob %d\0" % len(pointer) + pointer)
    version = file.version or ""
    return (
        version
        if _SHA1.fullmatch(version)
        else _sha1(f"{file.path}\0{file.size}\0{version}".encode())
    )


def _pointer(file: StoredFile) -> bytes:
    """What Git has of a large file (Git LFS, pointer files)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
