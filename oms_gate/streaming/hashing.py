"""Hash ranges of a model's files as they stream by, several at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from oms_gate.errors import MeasureError, StoreError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.stores import Snapshot
from oms_gate.verdict import ReasonCode

THREAD_NAME = "oms-gate-hash"
"""What every thread is called that reads a model."""

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the hashing is. Totals in bytes leave out files of unknown size."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


ProgressCallback = Callable[[Progress], None]


@dataclass(slots=True)
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

    Memory does not grow with the model: each of at most `limits.connections` threads holds one
    chunk.

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

    def run(self) -> Generator[FileRange]:
        """Each range when it has ended, in any order. To close the generator ends all transfers.

        Raises:
            MeasureError: the deadline passed.
            Exception: whatever else than the store ended a reader, such as an error of the machine.
        """
        waiting: queue.SimpleQueue[FileRange] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[FileRange, BaseException | None]] = queue.SimpleQueue()
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    part = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self._hash(part, stop)
                except StoreError as error:
                    part.error = error
                except BaseException as error:  # noqa: BLE001 - raised again below
                    ended.put((part, error))
                    return
                ended.put((part, None))

        for part in self._ranges:
            waiting.put(part)
        for _ in range(min(self._limits.connections, len(self._ranges))):
            # Daemons: a reader that hangs in a system call must not keep the process alive.
            threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
        pending = len(self._ranges)
        try:
            while pending:
                self._check_time()
                try:
                    part, error = ended.get(timeout=_POLL_SECONDS)
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
            stop.set()
            if pending:
                self._snapshot.abort()

    def _hash(self, part: FileRange, stop: threading.Event) -> None:
        if self._destination is None:
            self._hash_into(part, stop, None)
            return
        with self._destination.open(part) as writer:
            kept = self._hash_into(part, stop, writer)
        if kept and part.digest != part.signed:
            self._destination.discard(part)
            part.bytes_done, part.digest = 0, None
            with self._destination.open(part) as writer:
                self._hash_into(part, stop, writer)

    def _hash_into(self, part: FileRange, stop: threading.Event, writer: RangeWriter | None) -> int:
        """Hash a range, and write what was not there before; how many bytes were."""
        hasher = new_hasher(self._hash_type)

        def take(chunk: bytes | memoryview, write: bool) -> None:
            if stop.is_set():
                raise InterruptedError("the hashing was ended")
            hasher.update(chunk)
            if write and writer is not None:
                writer.write(part.start + part.bytes_done, chunk)
            part.bytes_done += len(chunk)

        for chunk in writer.kept() if writer is not None else ():
            take(chunk, write=False)
        kept = part.bytes_done
        for received in self._snapshot.chunks(part.path, part.start + kept, part.end):
            take(received, write=True)
        part.digest = hasher.hexdigest()
        return kept

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise MeasureError(
                ReasonCode.DEADLINE_EXCEEDED,
                f"the model could not be read within {self._limits.total_seconds:g} seconds; "
                "raise the limit 'total_seconds', or use a faster store",
            )

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
        self._on_progress(
            Progress(
                bytes_done=sum(part.bytes_done for part in self._ranges),
                bytes_total=sum(map(self._expected_bytes, self._ranges)),
                files_done=self.files_done,
                files_total=len(self._left),
            )
        )

    def _expected_bytes(self, part: FileRange) -> int:
        end = self._snapshot.files[part.path].size if part.end is None else part.end
        return (end or part.start) - part.start
