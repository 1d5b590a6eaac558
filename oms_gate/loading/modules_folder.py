"""Where libraries copy a model's own code before they run it: a private folder under a guard.

They run what they find there without asking where it is from. In a folder that others could write
into before, code that nobody signed would pass for that of an admitted model.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

from oms_gate.loading.swaps import Swaps

MODULES_VARIABLE: Final = "HF_MODULES_CACHE"
"""The environment variable that names the folder."""

# What transformers, diffusers and datasets call the package in that folder.
_PACKAGES = frozenset({"transformers_modules", "diffusers_modules", "datasets_modules"})


def swap_modules_folder(swaps: Swaps) -> None:
    """Let models' own code be copied to, and run from, a fresh folder of this process.

    It is found by libraries that are imported already, and by those that will be. What was loaded
    from it stays usable afterwards: the folder is removed when the process ends.
    """
    folder = _ModulesFolder()
    folder.enter()
    swaps.afterwards(folder.leave)


class _ModulesFolder:
    def __init__(self) -> None:
        from huggingface_hub import constants

        self._variable = os.environ.get(MODULES_VARIABLE)
        self._usual = self._variable or str(Path(constants.HF_HOME, "modules"))
        self._libraries = {name: vars(module)[MODULES_VARIABLE] for name, module in _libraries()}
        self._private = tempfile.mkdtemp(prefix="oms-gate-modules-")
        atexit.register(_remove, self._private, os.getpid())
        self._code: dict[str, ModuleType] = {}
        self._path: list[str] = []

    def enter(self) -> None:
        """Let code come from the private folder only."""
        os.environ[MODULES_VARIABLE] = self._private
        folders = {self._usual, *map(str, self._libraries.values())}
        self._path = [entry for entry in sys.path if entry in folders]
        # First, so that no package of such a name elsewhere is in the way.
        sys.path[:] = [self._private, *(entry for entry in sys.path if entry not in folders)]
        self._point_to(dict.fromkeys(self._libraries, self._private))
        self._code = {name: sys.modules.pop(name) for name, _ in _loaded_code()}
        Path(self._private, "__init__.py").touch()
        importlib.invalidate_caches()

    def leave(self) -> None:
        """Let code come from where it came before; what was loaded can import the rest of it."""
        if self._variable is None:
            os.environ.pop(MODULES_VARIABLE, None)
        else:
            os.environ[MODULES_VARIABLE] = self._variable
        with suppress(ValueError):
            sys.path.remove(self._private)
        sys.path += self._path
        # Those that were imported meanwhile have never known another folder.
        pointing = {name for name, module in _libraries() if self._is_private(module)}
        self._point_to({name: self._libraries.get(name, self._usual) for name in pointing})
        for name, module in _loaded_code():
            if hasattr(module, "__path__"):
                also = str(Path(self._usual, *name.split(".")))
                module.__path__ = [*module.__path__, also]
        for name, module in self._code.items():
            sys.modules.setdefault(name, module)
        if {entry.name for entry in os.scandir(self._private)} == {"__init__.py"}:
            _remove(self._private, os.getpid())
        importlib.invalidate_caches()

    def _is_private(self, module: ModuleType) -> bool:
        return str(vars(module)[MODULES_VARIABLE]) == self._private

    def _point_to(self, folders: dict[str, str | Path]) -> None:
        for name, module in _libraries():
            if name in folders:
                kind = type(vars(module)[MODULES_VARIABLE])
                setattr(module, MODULES_VARIABLE, kind(folders[name]))


def _libraries() -> Iterator[tuple[str, ModuleType]]:
    """The imported modules that have a copy of the setting, by name."""
    for name, module in list(sys.modules.items()):
        if isinstance(getattr(module, "__dict__", {}).get(MODULES_VARIABLE), str | Path):
            yield name, module


def _loaded_code() -> list[tuple[str, ModuleType]]:
    """What was imported from such a folder, by name."""
    return [
        (name, module)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in _PACKAGES
    ]


def _remove(folder: str, owner: int) -> None:
    # A process that was forked off is not who made it.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
