"""Files and folders by descriptor, one step after the other: no link on the way is followed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oms_gate.delivery.access import Access
from oms_gate.errors import DeliveryError
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.local_names import native, portable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# To open must not wait for the other end of a pipe.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# A verdict names all files of a model, each with at most a kibibyte.
_LARGEST_BYTES = 256 * MIB


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into a reason that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DeliveryError(
                ReasonCode.DISK_FULL,
                f"there is no room left for {folder}; free some space, or raise the quota, and "
                "pull again: what has arrived is kept for that",
            ) from error
        raise DeliveryError(
            ReasonCode.SYSTEM_IO,
            f"{folder} cannot be written: {error.strerror or error}; let this user write there, "
            "or choose another folder",
        ) from error


def open_folder(path: str, at: int | None = None) -> int:
    """The descriptor of a folder that is no link, for the caller to close."""
    return os.open(path, _FOLDER, dir_fd=at)


@contextmanager
def opened(path: str, at: int | None = None) -> Iterator[int]:
    """The same, closed in the end."""
    descriptor = open_folder(path, at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make(at: int, name: str, access: Access) -> None:
    """Make a folder, if there is nothing of this name."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=at)
        with opened(name, at) as made:
            access.give(made, access.folder)


def make_folders(folder: Path) -> None:
    """Make a folder and all above it that are not there."""
    there = nearest(folder)
    access = Access.within(there.stat())
    for name in folder.relative_to(there).parts:
        there /= name
        with suppress(FileExistsError):
            there.mkdir(0o700)
            with opened(str(there)) as made:
                access.give(made, access.folder)


def nearest(folder: Path) -> Path:
    """The folder itself if it is there, else the next one above it that is."""
    while not folder.exists():
        folder = folder.parent
    return folder


def make_own(at: int, name: str) -> None:
    """Make a folder for this user alone, in place of anything of this name that is none."""
    status = status_of(at, name)
    if status is not None and stat.S_ISDIR(status.st_mode):
        return
    remove(at, name)
    os.mkdir(name, 0o700, dir_fd=at)


@contextmanager
def below(at: int, folder: str, access: Access | None = None) -> Iterator[int]:
    """The descriptor of a folder below another one, ``""`` for that one itself.

    folder: its path in a model.
    access: for the folders on the way, which are made; None to make none.
    """
    here = os.dup(at)
    try:
        for name in native(folder).split("/") if folder else ():
            try:
                there = open_folder(name, here)
            except FileNotFoundError:
                if access is None:
                    raise
                make(here, name, access)
                there = open_folder(name, here)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


@contextmanager
def around(at: int, path: str, access: Access | None = None) -> Iterator[tuple[int, str]]:
    """The folder of a file below another folder, as `below`, and the name to open it by."""
    folder, _, name = path.rpartition("/")
    with below(at, folder, access) as here:
        yield here, native(name)


def open_file(at: int, name: str, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a file, which may be of any kind but no link."""
    return os.open(name, _FILE | flags, 0o600, dir_fd=at)


def status_of(at: int, path: str) -> os.stat_result | None:
    """What a path in a folder leads to, without following links; None where that is nothing."""
    try:
        with around(at, path) as (here, name):
            return os.stat(name, dir_fd=here, follow_symlinks=False)
    except OSError as error:
        if is_nothing(error):
            return None
        raise


def is_nothing(error: OSError) -> bool:
    """Whether an error says that a path leads nowhere without links."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def content_of(at: int, path: str) -> bytes | None:
    """A regular file's content; None where there is none, or more than a pull puts there."""
    status = status_of(at, path)
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
        return None
    with around(at, path) as (here, name), os.fdopen(open_file(here, name), "rb") as stream:
        return stream.read(_LARGEST_BYTES)


def walk(at: int, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, os.stat_result]]:
    """All that is below a folder, each folder before what is in it.

    What is removed meanwhile may be left out.

    skip: names at the top that are left out, with all below them.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        with suppress(FileNotFoundError), below(at, folder) as here, os.scandir(here) as scan:
            for entry in sorted(scan, key=lambda entry: entry.name):
                if not folder and entry.name in skip:
                    continue
                name = portable(entry.name)
                path = f"{folder}/{name}" if folder else name
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                yield path, status


def remove(at: int, name: str) -> None:
    """Remove what has this name, if anything has: of a folder all below it, of a link itself."""
    try:
        os.unlink(name, dir_fd=at)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):  # POSIX has EPERM for a folder.
        with suppress(OSError), opened(name, at) as folder:
            unprotect(folder)
        shutil.rmtree(name, dir_fd=at)


def unprotect(at: int) -> None:
    """Let this user change what is in a folder and in all below it, whatever was forbidden."""
    with suppress(PermissionError):
        os.fchmod(at, stat.S_IMODE(os.fstat(at).st_mode) | stat.S_IRWXU)
    with os.scandir(at) as scan:
        folders = [entry.name for entry in scan if entry.is_dir(follow_symlinks=False)]
    for name in folders:
        try:
            folder = open_folder(name, at)
        except PermissionError:
            with suppress(PermissionError):
                os.chmod(name, stat.S_IRWXU, dir_fd=at)
            folder = open_folder(name, at)
        try:
            unprotect(folder)
        finally:
            os.close(folder)


def remove_files(at: int, paths: Collection[str], skip: tuple[str, ...] = ()) -> None:
    """Remove files below a folder, and then all folders below it that are empty.

    skip: names at the top that are left alone, with all below them.
    """
    for path, status in reversed(list(walk(at, skip))):
        with around(at, path) as (here, name):
            if stat.S_ISDIR(status.st_mode):
                with suppress(OSError):  # It is not empty.
                    os.rmdir(name, dir_fd=here)
            elif path in paths:
                os.unlink(name, dir_fd=here)
