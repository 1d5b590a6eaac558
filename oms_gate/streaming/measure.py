"""Hash the signed bytes of a model as they stream by, several files at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oms_gate.errors import MeasureError, StepError, StoreError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.oms.manifest import Resource
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason, ReasonCode

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is. Totals in bytes leave out files of unknown size."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was hashed, and one finding for each resource that is not as it was signed."""

    files: int
    bytes: int
    findings: tuple[Reason, ...]


@dataclass(slots=True)
class _Task:
    """One resource of one file: a whole file, or a shard."""

    path: str
    resource: Resource
    bytes_done: int = 0
    error: BaseException | None = None


def measure(
    snapshot: Snapshot,
    signed: Mapping[str, tuple[Resource, ...]],
    hash_type: HashType,
    limits: Limits,
    *,
    deadline: float,
    report_all: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Measurement:
    """Hash every signed resource and compare it with its signed digest.

    Memory does not grow with the model: each of at most `limits.connections` threads holds one
    chunk. The first finding ends all transfers, unless all are to be reported.

    signed: the resources of each file, by path.
    deadline: on the clock of `time.monotonic`, in seconds.

    Raises:
        MeasureError: the deadline passed.
        Exception: whatever else ended a reader, such as an error of the machine.
    """
    tasks = [_Task(path, resource) for path, parts in signed.items() for resource in parts]
    # The longest first, so that the last to end is a short one.
    tasks.sort(key=lambda task: _expected_bytes(snapshot, task), reverse=True)
    waiting: queue.SimpleQueue[_Task] = queue.SimpleQueue()
    ended: queue.SimpleQueue[_Task] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                _hash(snapshot, task, hash_type, stop)
            except BaseException as error:  # noqa: BLE001 - raised again, or reported, below
                task.error = error
            ended.put(task)

    for task in tasks:
        waiting.put(task)
    for _ in range(min(limits.connections, len(tasks))):
        # Daemons: a reader that hangs in a system call must not keep the process alive.
        threading.Thread(target=work, name="oms-gate-measure", daemon=True).start()
    report = _Reporter(snapshot, tasks, signed, on_progress)
    findings: list[Reason] = []
    pending = len(tasks)
    try:
        while pending and (report_all or not findings):
            done = _next(ended, deadline, limits)
            if done is not None:
                pending -= 1
                if isinstance(done.error, StepError):
                    findings.append(done.error.reason)
                elif done.error is not None:
                    raise done.error
                report.ended(done)
            report.show()
    finally:
        stop.set()
        if pending:
            snapshot.abort()
    return Measurement(report.files_done, report.bytes_hashed, tuple(findings))


class _Reporter:
    """Counts what was hashed, and tells of it from time to time."""

    def __init__(
        self,
        snapshot: Snapshot,
        tasks: list[_Task],
        signed: Mapping[str, tuple[Resource, ...]],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.files_done = 0
        self.bytes_hashed = 0
        self._tasks = tasks
        self._bytes_total = sum(_expected_bytes(snapshot, task) for task in tasks)
        self._parts_left = {path: len(parts) for path, parts in signed.items()}
        self._on_progress = on_progress
        self._next_time = 0.0

    def ended(self, task: _Task) -> None:
        """Count a resource; a file counts when all of its resources were read to their end."""
        if isinstance(task.error, StoreError):
            return
        self.bytes_hashed += task.bytes_done
        self._parts_left[task.path] -= 1
        if not self._parts_left[task.path]:
            self.files_done += 1

    def show(self) -> None:
        """Tell how far the measurement is, unless that was told a moment ago."""
        if self._on_progress is None or time.monotonic() < self._next_time:
            return
        self._next_time = time.monotonic() + _POLL_SECONDS
        self._on_progress(
            Progress(
                bytes_done=sum(task.bytes_done for task in self._tasks),
                bytes_total=self._bytes_total,
                files_done=self.files_done,
                files_total=len(self._parts_left),
            )
        )


def _next(ended: queue.SimpleQueue[_Task], deadline: float, limits: Limits) -> _Task | None:
    """The next task that ended, or None where none did for a moment."""
    if time.monotonic() > deadline:
        raise MeasureError(
            ReasonCode.DEADLINE_EXCEEDED,
            f"the model could not be read within {limits.total_seconds:g} seconds; raise the "
            "limit 'total_seconds', or use a faster store",
        )
    try:
        return ended.get(timeout=_POLL_SECONDS)
    except queue.Empty:
        return None


def _hash(snapshot: Snapshot, task: _Task, hash_type: HashType, stop: threading.Event) -> None:
    resource = task.resource
    hasher = new_hasher(hash_type)
    for chunk in snapshot.chunks(task.path, resource.start or 0, resource.end):
        if stop.is_set():
            raise InterruptedError("the measurement was ended")
        hasher.update(chunk)
        task.bytes_done += len(chunk)
    found = hasher.hexdigest()
    if found != resource.digest:
        part = "" if resource.end is None else f" (bytes {resource.start} to {resource.end})"
        raise MeasureError(
            ReasonCode.FILE_CHANGED,
            f"{task.path}{part} was changed after signing: signed {hash_type} {resource.digest}, "
            f"found {found}; sign the model again, or restore the file",
            path=task.path,
        )


def _expected_bytes(snapshot: Snapshot, task: _Task) -> int:
    if task.resource.end is not None:
        return task.resource.end - (task.resource.start or 0)
    return snapshot.files[task.path].size or 0
