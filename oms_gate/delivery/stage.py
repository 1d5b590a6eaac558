"""The stage: the folder where one pull at a time gathers a model, under a lock."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from oms_gate.delivery.folders import (
    disk_errors,
    make_folders,
    open_file,
    open_folder,
    opened,
    remove,
    walk,
)
from oms_gate.delivery.place import Place
from oms_gate.errors import DeliveryError
from oms_gate.reason_codes import ReasonCode

_LOG = logging.getLogger(__name__)
LOCK = "lock"
"""The name of the lock in the stage."""
_POLL_SECONDS = 0.1
# Each pull that ends before this one can take the stage away from it once.
_ATTEMPTS = 1000
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class _Gone(Exception):  # noqa: N818 - an event
    """The stage was removed by whoever had it."""


@contextmanager
def locked_stage(place: Place, deadline: float) -> Iterator[int]:
    """The descriptor of the stage, which is this pull's own until the end.

    It stays for the next pull unless it is removed. The lock ends with the process at the latest.

    deadline: on the clock of `time.monotonic`, in seconds.

    Raises:
        DeliveryError: another pull has it until the deadline, it belongs to somebody else, or the
            file system cannot lock.
    """
    with disk_errors(place.folder):
        make_folders(place.stage.parent)
        stage, lock = _locked(place, deadline)
    try:
        yield stage
    finally:
        # Nothing in it that the next pull could use, or somebody has removed it already.
        with suppress(OSError):
            if all(stat.S_ISDIR(status.st_mode) for _, status in walk(stage, (LOCK,))):
                remove_stage(stage, place)
        # A process that was forked meanwhile has the descriptor too, and with it the lock.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
        os.close(stage)


def remove_stage(stage: int, place: Place) -> None:
    """Remove a stage that is locked; whoever waits for it begins anew."""
    for name in os.listdir(stage):
        if name != LOCK:
            remove(stage, name)
    os.unlink(LOCK, dir_fd=stage)
    # Somebody who waits may just have put a lock of their own there.
    with suppress(OSError):
        place.stage.rmdir()


def _locked(place: Place, deadline: float) -> tuple[int, int]:
    """The descriptors of the stage and of its lock."""
    for _ in range(_ATTEMPTS):
        with suppress(_Gone):
            stage = _opened_stage(place)
            try:
                return stage, _lock(stage, place, deadline)
            except BaseException:
                os.close(stage)
                raise
    raise DeliveryError(
        ReasonCode.SYSTEM_IO,
        f"{place.stage} is never the folder that was opened a moment before, so it cannot be "
        "locked; see what replaces it, or choose a folder on another file system",
    )


def _opened_stage(place: Place) -> int:
    """The stage's descriptor; it is made where there is none, and a link in its place goes."""
    with opened(str(place.stage.parent)) as parent:
        made = False
        with suppress(FileExistsError):
            os.mkdir(place.stage.name, 0o700, dir_fd=parent)
            made = True
        try:
            status = os.stat(place.stage.name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(place.stage.name, dir_fd=parent)
                raise _Gone
            stage = open_folder(place.stage.name, parent)
        except FileNotFoundError:
            raise _Gone from None
        try:
            now = os.fstat(stage)
            owner = now.st_uid
            if not made and owner not in (0, os.geteuid(), os.fstat(parent).st_uid):
                raise DeliveryError(
                    ReasonCode.SYSTEM_IO,
                    f"{place.stage} belongs to another user (uid {owner}), who could change what "
                    "is gathered there; remove it, or choose another folder",
                )
            if others := stat.S_IMODE(now.st_mode) & 0o077:
                with suppress(PermissionError):
                    os.fchmod(stage, stat.S_IMODE(now.st_mode) & ~others)
        except BaseException:
            os.close(stage)
            raise
    return stage


def _lock(stage: int, place: Place, deadline: float) -> int:
    try:
        lock = open_file(stage, LOCK, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise _Gone from None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        remove(stage, LOCK)
        raise _Gone from None
    try:
        _wait(lock, stage, place, deadline)
        # Whoever had it may have removed it.
        current = os.stat(LOCK, dir_fd=stage, follow_symlinks=False)
        if not os.path.samestat(current, os.fstat(lock)) or not os.path.samestat(
            place.stage.lstat(), os.fstat(stage)
        ):
            raise _Gone
    except FileNotFoundError:
        os.close(lock)
        raise _Gone from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _wait(lock: int, stage: int, place: Place, deadline: float) -> None:
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DeliveryError(
                    ReasonCode.DEADLINE_EXCEEDED,
                    f"another pull into {place.folder} has not ended in time; see what it waits "
                    "for, or raise the limit 'total_seconds'",
                ) from None
            if not told:
                _LOG.warning("another pull into %s is at work; waiting for it", place.folder)
                told = True
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            if os.listdir(stage) == [LOCK]:
                remove_stage(stage, place)
            raise DeliveryError(
                ReasonCode.SYSTEM_IO,
                f"the file system of {place.folder} cannot lock files, so pulls could disturb one "
                "another, and nothing was written; choose a folder on another file system",
            ) from error
