"""Documents with one thing amiss."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str | int, ...]

# One of each type, and more.
VALUES: Final = [None, True, 7, 1.5, "x", "", [], ["x"], [7], {}, {"x": "x"}, {"x": 7}]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all that is in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, below in inner:
        yield (*path, step)
        if isinstance(below, dict | list):
            yield from places(below, (*path, step))


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def without(document: Any, path: Path) -> Any:
    changed = copy.deepcopy(document)
    del at(changed, path[:-1])[path[-1]]
    return changed


def replaced(document: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(document)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def kind_of(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(type(value))
    return "number" if isinstance(value, int | float) else str(type(value))
