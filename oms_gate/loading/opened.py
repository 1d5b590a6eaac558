"""What is opened while a library loads a model: of models, nothing but what was verified.

Libraries take a folder in the place of a repository of its name, also of one that a model names:
the base model of an adapter, code of ``auto_map``. huggingface_hub is never asked then, so what
Python opens is looked at, by an audit hook (PEP 578).
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from oms_gate.errors import AdmissionDenied
from oms_gate.loading.admitted import Admitted
from oms_gate.loading.modules_folder import MODULES_VARIABLE
from oms_gate.policy.kinds import kind_of
from oms_gate.verdict import ReasonCode

# Code counts where it is copied to be run: programs' own is opened all the time.
_KINDS: Final = frozenset({"weights", "pickle", "config", "tokenizer"})
# By these a library knows a model's folder, or a part of one.
_MARKS: Final = ("config.json", "model_index.json", "modules.json")


@dataclass
class _Load:
    """A load that is under way; see `verified_only`."""

    models: Admitted
    folders: tuple[Path, ...]
    refused: list[AdmissionDenied] = field(default_factory=list)


_load: ContextVar[_Load | None] = ContextVar("oms_gate_load", default=None)
_lock = threading.Lock()


@contextmanager
def verified_only(models: Admitted, place: Path | None) -> Iterator[None]:
    """Around a library's own loading, in this thread: models' files come from the cache only.

    models: the guard's.
    place: the path that the library is given, if any, which may be that of a denied model that is
        used all the same.

    Raises:
        AdmissionDenied: where another file was to be opened, and in the end, if the library
            passed over that.
    """
    with _lock:
        _look_from_now_on()
    load = _Load(models, () if place is None else (place.resolve(),))
    token = _load.set(load)
    try:
        yield
    finally:
        _load.reset(token)
    if load.refused:
        raise load.refused[0]


@cache
def _look_from_now_on() -> None:
    # It cannot be removed again.
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("open", "shutil.copyfile") or (load := _load.get()) is None:
        return
    opened, second = arguments[:2]
    if not isinstance(opened, str | bytes | os.PathLike):
        return  # It was open before.
    path = Path(os.fsdecode(opened))
    if event == "open":
        flags = arguments[2]
        is_read = isinstance(flags, int) and not flags & (os.O_WRONLY | os.O_CREAT)
        is_loaded = is_read and kind_of(path.name) in _KINDS and _is_of_a_model(path)
    else:
        is_loaded = str(second).startswith(os.environ.get(MODULES_VARIABLE, os.devnull) + os.sep)
    if is_loaded and not _is_known(load, path):
        _refuse(load, path)


def _is_of_a_model(path: Path) -> bool:
    try:
        return any(entry.name.endswith(_MARKS) for entry in path.parent.iterdir())
    except OSError:
        return False


def _is_known(load: _Load, path: Path) -> bool:
    """Whether it was verified, was warned of, or is a part of Python and what is installed."""
    real = path.resolve()
    known = (*load.folders, *load.models.folders, *_installed())
    return real in load.models.copies or any(real.is_relative_to(folder) for folder in known)


@cache
def _installed() -> tuple[Path, ...]:
    places = (sysconfig.get_path("stdlib"), *site.getsitepackages(), site.getusersitepackages())
    return tuple(Path(place).resolve() for place in places)


def _refuse(load: _Load, path: Path) -> None:
    denied = load.models.refusal(
        str(path.absolute().parent),
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
