"""Measuring: every signed resource, no more threads than allowed, and nothing left behind."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest

from oms_gate.limits import Limits
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.streaming.hashing import THREAD_NAME, Progress
from oms_gate.streaming.manifest import manifest_of
from oms_gate.streaming.measure import Measurement, measure

CONTENT = b"0123456789"
Reader = Callable[[str], Iterator[bytes]]


def snapshot(read: Reader, sizes: dict[str, int | None], **options: Any) -> Snapshot:
    """A listing whose files are read by `read`, given their path."""
    files = {path: StoredFile(path, size) for path, size in sizes.items()}
    return Snapshot(
        Reference.parse("memory://m"),
        files,
        single=False,
        read_range=lambda file, *_: read(file.path),
        **options,
    )


def whole(path: str, content: bytes = CONTENT) -> tuple[Resource, ...]:
    return (Resource(path, hashlib.sha256(content).hexdigest()),)


def run(
    of: Snapshot,
    limits: Limits | None = None,
    *,
    signed: dict[str, tuple[Resource, ...]] | None = None,
    report_all: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Measurement:
    return measure(
        of,
        signed or {path: whole(path) for path in of.files},
        "sha256",
        limits or Limits(),
        deadline=time.monotonic() + 30,
        report_all=report_all,
        on_progress=on_progress,
    )


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def ended() -> bool:
    """Whether every reader ends within a moment."""
    for _ in range(100):
        if not readers():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), MemoryError(), OSError(5, "x")])
def test_a_reader_that_fails_for_any_reason_is_not_believed(error: BaseException) -> None:
    """Whatever it is, the file was not hashed."""

    def read(path: str) -> Iterator[bytes]:
        if path == "b":
            raise error
        yield CONTENT

    assert run(snapshot(read, {"a": 10})).files == 1
    for report_all in (False, True):
        with pytest.raises(type(error)):
            run(snapshot(read, {"a": 10, "b": 10}), report_all=report_all)


def test_the_first_finding_ends_it() -> None:
    """One reader, and the bad file is the largest, so that it comes first."""
    asked: list[str] = []

    def read(path: str) -> Iterator[bytes]:
        asked.append(path)
        if path != "a":
            time.sleep(0.2)
        yield CONTENT + b"!" if path == "a" else CONTENT

    of = snapshot(read, {"a": 11, "b": 10, "c": 10})
    one = Limits(connections=1)
    measured = run(of, one)
    assert [finding.code for finding in measured.findings] == [ReasonCode.FILE_CHANGED]
    assert ended()
    # The next one may have been begun meanwhile; it was not waited for.
    assert asked in (["a"], ["a", "b"])
    assert measured.files == 1
    measured = run(of, one, report_all=True)
    assert measured.files == 3
    assert [finding.path for finding in measured.findings] == ["a"]


@pytest.mark.parametrize("how", ["between chunks", "by an abort"])
def test_no_reader_goes_on_after_the_end(how: str) -> None:
    """One file is bad, and another one would be read for ever."""
    aborted = threading.Event()

    def read(path: str) -> Iterator[bytes]:
        if path == "bad":
            return iter([CONTENT])
        if how == "between chunks":
            return slow()
        return blocked()

    def slow() -> Iterator[bytes]:
        assert readers()
        for chunk in repeat(b"x"):
            time.sleep(0.01)
            yield chunk

    def blocked() -> Iterator[bytes]:
        aborted.wait(20)
        yield b""

    of = snapshot(read, {"bad": 10, "endless": None}, abort=aborted.set)
    signed = {"bad": whole("bad", b"signed"), "endless": whole("endless")}
    start = time.monotonic()
    measured = run(of, signed=signed)
    assert [finding.path for finding in measured.findings] == ["bad"]
    assert ended()
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("connections", [1, 3])
def test_as_many_files_at_once_as_allowed(connections: int) -> None:
    """However few are begun with: while they wait for their store, others are read too."""
    lock, now, most = threading.Lock(), 0, 0

    def read(_: str) -> Iterator[bytes]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        yield CONTENT

    paths = [str(number) for number in range(20)]
    of = snapshot(read, dict.fromkeys(paths, 10))
    assert run(of, Limits(connections=connections)).files == len(paths)
    assert most == connections


def test_progress_is_told() -> None:
    """Totals in bytes leave out files of unknown size."""
    told: list[Progress] = []
    of = snapshot(lambda _: iter([CONTENT]), {"a": 10, "b": 10, "c": None})
    assert run(of, on_progress=told.append).bytes == 30
    assert {(each.bytes_total, each.files_total) for each in told} == {(20, 3)}
    assert sorted(each.bytes_done for each in told) == [each.bytes_done for each in told]


def test_what_a_manifest_leaves_out() -> None:
    """What is named and what is below it, but nothing else that begins like it."""
    paths = ["b/x", "b.py", "a", ".git/config", ".gitmodules"]
    of = snapshot(lambda _: iter([CONTENT]), dict.fromkeys(paths, 10))
    manifest = manifest_of(of, ignore_paths=["b"])
    assert [resource.path for resource in manifest.resources] == [".gitmodules", "a", "b.py"]
    assert "b" in manifest.ignore_paths
    assert ".git" in manifest.ignore_paths
