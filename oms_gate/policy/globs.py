"""Globs over the paths and the names of models, as publisher rules have them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PART = re.compile(r"\*+|.", re.DOTALL)


class Globs:
    """What patterns name: ``path in Globs(patterns)``.

    ``*`` stands for any text within a part of a path, ``**`` for any text at all, and every other
    character for itself. Time is linear in the path, whatever the patterns are.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_Pattern(pattern) for pattern in patterns]

    def __contains__(self, path: str) -> bool:
        return any(pattern.matches(path) for pattern in self._patterns)


def covers(glob: str, model: str) -> bool:
    """Whether a glob over models is about one, by its name: about it, or what it is below."""
    return model in Globs([glob, f"{glob}/**"])


class _Pattern:
    """All places in a pattern at which a match can be are followed at once: bits of a number."""

    def __init__(self, text: str) -> None:
        self._literals: dict[str, int] = {}
        self._within = self._across = 0
        place = 1
        for part in _PART.findall(text):
            if part == "*":
                self._within |= place
            elif part[0] == "*":  # Of which there are two or more.
                self._across |= place
            else:
                self._literals[part] = self._literals.get(part, 0) | place
            place <<= 1
        self._end = place

    def matches(self, path: str) -> bool:
        wildcards = self._across | self._within
        # A wildcard may stand for nothing, and no two are side by side.
        places = 1 | (1 & wildcards) << 1
        for character in path:
            stay = places & (self._across if character == "/" else wildcards)
            places = stay | (places & self._literals.get(character, 0)) << 1
            places |= (places & wildcards) << 1
        return bool(places & self._end)
