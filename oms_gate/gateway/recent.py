"""What was found out a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Findings, each for a while, and no more than the most recently used so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """What was found, if it still counts."""
        until, found = self._found.get(key, (0.0, None))
        if time.monotonic() >= until:
            self._found.pop(key, None)
            return None
        self._found.move_to_end(key)
        return found

    def put(self, key: Hashable, found: T, seconds: float) -> None:
        """Remember it for so long."""
        self._found[key] = (time.monotonic() + seconds, found)
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            # Whoever has it still may be using it, so it is not closed.
            self._found.popitem(last=False)

    def drop(self, found: T) -> None:
        """Forget it, by whatever key."""
        for key in [key for key, (_, each) in self._found.items() if each is found]:
            del self._found[key]
