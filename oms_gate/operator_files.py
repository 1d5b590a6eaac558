"""The small files that an operator names: configuration, keys, certificates, secrets."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from oms_gate.errors import ConfigError
from oms_gate.limits import MIB

_FILE_BYTES = 4 * MIB
_LOG = logging.getLogger(__name__)


def read_file(path: Path, what: str) -> bytes:
    """A small file.

    what: the file's kind for messages, such as "the public key".

    Raises:
        ConfigError: it cannot be read, or is far too large to be what it should be.
    """
    content, _ = _read(path, what)
    return content


def read_secret(path: Path, what: str, check: Callable[[bytes], object] = lambda _: None) -> bytes:
    """A small file that is its owner's alone. Where it is open to others, the log warns.

    check: raises where the content is not what it should be, and so no secret.

    Raises:
        ConfigError: see `read_file`; or every user may write it.
    """
    content, mode = _read(path, what)
    check(content)
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"{what} {path} can be changed by every user of this machine (mode {mode:04o}), so "
            "it may be anybody's; check it, and chmod 600 it"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        _LOG.warning(
            "%s %s is open to other users of this machine (mode %04o); chmod 600 makes it yours "
            "alone",
            what,
            path,
            mode,
        )
    return content


def open_regular(path: Path) -> BinaryIO | None:
    """A file, open to be read; None for a pipe, a device or a folder: nobody waits at one.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def _read(path: Path, what: str) -> tuple[bytes, int]:
    """A file's content, and who may do what with it."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) > _FILE_BYTES:
        raise ConfigError(f"{what} {path} is larger than {_FILE_BYTES // MIB} MiB")
    return content, mode
