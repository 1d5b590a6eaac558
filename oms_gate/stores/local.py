"""Models in a local folder: plain ones, the Hub's download cache, and single files."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.local_names import native, portable
from oms_gate.stores.local_writing import write_below
from oms_gate.stores.snapshot import (
    Snapshot,
    StoredFile,
    Written,
    check_same,
    chunked,
    listed,
    too_many,
    unsafe,
)
from oms_gate.stores.store import too_late, within

_CACHE_FOLDER = re.compile(r"(?:models|datasets|spaces)--.+")


@dataclass(frozen=True, slots=True)
class _Pin:
    """Which file is opened for a listed one, and what its content was then.

    changed: in nanoseconds. A writer can set the modification time back, but not this one; it is
        no part of the version, since a mere renaming changes it too.
    """

    target: str
    identity: str
    changed: int

    @classmethod
    def of(cls, target: str, status: os.stat_result) -> _Pin:
        return cls(target, _identity(status), status.st_ctime_ns)

    def check(self, descriptor: int, path: str) -> None:
        if _Pin.of(self.target, os.fstat(descriptor)) != self:
            raise _changed(path)


@dataclass(frozen=True)
class LocalStore:
    """A folder or a file of this machine.

    A link is followed only from a snapshot of the Hub's cache to the blobs of that cache. What
    was listed is pinned by device, inode, size and times, before and after reading.

    leave_out: whether a path in the folder is no part of the model; a folder's ends with a slash.
    """

    limits: Limits
    leave_out: Callable[[str], bool] = lambda _: False

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """See `Store.snapshot`."""
        named = Path(reference.location)
        root = _resolved(named)
        # The operator named this one file, so a link to it is as good as its target.
        single = root.is_file()
        files, pins = self._listed(named, root, single, named.name + beside)

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[memoryview]:
            return _read(file, pins[file.path], start, end, buffer)

        def write_file(name: str, content: bytes, *_: object) -> Written:
            folder = _resolved(named.parent) if single else root

            def check() -> None:
                check_same(pins, self._listed(named, root, single, native(name))[1])

            try:
                write_below(folder, native(name), content, check)
            except OSError as error:
                raise _store_error(name, error, "written") from error
            return Written(Reference("file", str(folder / native(name))).url)

        return Snapshot(
            reference,
            files,
            single,
            read_range,
            write_file=write_file,
            local_path=lambda path: pins[path].target,
            divisible=True,
        )

    def _listed(
        self, named: Path, root: Path, single: bool, beside: str
    ) -> tuple[dict[str, StoredFile], dict[str, _Pin]]:
        """The files by path, and how each is pinned; with a single one that of this name too."""
        abandoned = Event()

        def walk() -> list[tuple[StoredFile, _Pin]]:
            entries = _single(named, root, beside) if single else self._walk(root)
            found = []
            for path, target in entries:
                if abandoned.is_set():
                    raise too_late(self.limits.listing_seconds)
                found.append(_described(portable(path), target))
            return found

        try:
            found = within(self.limits.listing_seconds, walk, abandoned.set)
        except OSError as error:
            raise _store_error(str(named), error) from error
        files = listed((file for file, _ in found), self.limits)
        return files, {file.path: pin for file, pin in found}

    def _walk(self, root: Path) -> Iterator[tuple[str, str]]:
        """Each file below `root`: its relative path, and the path that is opened for it."""
        blobs = _cache_blobs(root)
        pending, room = [""], self.limits.files
        while pending:
            folder = pending.pop()
            with os.scandir(root / folder) as scan:
                # Folders count too, and nothing is taken in that is too much.
                entries = list(islice(scan, room + 1))
                room -= len(entries)
                if room < 0:
                    raise too_many(self.limits)
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if self.leave_out(portable(path) + "/" * is_folder):
                        continue
                    if entry.is_symlink():
                        target = os.path.realpath(entry.path)
                        if not any(Path(target).is_relative_to(place) for place in blobs):
                            raise unsafe(portable(path), f"is a symbolic link to {target}")
                        yield path, target
                    elif is_folder:
                        pending.append(path)
                    else:
                        yield path, entry.path


def _resolved(named: Path) -> Path:
    """Where a model is.

    Raises:
        StoreError: nowhere, or in a place that cannot be one model.
    """
    try:
        root = named.resolve(strict=True)
    except OSError as error:
        raise _store_error(str(named), error) from error
    except RuntimeError as error:  # It is a link to itself; since Python 3.13 an OSError.
        raise _store_error(str(named), OSError(errno.ELOOP, os.strerror(errno.ELOOP))) from error
    parts = ("snapshots", "blobs")
    if _CACHE_FOLDER.fullmatch(root.name) and all((root / part).is_dir() for part in parts):
        raise StoreError(
            ReasonCode.STORE_UNSAFE_FILE,
            f"{named} is a repository in the Hub's cache, with all its revisions; name a folder "
            "below its snapshots/",
        )
    return root


def _described(path: str, target: str) -> tuple[StoredFile, _Pin]:
    try:
        status = Path(target).lstat()
    except OSError as error:
        raise _store_error(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise unsafe(path)
    return StoredFile(path, status.st_size, version=_identity(status)), _Pin.of(target, status)


def _single(named: Path, root: Path, beside: str) -> Iterator[tuple[str, str]]:
    """One file, and the one beside it of this name if there is one: as `_walk`."""
    yield named.name, str(root)
    neighbour = named.parent / beside
    if beside != named.name and os.path.lexists(neighbour):
        yield beside, str(neighbour)


def _cache_blobs(root: Path) -> list[Path]:
    """The blob folders that links of a Hub cache snapshot may lead to.

    ``<cache>/models--org--name/snapshots/<commit>[/sub]`` links into ``blobs`` of its repository,
    or into ``<cache>/blobs`` for files that were transferred by Xet.
    """
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots":
            repository = folder.parent.parent
            return [repository / "blobs", repository.parent / "blobs"]
    return []


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _read(
    file: StoredFile, pin: _Pin, start: int, end: int | None, buffer: memoryview
) -> Iterator[memoryview]:
    try:
        # Opening must neither follow a link put there since, nor block on a pipe.
        descriptor = os.open(pin.target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            pin.check(descriptor, file.path)
            stream.seek(start)
            left = (file.size or 0) - start if end is None else end - start
            yield from chunked(stream.readinto, left, buffer)
            pin.check(descriptor, file.path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP:
            raise _changed(file.path) from error
        raise _store_error(file.path, error) from error


def _changed(path: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_CHANGED,
        f"{path} was changed or replaced after it was listed; try again when nothing writes to "
        "the model",
        path=path,
    )


def _store_error(path: str, error: OSError, done: str = "read") -> StoreError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return StoreError(
            ReasonCode.STORE_NOT_FOUND,
            f"{path} does not exist; for a repository of the Hub write hf://organization/name",
            path=path,
        )
    if isinstance(error, PermissionError):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN, f"{path} may not be {done} by this user", path=path
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE, f"{path} cannot be {done}: {error.strerror}", path=path
    )
