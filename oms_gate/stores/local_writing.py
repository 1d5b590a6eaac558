"""Writing a file below a local folder: as a whole or not at all, and through no link."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.05
_MODE = 0o644  # less what the umask takes away
_TEMPORARY = re.compile(r"(?:.*/)?\.oms-gate-[0-9a-f]{16}")


def write_below(root: Path, name: str, content: bytes, check: Callable[[], None]) -> None:
    """Put `content` at `name` below `root`, whose folders are there already.

    check: raises if `root` is no longer what it is written to for; called while no other writer
        of this kind is at work there.

    Raises:
        StoreError: a link or a folder is in the way.
        OSError: the file system refuses or fails. Nothing is left behind.
    """
    *folders, base = name.split("/")
    with _opened(str(root), None) as top:
        _lock(top, str(root))
        with _below(top, folders) as folder:
            check()
            if not _is_free(folder, base):
                raise _in_the_way(name)
            _replace(folder, base, content)


def is_temporary(path: str) -> bool:
    """Whether a file has the name of one that is about to be written, or never came to be."""
    return _TEMPORARY.fullmatch(path) is not None


def _lock(folder: int, path: str) -> None:
    """Keep other writers of this kind away. Whoever can read a folder can lock it, and for ever."""
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up:
                raise StoreError(
                    ReasonCode.STORE_UNAVAILABLE,
                    f"another program has locked {path} for more than {_LOCK_SECONDS:g} seconds, "
                    "so nothing was written; try again when it has ended",
                    path=path,
                ) from error
            time.sleep(_POLL_SECONDS)
        except OSError:
            # Some network file systems lock no folders; there the check alone remains.
            return


@contextmanager
def _opened(path: str, at: int | None) -> Iterator[int]:
    try:
        descriptor = os.open(path, _FOLDER, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise _in_the_way(path) from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _below(at: int, folders: list[str]) -> Iterator[int]:
    """The folder that `folders` lead to, one by one, so that none of them can be a link."""
    if not folders:
        yield at
        return
    with _opened(folders[0], at) as folder, _below(folder, folders[1:]) as last:
        yield last


def _is_free(folder: int, base: str) -> bool:
    """Whether there is nothing, or a regular file that may be replaced."""
    try:
        return stat.S_ISREG(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return True


def _replace(folder: int, base: str, content: bytes) -> None:
    temporary = f".oms-gate-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, _NEW_FILE, _MODE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, base, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        # An interruption may come when it has its name already.
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _in_the_way(path: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_UNSAFE_FILE,
        f"{path} is a link, or a file in place of a folder or the other way round, so nothing was "
        "written; remove it, or name another file",
        path=path,
    )
