"""Putting other code where a library's own is, and putting that back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import metadata
from types import CellType
from typing import Any

from oms_gate.errors import ConfigError


def unknown(what: str, library: str = "huggingface_hub") -> ConfigError:
    """The error for a library that is not made as it was expected."""
    return ConfigError(
        f"{library} {metadata.version(library)} cannot be guarded: {what}; nothing "
        "is loaded unguarded, so use another version, or ask for one of oms-gate that knows it"
    )


class Swaps:
    """What was put in the place of something else, to be undone as a whole."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace an attribute that a module or class itself has.

        make: the new value, for the old one.

        Raises:
            ConfigError: there is none.
        """
        if name not in vars(owner):
            raise unknown(f"{owner.__name__} has no {name}")
        self._replace(owner, name, make(vars(owner)[name]))

    def function(
        self, owner: type, name: str, make: Callable[[Callable[..., Any]], Any], library: str
    ) -> None:
        """Replace a function of a class, which may inherit it.

        make: the new one, for the old one as the class has it.
        library: the one whose class it is.

        Raises:
            ConfigError: there is none, or it cannot be replaced.
        """
        try:
            self._replace(owner, name, make(getattr(owner, name)))
        except (AttributeError, TypeError) as error:
            raise unknown(f"{error}", library) from error

    def _replace(self, owner: Any, name: str, replacement: Any) -> None:
        is_own = name in vars(owner)
        original = vars(owner).get(name)
        setattr(owner, name, replacement)

        def undo() -> None:
            # Whoever replaced it meanwhile did so on purpose.
            if vars(owner).get(name) is not replacement:
                return
            if is_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)

        self._undo.append(undo)

    def wrapped(
        self, function: Any, make: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        """Replace the function that a decorator has wrapped, within what it made of it.

        The decorated function stays the same object: whoever imported it before has it, too.

        Raises:
            ConfigError: it is not decorated so.
        """
        cell = _cell(function)
        original = cell.cell_contents
        cell.cell_contents = make(original)
        self._undo.append(lambda: setattr(cell, "cell_contents", original))

    def afterwards(self, call: Callable[[], None]) -> None:
        """Call when all that was replaced before is back."""
        self._undo.insert(0, call)

    def undo(self) -> None:
        """Put everything back, the last first."""
        while self._undo:
            self._undo.pop()()


def _cell(function: Any) -> CellType:
    """Where the closure of a decorated function has the one that it calls."""
    wrapped = getattr(function, "__wrapped__", None)
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # It is empty.
            if wrapped is not None and cell.cell_contents is wrapped:
                return cell  # type: ignore[no-any-return]
    raise unknown(f"{getattr(function, '__name__', function)} is not wrapped in a decorator")
