"""Two calls of Linux that Python does not have, and what stands in for them elsewhere."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from oms_gate.delivery.folders import around, below, open_file, walk

_LIBC = ctypes.CDLL(None, use_errno=True)
_RENAME_EXCHANGE = 2
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def exchange(name: str, at: int, other: str, other_at: int) -> bool:
    """Let two names change places in one step; whether this system and file system can.

    Raises:
        OSError: they can, and it failed.
    """
    call = getattr(_LIBC, "renameat2", None)
    if call is None:
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if call(at, os.fsencode(name), other_at, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number))


def make_durable(folder: int) -> None:
    """Wait until all that was written below a folder is on the disk.

    One call for the file system, where there is one: thousands of files would take minutes.

    Raises:
        OSError: it cannot be written.
    """
    call = getattr(_LIBC, "syncfs", None)
    if call is not None:
        if call(folder) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return
    for path, status in walk(folder):
        if stat.S_ISDIR(status.st_mode):
            with below(folder, path) as descriptor:
                os.fsync(descriptor)
        elif stat.S_ISREG(status.st_mode):
            with around(folder, path) as (here, name):
                descriptor = open_file(here, name)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    os.fsync(folder)
