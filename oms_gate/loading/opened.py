"""What is opened while a library loads a model: of models, nothing but what was verified.

Libraries take a folder in the place of a repository of its name, also of one that a model names:
the base model of an adapter, code of ``auto_map``. huggingface_hub is never asked then, so what
Python opens is looked at, by an audit hook (PEP 578).
"""

from __future__ import annotations

import os
import re
import sys
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
from oms_gate.loading.guard import models_on
from oms_gate.loading.modules_folder import MODULES_VARIABLE
from oms_gate.policy.kinds import kind_of
from oms_gate.verdict import ReasonCode

# Code counts where it is copied to be run: programs' own is opened all the time. So are settings of
# all sorts; those count that are a model's own, or beside one of these.
_ALWAYS: Final = frozenset({"weights", "pickle", "tokenizer"})
_OWN_CONFIG: Final = re.compile(r"(?:.+_)?config(?:_.+)?\.json|model_index\.json|modules\.json")


@dataclass
class _Load:
    """A load that is under way; see `verified_only`.

    written: files that were made meanwhile.
    """

    models: Admitted
    place: str | Path
    written: set[str] = field(default_factory=set)
    refused: list[AdmissionDenied] = field(default_factory=list)


_load: ContextVar[_Load | None] = ContextVar("oms_gate_load", default=None)
_lock = threading.Lock()


@contextmanager
def verified_only(models: Admitted, place: str | Path) -> Iterator[None]:
    """Around a library's own loading, in this thread: models' files come from the cache only.

    models: the guard's.
    place: what the library is given: the name of a repository; or a path, which may be that of a
        denied model that is used all the same.

    Raises:
        AdmissionDenied: where another file was to be opened, and in the end, if the library
            passed over that.
    """
    with _lock:
        _look_from_now_on()
    load = _Load(models, place)
    token = _load.set(load)
    try:
        yield
    finally:
        _load.reset(token)
    if isinstance(place, str) and Path(place).is_dir():
        # It was not there before, and what was read of it may have been read by no Python code.
        _refuse(load, place)
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
    # As it was named: where a link leads to may be another place by the time it is opened.
    path = os.path.abspath(os.fsdecode(opened))
    if event == "open":
        if second is None and path != os.fsdecode(opened):
            return  # By os.open, to which a name may be relative to any folder.
        flags = arguments[2]
        assert isinstance(flags, int)
        if flags & (os.O_TRUNC | os.O_EXCL):
            load.written.add(path)
            return
        is_loaded = not flags & os.O_WRONLY and _is_of_a_model(Path(path))
    else:
        is_loaded = str(second).startswith(os.environ.get(MODULES_VARIABLE, os.devnull) + os.sep)
    if is_loaded and not _is_known(load, path):
        _refuse(load, os.fsdecode(opened))


def _is_of_a_model(path: Path) -> bool:
    kind = kind_of(path.name)
    if kind != "config":
        return kind in _ALWAYS
    try:
        return any(_OWN_CONFIG.fullmatch(entry.name) for entry in path.parent.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # Who may not list a folder may still be able to read what is in it.


def _is_known(load: _Load, path: str) -> bool:
    """Whether it was verified, was made or warned of, or belongs to what Python imports."""
    every = [load.models, *models_on()]
    if path in load.written or any(Path(path) in models.copies for models in every):
        return True
    known = [folder for models in every for folder in models.folders]
    here = Path.cwd()
    # A folder around the working directory has whatever others put into that.
    known += [Path(entry) for entry in sys.path if entry and not here.is_relative_to(entry)]
    if isinstance(load.place, Path):
        known.append(load.place)
    return any(Path(path).is_relative_to(folder) for folder in known)


def _refuse(load: _Load, path: str) -> None:
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
