"""Writing a model into the stage: what is hashed gets its name when all of it is as signed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import (
    around,
    disk_errors,
    make_own,
    open_file,
    opened,
    remove,
    unprotect,
)
from oms_gate.errors import DeliveryError
from oms_gate.limits import MIB
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.snapshot import CHUNK_BYTES
from oms_gate.streaming.hashing import FileRange
from oms_gate.streaming.window import AHEAD_BYTES

PARTIAL = "partial"
MODEL = "model"
"""Names in the stage: of the files under transfer, and of the tree to be published."""

_BLOCK_BYTES = 512  # the unit of st_blocks


class Staging:
    """The files of one model in its stage, as a `Destination`.

    A file under transfer is called by digests of its path and of what was signed, so that what an
    earlier run left of it is of this content or of none.

    arrived: size of each file that is complete, in bytes, by path.
    transferred: bytes that were written.
    kept: bytes of each range that an earlier run left, and that were hashed again, by its path and
        start.
    """

    def __init__(
        self,
        stage: int,
        folder: Path,
        resources: Mapping[str, tuple[Resource, ...]],
        sizes: Mapping[str, int | None],
        hash_type: HashType | None,
        access: Access,
    ) -> None:
        """
        stage: a descriptor; it is not used any more after `close`.
        folder: the model's, for messages.
        resources: what was signed of each file; one without arrives as it is.
        sizes: of the model's files, in bytes; None where the store does not say.
        """
        self.sizes = sizes
        self.arrived: dict[str, int] = {}
        self.transferred = 0
        self.kept: dict[tuple[str, int], int] = {}
        self._folder = folder
        self._resources = resources
        self._hash_type = hash_type
        self._access = access
        self._lock = threading.Lock()
        self._writers: set[_PartialFile] = set()
        self._left: dict[str, int] = {}
        self._discarded: set[tuple[str, int]] = set()
        self._closed = False
        self._stage = stage

    def close(self) -> None:
        """End all writing: a reader that is still at work finds its file closed."""
        with self._lock:
            self._closed = True
            writers = list(self._writers)
        for writer in writers:
            writer.close()

    def open(self, part: FileRange) -> _PartialFile:
        """See `Destination.open`."""
        with disk_errors(self._folder), self._lock:
            if self._closed:
                raise RuntimeError("the pull has ended")
            with opened(PARTIAL, self._stage) as partial:
                descriptor = _own_file(partial, self._name(part.path))
            try:
                kept = self.kept[part.path, part.start] = self._kept(part, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            writer = _PartialFile(self, part.start, kept, descriptor, self._folder)
            self._writers.add(writer)
            return writer

    def discard(self, part: FileRange) -> None:
        """See `Destination.discard`."""
        self._discarded.add((part.path, part.start))

    def complete(self, path: str) -> None:
        """See `Destination.complete`: only here a file gets its name.

        Raises:
            DeliveryError: it is not what was written, or the file system failed.
        """
        name = self._name(path)
        with disk_errors(self._folder), opened(PARTIAL, self._stage) as partial:
            descriptor = open_file(partial, name)
            try:
                status = os.fstat(descriptor)
                if self.sizes[path] not in (None, status.st_size) or not _is_own(status):
                    raise DeliveryError(
                        ReasonCode.SYSTEM_IO,
                        f"{path} was changed by another program while it was written; see what "
                        f"else writes beside {self._folder}, and pull again",
                        path=path,
                    )
                self._access.give(descriptor, self._access.file)
            finally:
                os.close(descriptor)
            with (
                opened(MODEL, self._stage) as model,
                around(model, path, self._access) as (place, base),
            ):
                os.rename(name, base, src_dir_fd=partial, dst_dir_fd=place)
        self.arrived[path] = status.st_size

    def prepare(self) -> None:
        """Make the folders of the stage, and remove what is not of these files."""
        with disk_errors(self._folder):
            make_own(self._stage, PARTIAL)
            make_own(self._stage, MODEL)
            # What was replaced by an earlier pull may be write-protected.
            with opened(MODEL, self._stage) as model:
                unprotect(model)
            with opened(PARTIAL, self._stage) as partial:
                ours = set(map(self._name, self._resources))
                for name in os.listdir(partial):  # noqa: PTH208 - of a descriptor
                    if name not in ours:
                        remove(partial, name)

    def forget(self) -> None:
        """Remove all that was gathered: it is of a model that will not be published."""
        self.close()
        with disk_errors(self._folder):
            remove(self._stage, PARTIAL)
            remove(self._stage, MODEL)

    def check_room(self, paths: Collection[str]) -> None:
        """See whether there is room for files that are to be transferred.

        Raises:
            DeliveryError: there is not enough.
        """
        with disk_errors(self._folder), opened(PARTIAL, self._stage) as partial:
            sizes = {self._name(path): self.sizes[path] or 0 for path in paths}
            needed = sum(size - _present(partial, name, size) for name, size in sizes.items())
            room = os.fstatvfs(partial)
        free = room.f_bavail * room.f_frsize
        # Some file systems do not know how large they are.
        if room.f_blocks and needed > free:
            raise DeliveryError(
                ReasonCode.DISK_FULL,
                f"{needed / MIB:.1f} MiB are still to be written to {self._folder}, and "
                f"{free / MIB:.1f} MiB are free there; free some space, and pull again",
            )

    def _kept(self, part: FileRange, descriptor: int) -> int:
        """How many bytes of a range an earlier run left; what cannot be of it is cut off."""
        size = self.sizes[part.path]
        # What this run has written since is not left, but new.
        left = self._left.setdefault(part.path, os.fstat(descriptor).st_size)
        is_usable = part.signed is not None and (part.path, part.start) not in self._discarded
        if part.end is not None:
            if size is not None and left > size:
                os.ftruncate(descriptor, size)
            return part.end - part.start if is_usable and left >= part.end else 0
        kept = 0
        # Further than this ahead of the first byte that is missing nothing was written.
        if is_usable and size is not None:
            kept = max(0, min(left, size) - AHEAD_BYTES)
        os.ftruncate(descriptor, kept)
        return kept

    def _name(self, path: str) -> str:
        signed = ";".join(
            f"{part.start}:{part.end}:{part.digest}" for part in self._resources.get(path, ())
        )
        return hashlib.sha256(f"{path}\0{self._hash_type}\0{signed}".encode()).hexdigest()

    def ended(self, writer: _PartialFile, written: int) -> None:
        """Told by a writer that it is closed."""
        with self._lock:
            self._writers.discard(writer)
            self.transferred += written


class _PartialFile:
    """A range of a file under transfer, open for writing: a `RangeWriter`."""

    def __init__(
        self, staging: Staging, start: int, kept: int, descriptor: int, folder: Path
    ) -> None:
        self._staging = staging
        self._start = start
        self._kept = kept
        self._folder = folder
        self._descriptor: int | None = descriptor
        self._users = 0
        self._written = 0
        self._idle = threading.Condition()
        # Of one file a system writes one part at a time, and who waits for that in it may spin.
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def kept(self) -> Iterator[memoryview]:
        """See `RangeWriter.kept`."""
        position, end = self._start, self._start + self._kept
        buffer = memoryview(bytearray(min(CHUNK_BYTES, self._kept)))
        while position < end:
            with self._in_use() as descriptor:
                count = os.preadv(descriptor, [buffer[: end - position]], position)
            if not count:
                return
            yield buffer[:count]
            position += count

    def write(self, position: int, chunk: bytes | memoryview) -> None:
        """See `RangeWriter.write`."""
        rest = memoryview(chunk)
        with self._turn, self._in_use() as descriptor:
            while rest:
                count = os.pwrite(descriptor, rest, position)
                position, rest = position + count, rest[count:]
        with self._idle:
            self._written += len(chunk)

    def close(self) -> None:
        """Close the file, when what is being written is written; nothing can be, afterwards."""
        with self._idle:
            descriptor, self._descriptor = self._descriptor, None
            self._idle.wait_for(lambda: not self._users)
        if descriptor is not None:
            os.close(descriptor)
            self._staging.ended(self, self._written)

    @contextmanager
    def _in_use(self) -> Iterator[int]:
        """The descriptor, which stays open meanwhile: closed, its number could be another's."""
        with self._idle:
            if self._descriptor is None:
                raise RuntimeError("the file is closed")
            self._users += 1
            descriptor = self._descriptor
        try:
            with disk_errors(self._folder):
                yield descriptor
        finally:
            with self._idle:
                self._users -= 1
                self._idle.notify_all()


def _own_file(at: int, name: str) -> int:
    """A file that has no other name, made where there is none; whatever else is there goes."""
    try:
        descriptor = open_file(at, name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
    else:
        if _is_own(os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
    remove(at, name)
    return open_file(at, name, os.O_RDWR | os.O_CREAT | os.O_EXCL)


def _is_own(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _present(at: int, name: str, size: int) -> int:
    """How much of a file under transfer has its place on the disk already, in bytes."""
    try:
        return min(os.stat(name, dir_fd=at, follow_symlinks=False).st_blocks * _BLOCK_BYTES, size)
    except FileNotFoundError:
        return 0
