"""Files by which one process at a time does something."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(
    file: Path,
    waiting: Callable[[], None],
    deadline: float,
    late: Exception,
    *,
    shared: bool = False,
) -> Iterator[int]:
    """The descriptor of a file that no other process has so, until the block ends.

    It is made where there is none, and may be removed within the block.

    shared: see `locked_now`.
    waiting: called again and again while another process has it; it takes a moment.
    deadline: on the clock of `time.monotonic`, in seconds.
    late: raised where another process has it until then.

    Raises:
        OSError: the file system failed.
    """
    while (descriptor := locked_now(file, shared=shared)) is None:
        if time.monotonic() > deadline:
            raise late
        waiting()
    try:
        yield descriptor
    finally:
        release(descriptor)


def release(descriptor: int) -> None:
    """Let go of a file, and close it.

    A process that was forked meanwhile has the same lock, and would keep it for as long as it
    lives: to close it here is not enough.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def locked_now(file: Path, *, shared: bool = False) -> int | None:
    """The same descriptor, for the caller to release; None while another process has it.

    shared: whether others may have it so, too, and none alone: to be read, and never made.

    Raises:
        FileNotFoundError: it is to be read, and is not there.
        OSError: the file system failed.
    """
    access = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
    # At a pipe nobody waits.
    descriptor = os.open(file, access | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        # Who had it may have removed it.
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
