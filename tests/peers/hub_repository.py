"""Repositories as the Hub keeps them: commits, references, and files in git or in LFS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

from tests.peers.content import Content, git_blob_id, sha256_of, size_of

Kind = Literal["model", "dataset", "space"]
Gated = Literal[False, "auto", "manual"]

# What the Hub's own .gitattributes sends to LFS, as far as models have it.
LFS_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("bin", "ckpt", "gguf", "h5", "joblib", "msgpack", "npy", "npz", "onnx", "onnx_data"),
        *("parquet", "pickle", "pkl", "pt", "pth", "safetensors", "tar", "tflite", "zip"),
    )
)
LFS_SIZE = 10 * 1024 * 1024


def goes_to_lfs(path: str, size: int) -> bool:
    """Whether the Hub puts a file of this name and size in bytes into LFS."""
    return PurePosixPath(path).suffix in LFS_SUFFIXES or size > LFS_SIZE


@dataclass(eq=False)
class File:
    """A file to put into a repository.

    content: what is served. lfs: where it is kept; None decides as the Hub does. sha256, size:
    what the listing declares of it; None declares the truth.
    """

    content: Content
    lfs: bool | None = None
    sha256: str | None = None
    size: int | None = None


class StoredFile:
    """A file as a commit has it: what is declared of it, and what is served."""

    def __init__(self, path: str, file: File) -> None:
        self.path = path
        self.content = file.content
        self.size = size_of(file.content) if file.size is None else file.size
        self.lfs = goes_to_lfs(path, self.size) if file.lfs is None else file.lfs
        self._sha256 = file.sha256

    @cached_property
    def sha256(self) -> str:
        """The declared LFS object id."""
        return self._sha256 or sha256_of(self.content)

    @cached_property
    def pointer(self) -> bytes:
        """What git holds in place of an LFS file."""
        lines = ["version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}"]
        return "\n".join([*lines, f"size {self.size}", ""]).encode()

    @cached_property
    def blob_id(self) -> str:
        """The git object id: of the pointer, for an LFS file."""
        return git_blob_id(self.pointer if self.lfs else self.content)

    def replaced(self, content: Content) -> StoredFile:
        """The same declarations over other bytes."""
        sha256 = self.sha256 if self.lfs else None
        other = StoredFile(self.path, File(content, self.lfs, sha256, self.size))
        other.__dict__["blob_id"] = self.blob_id
        return other

    def sibling(self, blobs: bool) -> dict[str, Any]:
        """Its entry in the repository info; `blobs` asks for size and digests."""
        entry: dict[str, Any] = {"rfilename": self.path}
        if blobs:
            entry |= {"blobId": self.blob_id, "size": self.size}
            if self.lfs:
                entry["lfs"] = {
                    "sha256": self.sha256,
                    "size": self.size,
                    "pointerSize": len(self.pointer),
                }
        return entry

    def tree_entry(self) -> dict[str, Any]:
        """Its entry in a tree listing."""
        entry: dict[str, Any] = {
            "type": "file",
            "oid": self.blob_id,
            "size": self.size,
            "path": self.path,
        }
        if self.lfs:
            entry["lfs"] = {
                "oid": self.sha256,
                "size": self.size,
                "pointerSize": len(self.pointer),
            }
        return entry


@dataclass(eq=False)
class Commit:
    """One commit: its files by path, in the order they are listed in."""

    id: str
    parent: str | None
    files: dict[str, StoredFile]
    title: str
    message: str
    date: str

    def tree(self, folder: str, recursive: bool) -> list[dict[str, Any]] | None:
        """The entries under `folder` ("" is the root), or None if there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, file in self.files.items():
            if not path.startswith(prefix):
                continue
            for parent in _folders(path, prefix):
                entries.setdefault(parent, _folder_entry(parent))
                if not recursive:
                    break
            else:
                entries[path] = file.tree_entry()
        return sorted(entries.values(), key=_order) if entries or not folder else None

    def path_info(self, path: str) -> dict[str, Any] | None:
        """The tree entry of one file or folder."""
        if path in self.files:
            return self.files[path].tree_entry()
        folder = any(name.startswith(f"{path}/") for name in self.files)
        return _folder_entry(path) if folder else None

    def summary(self) -> dict[str, Any]:
        """Its entry in the list of commits."""
        return {
            "id": self.id,
            "title": self.title,
            "message": self.message,
            "date": self.date,
            "authors": [{"user": "tester"}],
        }


@dataclass(eq=False)
class Repository:
    """One repository; `refs` maps full names such as ``refs/heads/main`` to commit ids."""

    kind: Kind
    id: str
    private: bool = False
    gated: Gated = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    discussions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def web_path(self) -> str:
        """Its path on the web site, from the slash on."""
        return f"/{self.id}" if self.kind == "model" else f"/{self.kind}s/{self.id}"

    @property
    def api_path(self) -> str:
        """Its path in the API, from the slash on."""
        return f"/api/{self.kind}s/{self.id}"

    def full_ref(self, revision: str) -> str | None:
        """The full name of a branch, a tag or another reference, or None."""
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
        return next((name for name in names if name in self.refs), None)

    def commit(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag, ``refs/pr/N`` or a full id, or None."""
        name = self.full_ref(revision)
        return self.commits.get(self.refs[name] if name else revision)

    def history(self, commit: Commit) -> Iterator[Commit]:
        """A commit and its ancestors, newest first."""
        at: Commit | None = commit
        while at is not None:
            yield at
            at = self.commits[at.parent] if at.parent else None

    def refs_under(self, prefix: str) -> list[dict[str, str]]:
        """The entries of the list of references for names that begin with `prefix`."""
        return [
            {"name": name.removeprefix(prefix), "ref": name, "targetCommit": commit}
            for name, commit in self.refs.items()
            if name.startswith(prefix)
        ]


def _folders(path: str, prefix: str) -> Iterator[str]:
    """The folders on the way from `prefix` down to the file."""
    at = path.find("/", max(len(prefix), 1))
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _folder_entry(path: str) -> dict[str, Any]:
    tree_id = hashlib.sha1(path.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": tree_id, "size": 0, "path": path}


def _order(entry: dict[str, Any]) -> tuple[bool, str]:
    return entry["type"] == "file", entry["path"]
