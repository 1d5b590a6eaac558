"""Paths of the command line as paths in the model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def inside(model: Path, places: Iterable[Path]) -> Iterator[str]:
    """Those of `places` that are in the model's folder, relative to it; ``.`` for itself.

    Links on the way are followed; whether a place is a link itself does not matter.
    """
    root = Path(os.path.realpath(model))
    for place in places:
        absolute = Path(os.path.abspath(place))
        followed = Path(os.path.realpath(absolute.parent), absolute.name)
        if followed.is_relative_to(root):
            yield followed.relative_to(root).as_posix()
