"""A model's listing in the Hub's words: of an admitted one, what is verified and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oms_gate.stores import StoredFile

if TYPE_CHECKING:
    from oms_gate.gateway.models import Decided


@dataclass(frozen=True)
class Entry:
    """A file that clients may have.

    etag: of the content that was signed; None where nobody has verified any.
    content: the bytes, where the gate has them anyway: the signature.
    """

    file: StoredFile
    etag: str | None
    content: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if self.content is not None else self.file.size or 0


def entries(decided: Decided) -> Mapping[str, Entry]:
    """The files of a repository that clients may have, by path.

    Of an admitted one the signed files and the signature; of one that is only let through all.
    """
    if decided.model is None:
        listed = {} if decided.unverified is None else decided.unverified.files
        return {path: Entry(file, None) for path, file in listed.items()}
    model, admission = decided.model, decided.model.admission
    found = {
        path: Entry(admission.snapshot.files[path], _etag(model.content(path)))
        for path, size in model.files.items()
        if size is not None
    }
    bundle = admission.bundle
    if bundle.location in model.listed:
        digest = hashlib.sha256(bundle.content).hexdigest()
        file = admission.snapshot.files[bundle.location]
        found[bundle.location] = Entry(file, digest, bundle.content)
    return dict(sorted(found.items()))


def siblings(listed: Mapping[str, Entry], *, blobs: bool) -> list[dict[str, Any]]:
    """The files as ``/api/models/{name}`` has them; with sizes and digests, if that is asked."""
    return [
        {"rfilename": path} | (_blob(entry) | {"blobId": _blob_id(entry)} if blobs else {})
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
    # There may be as many of the one as of the other.
    folders = {folder for path in listed for folder in _folders(path, "")}
    for path in dict.fromkeys(paths):
        if path in listed:
            found.append(_file(path, listed[path]))
        elif path in folders:
            found.append(_folder(path))
    return found


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
    return {"type": "file", "oid": _blob_id(entry), "path": path} | _blob(entry)


def _blob(entry: Entry) -> dict[str, Any]:
    if entry.file.sha256 is None:
        return {"size": entry.size}
    pointer = len(_pointer(entry.file))
    sha256 = entry.file.sha256
    lfs = {"oid": sha256, "sha256": sha256, "size": entry.size, "pointerSize": pointer}
    return {"size": entry.size, "lfs": lfs}


def _blob_id(entry: Entry) -> str:
    """The Git blob's id; what stands for it where a store is none of Git's."""
    file = entry.file
    if file.sha256 is not None:
        pointer = _pointer(file)
        return _sha1(b"blob %d\0" % len(pointer) + pointer)
    version = file.version or ""
    return version if len(version) == 40 else _sha1(f"{file.path}\0{file.size}\0{version}".encode())


def _pointer(file: StoredFile) -> bytes:
    """What Git has of a large file (Git LFS, pointer files)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
