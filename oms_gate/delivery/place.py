"""Where a model is to be, and where it is gathered until it is whole."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from oms_gate.errors import DeliveryError, UsageError
from oms_gate.reason_codes import ReasonCode

STAGE = ".oms-gate-pull"
"""The stage's name inside a folder; beside one, this follows the folder's own."""

_NAME_BYTES = 255
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Place:
    """A folder for a model.

    folder: absolute, links resolved; it need not be there yet.
    stage: the folder on the same file system where the model is gathered.
    in_place: whether the stage is inside, and the files are put into the folder one by one: it
        is a mount point, or its parent cannot be written to, so that it cannot be replaced.
    """

    folder: Path
    stage: Path
    in_place: bool

    @classmethod
    def of(cls, named: str | os.PathLike[str]) -> Place:
        """The place that a user means.

        Raises:
            UsageError: it cannot be a folder.
        """
        text = os.fspath(named)
        if not text or "\0" in text:
            raise UsageError("the folder to pull into has no name; name one")
        folder = Path(os.path.realpath(text))
        try:
            is_there = stat.S_ISDIR(folder.lstat().st_mode)
        except FileNotFoundError:
            is_there = False
        except OSError as error:
            raise UsageError(f"{text} cannot be a folder: {error.strerror}") from error
        else:
            if not is_there:
                raise UsageError(f"{text} is not a folder; name one, or a name that is free")
        inside = folder / STAGE
        # What was begun inside is finished there: both stages have locks of their own. And who is
        # in a folder that is replaced is nowhere.
        if is_there and (
            _is_mount(folder)
            or os.path.isdir(inside)  # noqa: PTH112 - no error where that cannot be seen
            or not _can_be_written(folder.parent)
            or folder == Path(os.path.realpath(os.curdir))
        ):
            return cls(folder, inside, in_place=True)
        stage = folder.with_name(f".{folder.name}{STAGE}")
        if len(os.fsencode(stage.name)) > _NAME_BYTES:
            raise UsageError(f"the name of {text} is too long; choose a shorter one")
        return cls(folder, stage, in_place=False)

    def check_writable(self) -> None:
        """See that a folder that is there can be replaced or filled.

        Raises:
            DeliveryError: it is write-protected.
        """
        if self.folder.is_dir() and not _can_be_written(self.folder):
            raise DeliveryError(
                ReasonCode.SYSTEM_IO,
                f"{self.folder} may not be written to by this user, so the model in it cannot be "
                "replaced; let this user write there, or choose another folder",
            )


def _can_be_written(folder: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=effective)


def _is_mount(folder: Path) -> bool:
    """Whether something is mounted there, be it a part of the same file system."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return os.path.ismount(folder)
    points = (_OCTAL.sub(lambda m: bytes([int(m[1], 8)]), line.split()[4]) for line in lines)
    return os.fsencode(folder) in points
