"""A file piece by piece, so that nothing hides where two pieces meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from oms_gate.inspection.findings import Sighting

LOOK_AHEAD_BYTES: Final = 1024
"""How far from its first byte what is looked for may reach."""

LOOK_BEHIND_BYTES: Final = 64
"""How far before its first byte anything may matter for it."""

_WINDOW_BYTES = 1024 * 1024
# Of a character in UTF-32.
_WIDEST_CHARACTER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a file, with what is around it.

    start, end: of the piece in `content`. What begins there belongs to this window alone.
    line: the number of the line that the piece begins in, from 1.
    """

    content: bytes
    start: int
    end: int
    line: int

    def views(self) -> Iterator[Window]:
        """The window as it is; and, if there are NULs, without them.

        In UTF-16 and UTF-32, plain text is ASCII with NULs between.
        """
        yield self
        if b"\0" in self.content:
            without = self.content.replace(b"\0", b"")
            yield replace(
                self,
                content=without,
                start=self.start - self.content.count(b"\0", 0, self.start),
                end=self.end - self.content.count(b"\0", 0, self.end),
            )

    def matches(self, literal: bytes, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
        """Where a pattern begins in the piece.

        literal: what is in every match. To look for it alone is many times as fast.
        """
        yield from self._matches(literal, pattern, self.start)

    def first_matches(
        self,
        literal: bytes,
        pattern: re.Pattern[bytes],
        accept: Callable[[re.Match[bytes]], bool],
    ) -> Iterator[re.Match[bytes]]:
        """Where a pattern begins in the piece and is accepted: of each line, the first."""
        place = self.start
        while place >= 0:
            match = next(filter(accept, self._matches(literal, pattern, place)), None)
            if match is None:
                return
            yield match
            place = self.content.find(b"\n", match.end())

    def _matches(
        self, literal: bytes, pattern: re.Pattern[bytes], place: int
    ) -> Iterator[re.Match[bytes]]:
        if self.content.find(literal, place) < 0:
            return
        for match in pattern.finditer(self.content, place):
            if match.start() >= self.end:
                return
            yield match

    def numbered(
        self, sightings: Iterable[Sighting], wanted: Callable[[Sighting], bool]
    ) -> Iterator[tuple[Sighting, int]]:
        """Those that are wanted, each with the number of its line.

        sightings: in the order of their positions, so that each line is counted once.
        """
        line, position = self.line, self.start
        for sighting in sightings:
            if wanted(sighting):
                line += self.content.count(b"\n", position, sighting.position)
                position = sighting.position
                yield sighting, line


def windows(
    chunks: Iterable[bytes | memoryview], window_bytes: int = _WINDOW_BYTES
) -> Iterator[Window]:
    """Windows of about so many bytes over a stream, all of which they cover."""
    ahead = LOOK_AHEAD_BYTES * _WIDEST_CHARACTER_BYTES
    behind = LOOK_BEHIND_BYTES * _WIDEST_CHARACTER_BYTES
    content = bytearray()
    start, line = 0, 1
    for chunk in chunks:
        content += chunk
        end = len(content) - ahead
        if end - start < window_bytes:
            continue
        yield Window(bytes(content), start, end, line)
        line += content.count(b"\n", start, end)
        kept = max(end - behind, 0)
        del content[:kept]
        start = end - kept
    yield Window(bytes(content), start, len(content), line)
