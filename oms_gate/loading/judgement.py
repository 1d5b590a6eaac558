"""What a library may read while it loads a model: of models, nothing but what was verified."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from oms_gate.errors import AdmissionDenied
from oms_gate.loading.admitted import Admitted
from oms_gate.loading.guard import models_on
from oms_gate.loading.made import Made
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import local


@dataclass
class Load:
    """One load.

    models: the guard's, which is on.
    place: what the library is given: the name of a repository; or a path, which may be that of a
        denied model that is used all the same.
    around: the load that this one is a part of.
    is_on: until it has ended. Threads that it has started may live on.
    refused: what was to be read.
    """

    models: Admitted
    place: str | Path
    around: Load | None
    is_on: bool = True
    made: Made = field(default_factory=Made)
    refused: list[AdmissionDenied] = field(default_factory=list)


_load: ContextVar[Load | None] = ContextVar("oms_gate_load", default=None)


def current_load() -> Load | None:
    """The innermost load that is under way here."""
    load = _load.get()
    while load is not None and not load.is_on:
        load = load.around
    return load


@contextmanager
def part_of(load: Load | None) -> Iterator[None]:
    """Around what is a part of a load, or of none."""
    token = _load.set(load)
    try:
        yield
    finally:
        _load.reset(token)


def judge(load: Load, name: str) -> None:
    """See that a model's file, which is to be read, was verified.

    Raises:
        AdmissionDenied: it was not.
    """
    # As it was named: where a link leads to may be another place by the time it is opened.
    if not _is_known(load, os.path.abspath(name)) and not _is_verifying():
        refuse(load, name)


def _is_known(load: Load, path: str) -> bool:
    """Whether it was verified, was made or warned of, or belongs to what Python imports."""
    every = [load.models, *models_on()]
    if path in load.made or any(Path(path) in models.copies for models in every):
        return True
    known = [folder for models in every for folder in models.folders]
    here = Path.cwd()
    # A folder around the working directory has whatever others put into that.
    imported = [Path(os.path.abspath(entry)) for entry in sys.path if entry]
    known += [entry for entry in imported if not here.is_relative_to(entry)]
    if isinstance(load.place, Path):
        known.append(load.place)
    return any(Path(path).is_relative_to(folder) for folder in known)


def _is_verifying() -> bool:
    """Whether it is the gate that reads."""
    frame = sys._getframe()
    while frame.f_globals.get("__name__") != local.__name__:
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return True


def refuse(load: Load, path: str) -> None:
    """Say that it is not to be read; where the gate annotates, with a warning.

    Raises:
        AdmissionDenied: always else.
    """
    denied = load.models.refusal(
        os.path.abspath(path),
        f"{path} was to be loaded besides, and was never verified: a folder goes before a "
        "repository of its name; work in another folder, or load it by a from_pretrained of its "
        "own and hand over what that returns",
        ReasonCode.GUARD_FOLDER,
    )
    if load.models.annotates:
        load.models.warn(denied)
        return
    load.refused.append(denied)
    raise denied
