"""Commits as listings of models: what a registry serves of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from oms_gate.publish.git.lfs import (
    POINTER_BYTES,
    LargeFiles,
    Pointer,
    ambiguous,
    parse,
    pointer_like,
)
from oms_gate.publish.git.objects import Objects
from oms_gate.publish.git.program import Git
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.snapshot import listed, unsafe

_FILES = (b"100644", b"100664", b"100755")
_WHAT = {
    b"120000": ("is a symbolic link",),
    b"160000": ("is a submodule, which is another repository",),
}


@dataclass(frozen=True)
class Tree:
    """The files of one commit, or some of those of its history.

    snapshot: with each large file of Git LFS in the place of its pointer. Its digest is declared
        only if it is there already, or cannot be read here. To close it closes nothing.
    blobs: the blob of each file, by path.
    pointers: what each large file is, by path.
    here: paths of the large files that are new, and are on this machine.
    absent: paths of those that are new and are not.
    ambiguous: paths of files that some readers take for pointers, and others do not.
    """

    snapshot: Snapshot
    blobs: Mapping[str, str]
    pointers: Mapping[str, Pointer]
    here: Collection[str]
    absent: Collection[str]
    ambiguous: Collection[str]


@dataclass(frozen=True, slots=True)
class _File:
    """A blob by a name, and what it is a pointer to."""

    path: str
    blob: str
    size: int
    pointer: Pointer | None
    ambiguous: bool


class Trees:
    """Lists commits of a repository. Nothing is checked out, and no byte is filtered."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self.objects = Objects(git)
        self._large_files = LargeFiles(git)

    def of(self, commit: str, target: Reference, new: Collection[str] = ()) -> Tree:
        """What a commit would be as the model `target`.

        new: the blobs that are not there yet.

        Raises:
            StoreError: a link, a submodule, a name that is not safe everywhere, something that is
                and is not a pointer, more than `limits.files` files; or git fails.
        """
        described = listed(self._walk(commit, strict=True), self._git.limits)
        return self._tree(_pinned(target, commit), self._files(described, strict=True), new)

    def published(self, commit: str, target: Reference) -> Tree:
        """What is there already, whatever it is: only what a model is made of is listed.

        Raises:
            StoreError: git fails, or answers with more than `limits.listing_bytes`.
        """
        described = {file.path: file for file in self._walk(commit, strict=False)}
        return self._tree(_pinned(target, commit), self._files(described, strict=False), ())

    def of_blobs(self, target: Reference, blobs: Mapping[str, str]) -> Tree:
        """Blobs by path, from anywhere in the history, all of them as new.

        Raises:
            StoreError: git fails.
        """
        sizes = self.objects.sizes(blobs.values())
        files = {path: StoredFile(path, sizes[blob], version=blob) for path, blob in blobs.items()}
        return self._tree(target, self._files(files, strict=False), set(blobs.values()))

    def close(self) -> None:
        """End what reads. Nothing can be read of any listing afterwards."""
        self.objects.close()

    def _walk(self, commit: str, *, strict: bool) -> Iterator[StoredFile]:
        listing = ("ls-tree", "-r", "-z", "--long", "--full-tree", commit)
        for record in self._git.records(b"\0", *listing):
            described, _, name = record.partition(b"\t")
            path = name.decode("utf-8", "surrogateescape")
            mode, _, blob, size = described.split()
            if mode not in _FILES:
                if strict:
                    raise unsafe(path, *_WHAT.get(mode, ()))
                continue
            yield StoredFile(path, int(size), version=blob.decode())

    def _files(self, described: Mapping[str, StoredFile], *, strict: bool) -> Iterator[_File]:
        for path, file in described.items():
            blob, size, found, unclear = file.version or "", file.size or 0, None, False
            if size <= POINTER_BYTES:
                content = self.objects.content(blob)
                found = parse(content)
                unclear = found is None and pointer_like(content)
                if strict and unclear:
                    raise ambiguous(path)
            yield _File(path, blob, size, found, unclear)

    def _tree(self, reference: Reference, files: Iterable[_File], new: Collection[str]) -> Tree:
        by_path = {file.path: file for file in files}
        pointers = {path: file.pointer for path, file in by_path.items() if file.pointer}
        fresh = {path for path in pointers if by_path[path].blob in new}
        here = {path for path in fresh if self._large_files.has(pointers[path])}

        def stored(file: _File) -> StoredFile:
            if file.pointer is None:
                return StoredFile(file.path, file.size, version=file.blob)
            # What is only here yet is proven here, and not by its name.
            declared = None if file.path in here else file.pointer.sha256
            return StoredFile(file.path, file.pointer.size, declared, file.blob)

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[bytes | memoryview]:
            found = by_path[file.path]
            if found.pointer is None:
                return self.objects.chunks(found.blob, start, end, buffer)
            return self._large_files.chunks(file.path, found.pointer, start, end, buffer)

        snapshot = Snapshot(
            reference,
            {path: stored(file) for path, file in by_path.items()},
            single=False,
            read_range=read_range,
            abort=self.objects.abort,
        )
        blobs = {path: file.blob for path, file in by_path.items()}
        unclear = {path for path, file in by_path.items() if file.ambiguous}
        return Tree(snapshot, blobs, pointers, here, fresh - here, unclear)


def _pinned(target: Reference, commit: str) -> Reference:
    """The revision that it is on the Hub, where revisions are commits."""
    return target.at(commit) if target.scheme == "hf" else target
