"""Files by which one process at a time does something."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oms_gate.errors import DeliveryError
from oms_gate.reason_codes import ReasonCode


@contextmanager
def locked(file: Path, waiting: Callable[[], None], deadline: float) -> Iterator[int]:
    """The descriptor of a file that no other process has so, until the block ends.

    It is made where there is none, and may be removed within the block.

    waiting: called again and again while another process has it; it takes a moment.
    deadline: on the clock of `time.monotonic`, in seconds.

    Raises:
        DeliveryError: another process has it until then.
        OSError: the file system failed.
    """
    while (descriptor := _locked(file)) is None:
        if time.monotonic() > deadline:
            raise DeliveryError(
                ReasonCode.DEADLINE_EXCEEDED,
                f"another process has not let go of {file.name} in time; see what it waits for, or "
                "raise the limit 'total_seconds'",
            )
        waiting()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(file: Path) -> int | None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it may have removed it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
