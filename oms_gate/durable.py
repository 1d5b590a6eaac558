"""Files that are written whole or not at all, and are on the disk when that is said."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def append_whole(descriptor: int, line: bytes, *, sync: bool = False) -> None:
    """Add bytes to the end of a file that was opened to be appended to.

    sync: whether to wait until they are on the disk.

    Raises:
        OSError: they cannot be written; the file has its size again, as half a line would spoil
            the next one, too.
    """
    before = os.fstat(descriptor).st_size
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Raises:
        OSError: they cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
