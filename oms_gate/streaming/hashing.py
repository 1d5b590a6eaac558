"""Hash ranges of a model's files as they stream by, several at a time."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Protocol

from oms_gate.errors import MeasureError, StoreError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.streaming.pace import Pace
from oms_gate.streaming.window import KEPT_BYTES, Buffers, Piece, Window

THREAD_NAME = "oms-gate-hash"
"""What every thread is called that reads a model."""

_POLL_SECONDS = 0.1
_END_SECONDS = 0.8
# From so many bytes on it is worth it to divide a range.
_DIVIDED_BYTES = 4 * KEPT_BYTES
# A request takes about as long as to transfer so much.
_REQUEST_BYTES = 256 * 1024
_FIRST_CONNECTIONS = 4

# Ranges that this process hashes now, for whomever.
_ACTIVE: set[FileRange] = set()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the hashing is. Totals in bytes leave out files of unknown size."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


ProgressCallback = Callable[[Progress], None]


@dataclass(slots=True, eq=False)
class FileRange:
    """A file, or a part of one, and in the end what came of it: a digest, or a store's error.

    start, end: bytes from the file's start, `end` exclusive; None for the file's own end.
    signed: the digest that it should have, where that is known.
    digest: the one that it has. Both are lower-case hex.
    """

    path: str
    start: int = 0
    end: int | None = None
    signed: str | None = None
    bytes_done: int = 0
    digest: str | None = None
    error: StoreError | None = None


class RangeWriter(Protocol):
    """Where the bytes of one range go while they are hashed."""

    def kept(self) -> Iterator[memoryview]:
        """The first bytes of the range, as an earlier run left them: they are not read again.

        They are hashed with all others, and so never trusted. A chunk is valid until the next one
        is asked for.
        """

    def write(self, position: int, chunk: bytes | memoryview) -> None:
        """Put a chunk at an offset of the file, in bytes. Several threads may do so at once."""


class Destination(Protocol):
    """Where the bytes of a model go while they are hashed. Safe for use by several threads.

    Whatever it raises ends the whole, and reaches the caller.
    """

    def open(self, part: FileRange) -> AbstractContextManager[RangeWriter]:
        """Prepare to write one range."""

    def discard(self, part: FileRange) -> None:
        """Forget what an earlier run left of a range: it was not what it should be."""

    def complete(self, path: str) -> None:
        """Told when all ranges of a file are there and have their signed digest."""


class Hashing:
    """The hashing of ranges of a snapshot's files.

    Each range is one transfer, hashed by the thread that reads it. Where there are fewer ranges
    than connections are of use, the long ones are divided: others fetch pieces ahead of the
    thread that hashes. How many connections are of use is found out on the way.

    Memory does not grow with the model: each thread holds one chunk, and pieces have their bound.

    files_done: files all of whose ranges were read to their end, as a count.
    bytes_done: what was hashed of ranges that were.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        ranges: Iterable[FileRange],
        hash_type: HashType,
        limits: Limits,
        *,
        deadline: float,
        destination: Destination | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        """
        deadline: on the clock of `time.monotonic`, in seconds.
        destination: where the bytes go; None for nowhere.
        """
        self.files_done = 0
        self.bytes_done = 0
        self._snapshot = snapshot
        # The longest first, so that the last to end is a short one.
        self._ranges = sorted(ranges, key=self._expected_bytes, reverse=True)
        self._hash_type = hash_type
        self._limits = limits
        self._deadline = deadline
        self._destination = destination
        self._on_progress = on_progress
        self._next_report = 0.0
        self._left = Counter(part.path for part in self._ranges)
        self._bytes_total = sum(map(self._expected_bytes, self._ranges))
        self._ended_bytes = 0
        self._ended_ranges = 0
        self._ended: queue.SimpleQueue[tuple[FileRange, BaseException | None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._processors = os.cpu_count() or 1
        # More than there are processors hash no faster.
        first = min(len(self._ranges), self._processors, _FIRST_CONNECTIONS)
        self._pace = Pace(max(first, 1), limits.connections)
        self._starved = 0.0
        self._adapted = time.monotonic(), time.process_time()
        # What follows is under its lock.
        self._changed = threading.Condition()
        self._waiting = deque(self._ranges)
        self._active: set[FileRange] = set()
        self._windows: list[Window] = []
        self._buffers = Buffers()
        self._threads: set[threading.Thread] = set()

    def run(self) -> Generator[FileRange]:
        """Each range when it has ended, in any order. To close the generator ends all transfers.

        Raises:
            MeasureError: the deadline passed.
            Exception: whatever else than the store ended a reader, such as an error of the machine.
        """
        pending = len(self._ranges)
        try:
            while pending:
                self._check_time()
                self._adapt()
                try:
                    part, error = self._ended.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    self._report()
                    continue
                if error is not None:
                    raise error
                pending -= 1
                self._count(part)
                self._report()
                yield part
        finally:
            self._end(pending > 0)

    def _end(self, early: bool) -> None:
        with self._changed:
            # Of a range that failed, other pieces may still be under way.
            under_way = early or bool(self._windows)
            self._stop.set()
            for window in self._windows:
                window.closed = True
            self._changed.notify_all()
            self._buffers.drop()
            threads = list(self._threads)
        if under_way:
            self._snapshot.abort()
        if self._destination is not None:
            # Nobody may write any more. Who does not end by then is waiting for a store, and looks
            # whether it was stopped before it writes.
            until = time.monotonic() + _END_SECONDS
            for thread in threads:
                thread.join(max(until - time.monotonic(), 0))

    def _adapt(self) -> None:
        """Have as many threads as are of use now."""
        with self._changed:
            done = self._bytes() + _REQUEST_BYTES * self._ended_ranges
            done += sum(window.unread for window in self._windows)
            now, busy = time.monotonic(), time.process_time()
            # Whether those who read and hash in turns wait for bytes shows in idle processors.
            idle = now - self._adapted[0] - (busy - self._adapted[1]) / self._processors
            starved = [window.starved() for window in self._windows]
            self._starved += max(starved, default=idle)
            self._adapted = now, busy
            self._pace.observe(now, done, self._starved)
            self._start_threads()

    def _start_threads(self) -> None:
        """Start what threads are missing. Needs the lock."""
        missing = self._most_threads() - len(self._threads)
        useful = missing if self._windows else min(missing, len(self._waiting))
        for _ in range(useful):
            # Daemons: a reader that hangs in a system call must not keep the process alive.
            thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            thread.start()
            self._threads.add(thread)

    def _most_threads(self) -> int:
        # Who takes from a window has no connection.
        return self._pace.count + len(self._windows)

    def _work(self) -> None:
        try:
            while (job := self._job()) is not None:
                if isinstance(job, Piece):
                    job.window.fetch(job)
                    continue
                _ACTIVE.add(job)
                try:
                    self._hash(job)
                except BaseException as error:  # noqa: BLE001 - see `_tell`
                    self._tell(job, error)
                else:
                    self._tell(job)
                finally:
                    _ACTIVE.discard(job)
        except BaseException as error:  # noqa: BLE001 - of the machine, such as no memory
            self._ended.put((self._ranges[0], error))

    def _tell(self, part: FileRange, error: BaseException | None = None) -> None:
        """Tell `run` what came of a range, and only the first time."""
        with self._changed:
            if part not in self._active:
                return
            self._active.discard(part)
            self._ended_bytes += part.bytes_done
            self._ended_ranges += 1
        if isinstance(error, StoreError):
            part.error, error = error, None
        self._ended.put((part, error))

    def _job(self) -> FileRange | Piece | None:
        """What this thread is to do next; None for nothing more."""
        with self._changed:
            while not self._stop.is_set() and len(self._threads) <= self._most_threads():
                if self._waiting:
                    part = self._waiting.popleft()
                    self._active.add(part)
                    return part
                # Those that are being fetched and hashed, and one in between.
                self._buffers.most = self._pace.count + len(self._windows) + 1
                for window in sorted(self._windows, key=lambda window: window.ahead):
                    if (piece := window.begin(self._pace.count)) is not None:
                        return piece
                if not self._windows:
                    break
                self._changed.wait()
            self._threads.discard(threading.current_thread())
            return None

    def _hash(self, part: FileRange) -> None:
        if self._destination is None:
            self._hash_into(part, None)
            return
        with self._destination.open(part) as writer:
            kept = self._hash_into(part, writer)
        if kept and part.digest != part.signed:
            self._destination.discard(part)
            part.bytes_done, part.digest = 0, None
            with self._destination.open(part) as writer:
                self._hash_into(part, writer)

    def _hash_into(self, part: FileRange, writer: RangeWriter | None) -> int:
        """Hash a range, and write what was not there before; how many bytes were."""
        # Several that each use all processors would be in each other's way.
        threads = max(1, self._processors // len(self._ranges))
        hasher = new_hasher(self._hash_type, threads)
        for kept in writer.kept() if writer is not None else ():
            self._check_stop()
            hasher.update(kept)
            part.bytes_done += len(kept)
        count = part.bytes_done
        with closing(self._received(part, part.start + count, writer)) as received:
            for chunk in received:
                self._check_stop()
                hasher.update(chunk)
                part.bytes_done += len(chunk)
        part.digest = hasher.hexdigest()
        return count

    def _received(
        self, part: FileRange, position: int, writer: RangeWriter | None
    ) -> Generator[bytes | memoryview]:
        """The bytes of a range from a position on, in order, written already."""
        if not self._should_divide(part, position):
            with closing(self._snapshot.chunks(part.path, position, part.end)) as chunks:
                for chunk in chunks:
                    self._write(writer, position, chunk)
                    position += len(chunk)
                    yield chunk
                    if self._should_divide(part, position):
                        break
                else:
                    return

        def fetch(piece: Piece) -> None:
            place = piece.start
            for chunk in self._snapshot.chunks(part.path, place, piece.end, piece.memory):
                self._write(writer, place, chunk)
                place += len(chunk)
                window.filled(piece, len(chunk))

        window = Window(position, self._end_of(part), fetch, self._changed, self._buffers)
        try:
            with self._changed:
                # Who ended the whole a moment ago did not know of it.
                window.closed = self._stop.is_set()
                self._windows.append(window)
                self._start_threads()
                self._changed.notify_all()
            yield from window.take()
        except Exception as error:
            # Before the other pieces have ended, which may wait for their store.
            self._tell(part, error)
            raise
        finally:
            window.close()
            with self._changed:
                self._windows.remove(window)
                self._changed.notify_all()

    def _should_divide(self, part: FileRange, position: int) -> bool:
        """Whether the rest of a range is to be fetched in pieces.

        That is where connections are left over, or for the only range of this process, as one
        thread can read then and another one hash. Asked for each chunk, so without the lock: a
        wrong answer costs a request.
        """
        left = self._end_of(part) - position
        if left < _DIVIDED_BYTES or not self._snapshot.divisible or self._waiting:
            return False
        active = len(self._active)
        return len(_ACTIVE) == 1 or len(self._windows) < self._pace.count - active

    def _write(self, writer: RangeWriter | None, position: int, chunk: bytes | memoryview) -> None:
        if writer is not None:
            self._check_stop()
            writer.write(position, chunk)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise InterruptedError("the hashing was ended")

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise MeasureError(
                ReasonCode.DEADLINE_EXCEEDED,
                f"the model could not be read within {self._limits.total_seconds:g} seconds; "
                "raise the limit 'total_seconds', or use a faster store",
            )

    def _bytes(self) -> int:
        """What was hashed so far, of all ranges. Needs the lock."""
        return self._ended_bytes + sum(part.bytes_done for part in self._active)

    def _count(self, part: FileRange) -> None:
        if part.error is None:
            self.bytes_done += part.bytes_done
            self._left[part.path] -= 1
            self.files_done += self._left[part.path] == 0

    def _report(self) -> None:
        """Tell how far it is, unless that was told a moment ago."""
        if self._on_progress is None or time.monotonic() < self._next_report:
            return
        self._next_report = time.monotonic() + _POLL_SECONDS
        with self._changed:
            bytes_done = self._bytes()
        self._on_progress(
            Progress(
                bytes_done=bytes_done,
                bytes_total=self._bytes_total,
                files_done=self.files_done,
                files_total=len(self._left),
            )
        )

    def _expected_bytes(self, part: FileRange) -> int:
        return self._end_of(part) - part.start

    def _end_of(self, part: FileRange) -> int:
        """Where a range ends; its start where that is not known."""
        end = self._snapshot.files[part.path].size if part.end is None else part.end
        return end or part.start
