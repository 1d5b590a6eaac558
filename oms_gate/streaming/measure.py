"""Hash the signed bytes of a model as they stream by, several files at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oms_gate.errors import MeasureError, StepError
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
    bytes_total = sum(_expected_bytes(snapshot, task) for task in tasks)
    left = {path: len(parts) for path, parts in signed.items()}
    findings: list[Reason] = []
    hashed = 0
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
    try:
        while any(left.values()) and (report_all or not findings):
            done = _next(ended, deadline, limits)
            if done is not None:
                left[done.path] -= 1
                hashed += done.bytes_done
                if isinstance(done.error, StepError):
                    findings.append(done.error.reason)
                elif done.error is not None:
                    raise done.error
            if on_progress is not None:
                on_progress(_progress(tasks, bytes_total, left))
    finally:
        stop.set()
        if any(left.values()):
            snapshot.abort()
    files = sum(1 for count in left.values() if not count)
    return Measurement(files, hashed, tuple(findings))


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
            return
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


def _progress(tasks: list[_Task], bytes_total: int, left: Mapping[str, int]) -> Progress:
    return Progress(
        bytes_done=sum(task.bytes_done for task in tasks),
        bytes_total=bytes_total,
        files_done=sum(1 for count in left.values() if not count),
        files_total=len(left),
    )
