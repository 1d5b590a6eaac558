"""A file on its way from its store into the cache, followed by those who want it.

What clients get of it is read from the file on disk, up to where it was hashed; its last bytes
are held back until all of it is found to be what was signed. So nobody can complete a wrong file.

A client may come back for the rest of a file that it has the beginning of. Therefore whatever was
handed out of a content is the beginning of one file on disk, which is gone on with, whichever
process does that. Should it turn out to be wrong, that is remembered (`Journal`), and those who
come back are sent away for a while.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from oms_gate.cache import CachedModel
from oms_gate.delivery.folders import disk_errors, opened
from oms_gate.errors import AdmissionDenied, StepError, reason_of
from oms_gate.gateway.journal import Journal, State
from oms_gate.gateway.observer import Transfer
from oms_gate.gateway.room import Room
from oms_gate.limits import MIB, Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.streaming.hashing import FileRange, RangeWriter
from oms_gate.streaming.measure import measure
from oms_gate.verdict import Reason

HELD_BACK_BYTES: Final = MIB
"""How much of what was signed as one is not handed out before all of that was found to be right."""

_READ_BYTES = MIB
_FOLLOWING_SECONDS = 0.02


class _WrongStart(Exception):  # noqa: N818 - an event
    """What was handed out of a file before is not how the signed one begins."""


class Arrival:
    """One file's arrival. `bring` runs in a thread; all else is for any thread.

    state: which bytes, from the start of `Journal.file`, may be handed out now.
    reason: why there is nothing more of the file, once that is so.
    arrived: whether all of it is in the model's folder.
    """

    def __init__(
        self,
        model: CachedModel,
        path: str,
        journal: Journal,
        limits: Limits,
        room: Room,
        on_change: Callable[[], None],
    ) -> None:
        """
        on_change: called, by whichever thread, when there is more of the file, or it is over.
        """
        self.state = State()
        self.reason: Reason | None = None
        self.arrived = False
        self._hashed_bytes = 0
        self._seconds = 0.0
        self._model = model
        self._path = path
        self._journal = journal
        self._limits = limits
        self._room = room
        self._on_change = on_change
        # What is divided into ranges has a length, or else it is not handed out.
        self._size = model.files[path] or 0
        self._source = hashlib.sha256(model.declared(path).encode()).digest()[:8]
        self._ends = [part.end or self._size for part in model.parts(path)]
        self._ranges: dict[int, FileRange] = {}
        self._right = 0
        self._file = -1
        self._lock = Lock()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.arrived or self.reason is not None

    def bring(self) -> None:
        """Let the file be in the model's folder. What comes of it is in `arrived` or `reason`."""
        started = time.monotonic()
        try:
            with disk_errors(self._journal.file.parent):
                self._bring()
            self.arrived = True
        except AdmissionDenied as denied:
            self.reason = denied.verdict.reasons[0]
        except Exception as error:  # noqa: BLE001 - who follows must be told
            self.reason = reason_of(error)
        self._seconds = time.monotonic() - started
        self._on_change()

    def transfer(self) -> Transfer:
        """What is to be told of it, once it is over."""
        url, code = self._model.reference.url, None if self.reason is None else self.reason.code
        return Transfer(url, self._path, self._hashed_bytes, self._seconds, code)

    def give_up(self) -> None:
        """Let nothing come, as nobody waits for it any more."""
        self.reason = Reason(
            code=ReasonCode.GATE_BUSY,
            message=f"nobody waited for {self._path} when its turn came; ask for it again",
            path=self._path,
        )
        self._on_change()

    def _bring(self) -> None:
        deadline = time.monotonic() + self._limits.total_seconds
        with self._journal.written(self._follow, deadline):
            # Those who follow must know which turn it is before it is over.
            self._set(self._journal.state())
            # Another process may have brought it, or another model may have the same content.
            if self._model.present(self._path) is not None or self._model.is_stored(self._path):
                if self._journal.file.exists():
                    self._set(self._journal.settle())
                self._model.fetch([self._path])
                self._journal.forget()
                return
            with self._room.taken(self._journal.file, self._size):
                self._set(self.state._replace(source=self._source))
                self._journal.release(self.state)
                try:
                    self._transfer(deadline)
                except _WrongStart:
                    self._set(self._journal.distrust())
                    self._transfer(deadline)
                with opened(str(self._journal.file.parent)) as folder:
                    self._model.take(self._path, folder, self._journal.file.name)
            self._journal.forget()

    def _follow(self) -> None:
        """See how far another process is that brings the file."""
        time.sleep(_FOLLOWING_SECONDS)
        state = self._journal.state()
        if state.source != self._source:
            # The same was signed, and by the store's own word this is something else.
            state = state._replace(released=0)
        if state != self.state:
            self._set(state)

    def _set(self, state: State) -> None:
        self.state = state
        self._on_change()

    def _transfer(self, deadline: float) -> None:
        """Let the file come, from where an earlier arrival ended.

        Raises:
            StepError: it does not, or is not what was signed.
            _WrongStart: what an earlier arrival has left is not.
        """
        admission = self._model.admission
        self._ranges, self._right = {}, 0
        self._file = self._journal.open()
        try:
            if os.fstat(self._file).st_size < self.state.released:
                raise _WrongStart
            measured = measure(
                # Other files of the model are on their way, too: they go on if this one fails.
                replace(admission.snapshot, abort=lambda: None),
                {self._path: admission.signed[self._path]},
                admission.hash_type,
                self._limits,
                deadline=deadline,
                destination=self,
                # What was written last is hashed only then; the next chunk may be long in coming.
                on_progress=lambda _: self._release_hashed(),
            )
            self._hashed_bytes += measured.bytes
            if not measured.findings:
                # An empty file was never written to.
                os.ftruncate(self._file, self._size)
                # Others would wait, were it done when the model takes it.
                os.fsync(self._file)
                return
        finally:
            os.close(self._file)
        reason = measured.findings[0]
        if reason.code is ReasonCode.FILE_CHANGED:
            # Before this, who follows would think that it only begins anew.
            self.reason = reason
            if self.state.released:
                self._set(self._journal.distrust())
            else:
                self._journal.discard()
        raise StepError(reason.code, reason.message, path=reason.path)

    # What follows makes it a `Destination`.

    def open(self, part: FileRange) -> AbstractContextManager[RangeWriter]:
        """See `Destination.open`."""
        with self._lock:
            self._ranges[part.start] = part
        return nullcontext(_Writer(self, part))

    def discard(self, _part: FileRange) -> None:
        """See `Destination.discard`: clients have what was kept."""
        raise _WrongStart

    def complete(self, _path: str) -> None:
        """See `Destination.complete`: clients need not wait until the disk has it for good."""
        self._release(self._size)

    def kept(self, part: FileRange) -> Iterator[memoryview]:
        """What earlier arrivals have left of a range, of what may be handed out."""
        buffer = memoryview(bytearray(_READ_BYTES))
        position = part.start
        end = min(part.end or self._size, self.state.released)
        while position < end:
            count = os.preadv(self._file, [buffer[: end - position]], position)
            if not count:
                raise _WrongStart
            position += count
            yield buffer[:count]

    def write(self, position: int, chunk: bytes | memoryview) -> None:
        """Put a chunk into the file, and see what may be handed out now."""
        while chunk:
            count = os.pwrite(self._file, chunk, position)
            position, chunk = position + count, chunk[count:]
        self._release_hashed()

    def _release_hashed(self) -> None:
        with self._lock:
            hashed = self._hashed()
        self._release(hashed)

    def _release(self, position: int) -> None:
        """Let all up to a position be handed out."""
        with self._lock:
            if position <= self.state.released:
                return
            state = self.state._replace(released=position)
            # First this: nobody may have more of a file than is known after a kill.
            self._journal.release(state)
            self.state = state
        self._on_change()

    def _hashed(self) -> int:
        """Up to where all was hashed, but for the end of what is not known to be right. Locked."""
        start = self._ends[self._right - 1] if self._right else 0
        while self._right < len(self._ends):
            part = self._ranges.get(start)
            if part is None:
                return start
            end = self._ends[self._right]
            if part.digest is None or part.digest != part.signed:
                return max(start, min(start + part.bytes_done, end - HELD_BACK_BYTES))
            start, self._right = end, self._right + 1
        return start


@dataclass(frozen=True)
class _Writer:
    """A `RangeWriter`."""

    arrival: Arrival
    part: FileRange

    def kept(self) -> Iterator[memoryview]:
        return self.arrival.kept(self.part)

    def write(self, position: int, chunk: bytes | memoryview) -> None:
        self.arrival.write(position, chunk)
