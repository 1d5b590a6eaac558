"""What earlier pulls put into a folder, so that nothing else in it is ever touched."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from pydantic import BaseModel, TypeAdapter, ValidationError

from oms_gate.delivery.folders import content_of, open_file, opened, walk
from oms_gate.delivery.place import STAGE, Place
from oms_gate.errors import UsageError
from oms_gate.verdict import VERDICT_FILE, printable

NOT_OURS = (STAGE, "lost+found")
"""What may be at the top of a folder that is filled in place, and is no part of the model."""

_OURS = "ours.json"


class _Delivered(BaseModel):
    files: tuple[str, ...] = ()
    signature: str | None = None


class _Receipt(BaseModel):
    """As much of a verdict as is needed: that of another release has other fields besides."""

    delivery: _Delivered | None = None


def delivered_files(place: Place) -> list[str]:
    """Paths of the files in a folder, all of which earlier pulls put there; none if it is new.

    Raises:
        UsageError: there is something else in it.
    """
    try:
        with opened(str(place.folder)) as folder:
            ours = _ours(folder, place)
            paths = []
            for path, status in walk(folder, NOT_OURS if place.in_place else ()):
                if stat.S_ISDIR(status.st_mode):
                    continue
                if printable(path) not in ours or not stat.S_ISREG(status.st_mode):
                    raise not_from_a_pull(str(place.folder), path)
                paths.append(path)
            return paths
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{place.folder} cannot be read: {error.strerror}") from error


def not_from_a_pull(folder: str, path: str) -> UsageError:
    """The error for a folder with something else in it."""
    return UsageError(
        f"{folder} holds {printable(path)}, which no pull has put there, so nothing was written; "
        "choose another folder, or remove what is in this one"
    )


def remember(stage: int, place: Place, paths: Iterable[str]) -> None:
    """Note down, before the verdict in a folder goes, which files of it are from pulls.

    paths: those that are about to be put there.
    """
    with opened(str(place.folder)) as folder:
        ours = _ours(folder, place) | {printable(path) for path in paths}
    descriptor = open_file(stage, f"{_OURS}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(sorted(ours), stream)
        stream.flush()
        os.fsync(descriptor)
    os.rename(f"{_OURS}.new", _OURS, src_dir_fd=stage, dst_dir_fd=stage)
    os.fsync(stage)


def _ours(folder: int, place: Place) -> set[str]:
    """Paths, as verdicts show them, of what pulls have put into a folder, or were about to."""
    ours: set[str] = set()
    if (content := content_of(folder, VERDICT_FILE)) is not None:
        with suppress(ValidationError):
            delivered = _Receipt.model_validate_json(content).delivery or _Delivered()
            ours.update((VERDICT_FILE, *delivered.files))
            if delivered.signature is not None:
                ours.add(delivered.signature)
    with suppress(FileNotFoundError), opened(str(place.stage)) as stage:
        if (content := content_of(stage, _OURS)) is not None:
            with suppress(ValidationError):
                ours.update(TypeAdapter(list[str]).validate_json(content))
    return ours
