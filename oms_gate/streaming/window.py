"""One range, fetched in pieces by several threads at once and taken in order by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Condition
from typing import Final

PIECE_BYTES: Final = 4 * 1024 * 1024
WINDOW_BYTES: Final = 64 * 1024 * 1024
"""How far ahead of what was taken a piece may be fetched, and what all windows of a model hold
together at most, in bytes."""


@dataclass(slots=True, eq=False)
class Piece:
    """A part of a window's range, and the memory for it.

    start, end: bytes from the file's start, `end` exclusive.
    """

    window: Window
    start: int
    end: int
    memory: memoryview
    ended: bool = False
    error: BaseException | None = None

    @property
    def content(self) -> memoryview:
        """The bytes of the piece."""
        return self.memory[: self.end - self.start]


class Buffers:
    """Memory for pieces, made when it is first needed and used again. Not for several threads.

    most: pieces that may be held at the same time. No more than needed: what is fetched far ahead
        has left the processor's cache when it is hashed.
    """

    def __init__(self) -> None:
        self.most = 0
        self._held = 0
        self._free: list[memoryview] = []

    def get(self) -> memoryview | None:
        """Memory for one piece, if there is any left."""
        if self._held >= min(self.most, WINDOW_BYTES // PIECE_BYTES):
            return None
        self._held += 1
        return self._free.pop() if self._free else memoryview(bytearray(PIECE_BYTES))

    def put(self, memory: memoryview) -> None:
        """Give it back."""
        self._held -= 1
        self._free.append(memory)


class Window:
    """The pieces of one range that are being fetched, or wait to be taken."""

    def __init__(
        self,
        start: int,
        end: int,
        fetch: Callable[[Piece], None],
        changed: Condition,
        buffers: Buffers,
    ) -> None:
        """
        start, end: bytes from the file's start, `end` exclusive.
        fetch: fills the memory of a piece.
        changed: the lock of all windows and buffers, which is told when anything changed.
        """
        self._next = start
        self._end = end
        self._fetch = fetch
        self._changed = changed
        self._buffers = buffers
        self._pieces: deque[Piece] = deque()
        self._fetching = 0
        self.closed = False

    @property
    def ahead(self) -> int:
        """How many pieces were begun and not taken yet. Needs the lock."""
        return len(self._pieces)

    def begin(self) -> Piece | None:
        """The next piece, to be fetched by the caller, if there is one. Needs the lock."""
        if self.closed or self._next == self._end or (memory := self._buffers.get()) is None:
            return None
        end = min(self._next + PIECE_BYTES, self._end)
        piece = Piece(self, self._next, end, memory)
        self._next = end
        self._pieces.append(piece)
        self._fetching += 1
        return piece

    def fetch(self, piece: Piece) -> None:
        """Fetch a piece that was begun. What fails is raised where it is taken."""
        try:
            self._fetch(piece)
        except BaseException as error:  # noqa: BLE001 - see above
            piece.error = error
        with self._changed:
            piece.ended = True
            self._fetching -= 1
            self._changed.notify_all()

    def take(self) -> Iterator[memoryview]:
        """The content of each piece in order; valid until the next one is asked for.

        Raises:
            Exception: what fetching a piece raised.
        """
        while (piece := self._first()) is not None:
            if piece.error is not None:
                raise piece.error
            yield piece.content
            with self._changed:
                self._drop()

    def close(self) -> None:
        """Wait until nobody fetches any more, and give back what is left."""
        with self._changed:
            self.closed = True
            while self._fetching:
                self._changed.wait()
            while self._pieces:
                self._drop()

    def _first(self) -> Piece | None:
        with self._changed:
            while not self._pieces or not self._pieces[0].ended:
                if self.closed or (not self._pieces and self._next == self._end):
                    return None
                self._changed.wait()
            return self._pieces[0]

    def _drop(self) -> None:
        self._buffers.put(self._pieces.popleft().memory)
        self._changed.notify_all()
