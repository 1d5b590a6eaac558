"""What is opened while a library loads a model is seen, and judged.

Libraries take a folder in the place of a repository of its name, also of one that a model names:
the base model of an adapter, code of ``auto_map``. huggingface_hub is never asked then, so what
Python opens is looked at, by an audit hook (PEP 578), and what `native` readers are given.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from oms_gate.loading.admitted import Admitted
from oms_gate.loading.judgement import Load, current_load, judge, part_of, refuse
from oms_gate.loading.made import Made
from oms_gate.loading.modules_folder import MODULES_VARIABLE
from oms_gate.loading.native import installed_readers, swap_readers
from oms_gate.loading.swaps import Swaps
from oms_gate.loading.threads import swap_threads
from oms_gate.policy.kinds import kind_of

# Code counts where it is copied to be run: programs' own is opened all the time. So are settings of
# all sorts; those count that are a model's own, or beside one of these.
_ALWAYS: Final = frozenset({"weights", "pickle", "tokenizer"})
_OWN_CONFIG: Final = re.compile(
    r"(?:.+_)?config(?:_.+)?\.json|model_index\.json|modules\.json|.+\.index\.json"
)
_LOOKED_AT: Final = frozenset({"open", "shutil.copyfile", *Made.EVENTS})

# How many loads are under way, and what was replaced for them.
_count = 0
_swaps = Swaps()
_lock = threading.Lock()


@contextmanager
def verified_only(models: Admitted, place: str | Path) -> Iterator[None]:
    """Around a library's own loading: models' files come from the cache only.

    That holds for this thread, and for those that are started in it or get work from it.

    models, place: see `Load`.

    Raises:
        AdmissionDenied: where another file was to be opened, and in the end, if the library
            passed over that.
        ConfigError: a library is not made as it was expected; nothing is loaded then.
    """
    load = Load(models, place, current_load())
    try:
        with _seen(), part_of(load):
            yield
    finally:
        load.is_on = False
    if isinstance(place, str) and Path(place).is_dir():
        # It was not there before, and what was read of it may have been read by no Python code.
        refuse(load, place)
    if load.refused:
        raise load.refused[0]


@contextmanager
def _seen() -> Iterator[None]:
    """While it lasts, all is seen that loads do."""
    global _count
    readers = installed_readers()  # It may import, which is not to be waited for.
    with _lock:
        _look_from_now_on()
        if _count == 0:
            try:
                swap_threads(_swaps)
                swap_readers(_swaps, readers)
            except BaseException:
                _swaps.undo()
                raise
        _count += 1
    try:
        yield
    finally:
        with _lock:
            _count -= 1
            if _count == 0:
                _swaps.undo()


@cache
def _look_from_now_on() -> None:
    # It cannot be removed again.
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _LOOKED_AT or (load := current_load()) is None:
        return
    first = arguments[0]
    if not isinstance(first, str | bytes | os.PathLike):
        return  # It was open before.
    name = os.fsdecode(first)
    path = os.path.abspath(name)
    if event == "open":
        _, mode, flags = arguments
        if mode is None and path != name and not os.path.lexists(path):
            return  # By os.open, to which a name may be relative to another folder.
        if load.made.by_opening(path, flags) or flags & os.O_WRONLY:
            return
        if _is_of_a_model(Path(path)):
            judge(load, name)
    elif event == "shutil.copyfile":
        if str(arguments[1]).startswith(os.environ.get(MODULES_VARIABLE, os.devnull) + os.sep):
            judge(load, name)
    else:
        load.made.note(event, *arguments)


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
