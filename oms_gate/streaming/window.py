"""One range, fetched ahead in pieces by several threads and taken in order by one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from threading import Condition
from typing import Final

from oms_gate.limits import MIB
from oms_gate.stores.snapshot import CHUNK_BYTES

LONG_PIECE_BYTES: Final = 32 * MIB
"""The most that all threads of a window together fetch at a time."""
AHEAD_BYTES: Final = 64 * MIB
"""How far ahead of the first byte that was not taken a piece may end, in bytes."""
KEPT_BYTES: Final = 4 * MIB
"""The most that is kept of one piece."""

_ALL_KEPT_BYTES = 18 * MIB
_MOST_PIECES = 9
# A request takes a few milliseconds of a server even where it is near.
_PIECE_SECONDS = 0.05


def piece_bytes(threads: int, rate: float, kept: int) -> int:
    """How much a thread fetches at a time, of so many that each get so many bytes a second.

    Fast ones are spared requests. A slow one fetches no more than can be kept of it, so as not to
    wait until those before it were taken.
    """
    quick = min(int(rate * _PIECE_SECONDS), LONG_PIECE_BYTES // threads)
    return max(quick // KEPT_BYTES * KEPT_BYTES, kept)


@dataclass(slots=True, eq=False)
class Piece:
    """A part of a window's range, and the memory through which it goes.

    start, end: bytes from the file's start, `end` exclusive.
    memory: from its start again where it is full.
    filled, taken: bytes that were put there so far, and that were taken from there.
    """

    window: Window
    start: int
    end: int
    memory: memoryview
    filled: int = 0
    taken: int = 0
    ended: bool = False
    error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is to come."""
        return self.ended and self.taken == self.filled

    def content(self) -> memoryview:
        """What is to be taken next, empty where nothing is there: no more than makes room soon."""
        place = self.taken % len(self.memory)
        return self.memory[place : place + min(self.filled - self.taken, CHUNK_BYTES)]

    def has_room(self) -> bool:
        """Whether the next chunk, if there is one, would overwrite nothing that was not taken."""
        is_full = self.filled - self.taken > len(self.memory) - CHUNK_BYTES
        return not is_full or self.start + self.filled == self.end


class Buffers:
    """Memory for pieces, made when it is first needed and used again. Not for several threads.

    most: pieces that may be held at the same time. No more than needed: what is fetched far ahead
        has left the processor's cache when it is hashed.
    """

    def __init__(self) -> None:
        self.most = 0
        self._held = 0
        self._free: list[mmap] = []

    @property
    def kept_bytes(self) -> int:
        """How much is kept of a piece: the less, the more pieces there are."""
        return min(_ALL_KEPT_BYTES // self._most // MIB * MIB, KEPT_BYTES)

    def get(self) -> memoryview | None:
        """Memory for one piece, if there is any left."""
        if self._held >= self._most:
            return None
        # Of this, only what was once written to takes any room.
        memory = (
            self._free.pop()
            if self._free
            else mmap(-1, KEPT_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        )
        self._held += 1
        return memoryview(memory)[: self.kept_bytes]

    def put(self, memory: memoryview) -> None:
        """Give it back."""
        self._held -= 1
        assert isinstance(memory.obj, mmap)
        self._free.append(memory.obj)

    def drop(self) -> None:
        """Forget what is not held: windows and what fetches for them keep each other alive."""
        self._free.clear()

    @property
    def _most(self) -> int:
        return min(self.most, _MOST_PIECES)


class Window:
    """The pieces of one range that are being fetched, or wait to be taken.

    closed: nothing more is wanted.
    rate: bytes a second of the last piece that was fetched; 0 before.
    """

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
        fetch: puts a piece into its memory, and calls `filled` for each chunk of it.
        changed: the lock of all windows and buffers, which is told when anything changed.
        """
        self._next = self._taken = start
        self._end = end
        self._fetch = fetch
        self._changed = changed
        self._buffers = buffers
        self._pieces: deque[Piece] = deque()
        self._fetching = 0
        self.closed = False
        self.rate = 0.0
        self._starved = 0.0
        self._starving_since: float | None = None

    @property
    def ahead(self) -> int:
        """How many pieces were begun and not taken yet. Needs the lock."""
        return len(self._pieces)

    def starved(self) -> float:
        """For how many seconds who takes has waited since this was last asked. Needs the lock."""
        self._count_hunger()
        seconds, self._starved = self._starved, 0.0
        return seconds

    @property
    def unread(self) -> int:
        """How many bytes are there and were not taken yet. Needs the lock."""
        return sum(piece.filled - piece.taken for piece in self._pieces)

    def begin(self, threads: int) -> Piece | None:
        """The next piece, to be fetched by the caller, if there is one. Needs the lock.

        threads: see `piece_bytes`.
        """
        size = piece_bytes(threads, self.rate, self._buffers.kept_bytes)
        end = min(self._next + size, self._end)
        if self.closed or self._next == end or end - self._taken > AHEAD_BYTES:
            return None
        if (memory := self._buffers.get()) is None:
            return None
        piece = Piece(self, self._next, end, memory)
        self._next = end
        self._pieces.append(piece)
        self._fetching += 1
        return piece

    def fetch(self, piece: Piece) -> None:
        """Fetch a piece that was begun. What fails is raised where it is taken."""
        start = time.monotonic()
        try:
            self._fetch(piece)
        except BaseException as error:  # noqa: BLE001 - see above
            piece.error = error
        with self._changed:
            piece.ended = True
            self.rate = piece.filled / (time.monotonic() - start + 1e-9)
            self._fetching -= 1
            self._changed.notify_all()

    def filled(self, piece: Piece, count: int) -> None:
        """Tell of so many bytes more, and wait until there is room for the next.

        Raises:
            InterruptedError: nothing more is wanted.
        """
        with self._changed:
            piece.filled += count
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.closed or piece.has_room())
            if self.closed:
                raise InterruptedError("nobody takes it any more")

    def take(self) -> Iterator[memoryview]:
        """The bytes of the range in order; each part is valid until the next one is asked for.

        Raises:
            InterruptedError: it was closed before.
            Exception: what fetching a piece raised, be it after its last byte.
        """
        while (piece := self._first()) is not None:
            if piece.is_over:
                if piece.error is not None:
                    raise piece.error
                with self._changed:
                    self._drop()
                continue
            content = piece.content()
            yield content
            with self._changed:
                piece.taken += len(content)
                self._taken += len(content)
                self._changed.notify_all()

    def close(self) -> None:
        """Wait until nobody fetches any more, and give back what is left."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            while self._fetching:
                self._changed.wait()
            while self._pieces:
                self._drop()

    def _first(self) -> Piece | None:
        """The piece whose turn it is, when there is something of it, or it is over; None after the
        last."""
        with self._changed:
            while not self._pieces or not (self._pieces[0].content() or self._pieces[0].is_over):
                if self.closed:
                    raise InterruptedError("the hashing was ended")
                if not self._pieces and self._next == self._end:
                    return None
                self._starving_since = self._starving_since or time.monotonic()
                self._changed.wait()
            self._count_hunger()
            self._starving_since = None
            return self._pieces[0]

    def _count_hunger(self) -> None:
        if self._starving_since is not None:
            now = time.monotonic()
            self._starved += now - self._starving_since
            self._starving_since = now

    def _drop(self) -> None:
        self._buffers.put(self._pieces.popleft().memory)
