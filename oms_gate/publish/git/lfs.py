"""Git LFS: pointers that stand for large files, and the local store of those files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oms_gate.errors import StoreError
from oms_gate.publish.git.program import Git
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.local import LocalStore
from oms_gate.stores.snapshot import unsafe

POINTER_BYTES = 1024
"""No file of more bytes is a pointer."""

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size (0|[1-9][0-9]{0,18})\n"
)
_POINTER_LIKE = re.compile(r"version [^\n]{0,200}(?:git-lfs|hawser|git-media)")


@dataclass(frozen=True, slots=True)
class Pointer:
    """The large file that a pointer stands for.

    sha256: in hex; its name in Git LFS.
    size: bytes.
    """

    sha256: str
    size: int


def parse(content: bytes) -> Pointer | None:
    """What a file is a pointer to; None if it is none as the specification has it."""
    match = _POINTER.fullmatch(content) if len(content) <= POINTER_BYTES else None
    return None if match is None else Pointer(match[1].decode(), int(match[2]))


def pointer_like(content: bytes) -> bool:
    """Whether some reader may take a file for a pointer: older versions had others."""
    # White space of any kind around it is nothing to Git LFS.
    return _POINTER_LIKE.match(content.decode("utf-8", "replace").strip()) is not None


def ambiguous(path: str) -> StoreError:
    """The error for a file that is a pointer to some readers, and none to others."""
    return unsafe(
        path,
        "looks like a pointer of Git LFS, but is not written as its specification says, so not "
        "every reader would get the same file",
    )


class LargeFiles:
    """The large files that Git LFS has on this machine for a repository."""

    def __init__(self, git: Git) -> None:
        storage = git.setting("lfs.storage", "--type=path") or "lfs"
        self._folder = git.place("--git-common-dir") / storage / "objects"
        self._store = LocalStore(git.limits)

    def has(self, large: Pointer) -> bool:
        """Whether it is there, as Git LFS sees it: with the pointer's size."""
        path = self._path(large)
        try:
            return path.is_file() and path.stat().st_size == large.size
        except OSError:
            return False

    def chunks(
        self, path: str, large: Pointer, start: int, stop: int | None, buffer: memoryview
    ) -> Iterator[bytes | memoryview]:
        """Its bytes from `start` to `stop`, or to the end.

        path: what it is called in the model, for messages.

        Raises:
            StoreError: it is not there, or cannot be read.
        """
        if not self.has(large):
            raise not_here(path)
        stored: Snapshot = self._store.snapshot(Reference("file", str(self._path(large))))
        yield from stored.chunks(large.sha256, start, stop, buffer)

    def _path(self, large: Pointer) -> Path:
        return self._folder / large.sha256[:2] / large.sha256[2:4] / large.sha256


def not_here(path: str) -> StoreError:
    """The error for a large file that cannot be checked, as only its pointer is here."""
    return StoreError(
        ReasonCode.STORE_NOT_FOUND,
        f"{path} is a pointer of Git LFS, and the file that it stands for is not on this machine, "
        "so it cannot be checked; get it (git lfs fetch --all), and try again",
        path=path,
    )
