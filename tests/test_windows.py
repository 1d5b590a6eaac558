"""Ranges that are divided: each byte once and in its place, and nothing after the end."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from weakref import WeakSet

import pytest

from oms_gate.errors import MeasureError, StoreError
from oms_gate.limits import MIB, Limits
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.snapshot import CHUNK_BYTES
from oms_gate.streaming.hashing import FileRange, RangeWriter
from oms_gate.streaming.measure import Measurement, measure
from oms_gate.streaming.window import AHEAD_BYTES, KEPT_BYTES, Buffers, Piece, Window, piece_bytes
from tests.test_measure import ended

SIZE = 10 * KEPT_BYTES + 12345
CONTENT = random.Random(1).randbytes(SIZE)


class Store:
    """Files in memory, read in chunks of 1 MiB, and what was read when."""

    def __init__(
        self,
        *paths: str,
        wait: Callable[[str, int], None] = lambda *_: None,
        after: Callable[[int], None] = lambda _: None,
        divisible: bool = True,
    ) -> None:
        """
        wait: called before each chunk, with its path and where it starts.
        after: called when all was read that was asked for, with where that ended.
        """
        self.wait = wait
        self.after = after
        self.asked: list[tuple[str, int, int]] = []
        self.now: dict[int, tuple[str, int]] = {}
        self.most = 0
        self.aborted = threading.Event()
        self.lock = threading.Lock()
        self.snapshot = Snapshot(
            Reference.parse("memory://m"),
            {path: StoredFile(path, SIZE) for path in paths},
            single=False,
            read_range=self.read,
            abort=self.aborted.set,
            divisible=divisible,
        )

    def read(
        self, file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[memoryview]:
        end = SIZE if end is None else end
        reader = threading.get_ident()
        with self.lock:
            self.asked.append((file.path, start, end))
            self.now[reader] = file.path, start
            self.most = max(self.most, len(self.now))
        place = 0
        try:
            while start < end:
                self.wait(file.path, start)
                chunk = buffer[place : place + min(MIB, end - start)]
                chunk[:] = CONTENT[start : start + len(chunk)]
                yield chunk
                # Whoever still looks at it sees that it was valid for a moment only.
                start += len(chunk)
                place = (place + len(chunk)) % len(buffer)
            self.after(end)
        finally:
            with self.lock:
                del self.now[reader]

    def measure(
        self,
        *,
        connections: int = 4,
        signed: bytes = CONTENT,
        shard: int | None = None,
        destination: Kept | None = None,
    ) -> Measurement:
        def resources(path: str) -> Iterator[Resource]:
            if shard is None:
                yield Resource(path, hashlib.sha256(signed).hexdigest())
                return
            for start in range(0, SIZE, shard):
                end = min(start + shard, SIZE)
                yield Resource(path, hashlib.sha256(signed[start:end]).hexdigest(), start, end)

        return measure(
            self.snapshot,
            {path: tuple(resources(path)) for path in self.snapshot.files},
            "sha256",
            Limits(connections=connections),
            deadline=time.monotonic() + 60,
            destination=destination,
        )


class Kept:
    """A destination in memory: what was written where, and what was when nobody might any more.

    write_seconds: how long each write takes.
    kept: how many bytes of each file are there from before.
    """

    def __init__(self, write_seconds: float = 0, kept: int = 0) -> None:
        self.write_seconds = write_seconds
        self.kept = kept
        self.discarded: list[str] = []
        self.late: list[int] = []
        self.content: dict[str, bytearray] = {}
        self.count = 0
        self.closed = False
        self.completed: list[str] = []

    @contextmanager
    def open(self, part: FileRange) -> Iterator[RangeWriter]:
        writer = Writer(self, self.content.setdefault(part.path, bytearray(SIZE)))
        try:
            yield writer
        finally:
            writer.open = False

    def discard(self, part: FileRange) -> None:
        self.discarded.append(part.path)

    def complete(self, path: str) -> None:
        self.completed.append(path)


class Writer:
    """A way into one file of a destination."""

    def __init__(self, destination: Kept, file: bytearray) -> None:
        self.destination = destination
        self.file = file
        self.open = True

    def kept(self) -> Iterator[memoryview]:
        return iter([memoryview(CONTENT)[: self.destination.kept]])

    def write(self, position: int, chunk: bytes | memoryview) -> None:
        time.sleep(self.destination.write_seconds)
        if self.destination.closed or not self.open:
            self.destination.late.append(position)
        self.file[position : position + len(chunk)] = chunk
        self.destination.count += len(chunk)


def briefly(*_: object) -> None:
    """As long as it takes for more connections to be of use."""
    time.sleep(0.02)


@pytest.mark.parametrize("connections", [2, 3, 8])
def test_one_file_is_read_over_several_connections(connections: int) -> None:
    store, kept = Store("a", wait=briefly), Kept()
    measured = store.measure(connections=connections, destination=kept)
    assert measured == Measurement(files=1, bytes=SIZE, findings=())
    assert 2 <= store.most <= connections
    assert kept.content == {"a": CONTENT}
    assert (kept.count, kept.completed) == (SIZE, ["a"])


def test_several_files_share_the_connections() -> None:
    """Three long files with eight connections: none waits for another, and each is right."""
    store, kept = Store("a", "b", "c", wait=briefly), Kept()
    assert store.measure(connections=8, destination=kept).bytes == 3 * SIZE
    assert store.most > 3
    assert kept.content == dict.fromkeys("abc", CONTENT)
    assert kept.count == 3 * SIZE


def test_the_last_of_many_files_is_divided_when_the_others_have_ended() -> None:
    others = threading.Event()

    def wait(path: str, start: int) -> None:
        if path != "last":
            return
        if start >= MIB and not others.is_set():
            while any(path != "last" for path, _ in list(store.now.values())):
                time.sleep(0.01)
            others.set()
        briefly()  # Fast ones are fetched in longer pieces.

    store = Store("a", "b", "c", "last", wait=wait)
    assert store.measure().files == 4
    whole = [asked for asked in store.asked if asked[1:] == (0, SIZE)]
    assert len(whole) == 4
    assert sum(path == "last" for path, *_ in store.asked) > 5


def test_a_shard_is_divided_too() -> None:
    store = Store("a", wait=briefly)
    assert store.measure(shard=SIZE).findings == ()
    assert store.most > 1
    assert len(store.asked) > 4


def test_what_cannot_be_divided_is_one_transfer() -> None:
    store = Store("a", divisible=False)
    assert store.measure().findings == ()
    assert store.asked == [("a", 0, SIZE)]


def test_one_connection_is_one_connection() -> None:
    """Though one thread reads and another hashes."""
    store, kept = Store("a", wait=briefly), Kept()
    assert store.measure(connections=1, destination=kept).findings == ()
    assert store.most == 1
    assert kept.content == {"a": CONTENT}


def test_a_changed_byte_in_a_piece_is_found() -> None:
    spoilt = CONTENT[:-1] + b"?"
    (finding,) = Store("a").measure(signed=spoilt).findings
    assert finding.code is ReasonCode.FILE_CHANGED


def test_a_piece_that_is_longer_than_its_memory_waits_for_who_takes_it() -> None:
    content = os.urandom(3 * KEPT_BYTES)
    changed, buffers = threading.Condition(), Buffers()
    buffers.most = 1

    def fetch(piece: Piece) -> None:
        for place in range(0, len(content), CHUNK_BYTES):
            chunk = content[place : place + CHUNK_BYTES]
            at = place % len(piece.memory)
            piece.memory[at : at + len(chunk)] = chunk
            window.filled(piece, len(chunk))

    window = Window(0, len(content), fetch, changed, buffers)
    window.rate = 9e9
    with changed:
        piece = window.begin(1)
    assert piece is not None
    fetching = threading.Thread(target=window.fetch, args=(piece,))
    fetching.start()
    # All of it would take a few milliseconds.
    fetching.join(0.3)
    assert piece.filled == KEPT_BYTES
    assert b"".join(map(bytes, window.take())) == content
    fetching.join()


def test_slow_threads_fetch_no_more_at_a_time_than_is_kept_of_a_piece() -> None:
    """Else all would wait for the first one, and be no faster than it."""
    slow = 60 * MIB
    assert {piece_bytes(threads, slow, KEPT_BYTES) for threads in (1, 2, 8)} == {KEPT_BYTES}
    assert piece_bytes(8, slow, 2 * MIB) == 2 * MIB


def test_fast_threads_are_spared_requests_and_share_what_is_fetched_ahead() -> None:
    sizes = [piece_bytes(threads, 9e9, 2 * MIB) // MIB for threads in (1, 2, 8, 64)]
    assert sizes == [32, 16, 4, 2]


def test_the_more_pieces_there_are_the_less_is_kept_of_each() -> None:
    kept = {}
    for most in (1, 4, 6, 9, 100):
        buffers = Buffers()
        buffers.most = most
        sizes = [len(memory) for memory in iter(buffers.get, None)]
        kept[most] = [size // MIB for size in sizes]
    assert kept == {1: [4], 4: 4 * [4], 6: 6 * [3], 9: 9 * [2], 100: 9 * [2]}


@pytest.mark.parametrize("rate", [0, 60 * MIB, 9e9])
@pytest.mark.parametrize("threads", [1, 2, 8, 64])
def test_what_is_fetched_ahead_is_bounded(threads: int, rate: float) -> None:
    """However long the piece whose turn it is takes."""
    buffers = Buffers()
    buffers.most = threads + 2
    window = Window(0, 1024 * MIB, lambda _: None, threading.Condition(), buffers)
    window.rate = rate
    pieces = []
    while piece := window.begin(threads):
        pieces.append(piece)
    assert len(pieces) > 1
    assert pieces[-1].end <= AHEAD_BYTES
    assert sum(len(piece.memory) for piece in pieces) <= 18 * MIB


@pytest.mark.parametrize("failing", [2 * KEPT_BYTES, SIZE - 12345])
def test_an_error_in_a_piece_reaches_the_caller(failing: int) -> None:
    def wait(path: str, start: int) -> None:
        if path == "a" and start == failing:
            raise StoreError(ReasonCode.STORE_PROTOCOL, "odd")

    (finding,) = Store("a", wait=wait).measure().findings
    assert finding.code is ReasonCode.STORE_PROTOCOL

    def broken(_: str, start: int) -> None:
        if start == failing:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Store("a", wait=broken).measure()
    assert ended()


def signed(**contents: bytes) -> dict[str, tuple[Resource, ...]]:
    return {
        path: (Resource(path, hashlib.sha256(content).hexdigest()),)
        for path, content in contents.items()
    }


@pytest.mark.parametrize("divisible", [True, False])
@pytest.mark.parametrize("seconds", [0, 1.2])
def test_nobody_writes_after_the_end(divisible: bool, seconds: float) -> None:
    """One range is bad; others are in the middle, and may hear of it late."""
    entered = threading.Event()
    after: list[int] = []

    def wait(path: str, start: int) -> None:
        if store.aborted.is_set():
            after.append(start)
        if path == "bad" and start >= SIZE - 2 * MIB:
            entered.wait(20)
        elif path == "long" and start > KEPT_BYTES:
            entered.set()
            store.aborted.wait(20)
            time.sleep(seconds)

    store, kept = Store("bad", "long", wait=wait, divisible=divisible), Kept()
    start = time.monotonic()
    measured = measure(
        store.snapshot,
        signed(bad=b"other", long=CONTENT),
        "sha256",
        Limits(connections=8),
        deadline=start + 60,
        destination=kept,
    )
    took = time.monotonic() - start
    kept.closed = True
    assert [finding.path for finding in measured.findings] == ["bad"]
    assert kept.completed == []
    assert ended()
    assert (kept.late, after) == ([], [])
    assert took < 5


def test_a_range_that_failed_is_not_written_to_any_more() -> None:
    """While one piece fails, another is being written."""

    def wait(_: str, start: int) -> None:
        if start == 0:
            time.sleep(0.1)
            raise StoreError(ReasonCode.STORE_PROTOCOL, "odd")

    kept = Kept(write_seconds=0.3)
    (finding,) = Store("a", wait=wait).measure(destination=kept).findings
    assert finding.code is ReasonCode.STORE_PROTOCOL
    assert kept.count
    assert kept.late == []


@pytest.mark.parametrize("writes", [True, False])
def test_a_piece_that_failed_ends_the_others_at_once(writes: bool) -> None:
    """Though they wait for a store that says nothing."""
    entered = threading.Event()
    after: list[int] = []

    def wait(_: str, start: int) -> None:
        if store.aborted.is_set():
            after.append(start)
        elif start == 0:
            entered.wait(20)
            raise StoreError(ReasonCode.STORE_PROTOCOL, "odd")
        else:
            entered.set()
            store.aborted.wait(20)

    store = Store("a", wait=wait)
    start = time.monotonic()
    (finding,) = store.measure(destination=Kept() if writes else None).findings
    assert finding.code is ReasonCode.STORE_PROTOCOL
    assert ended()
    assert time.monotonic() - start < 5
    assert after == []


@pytest.mark.parametrize("divisible", [True, False])
def test_what_is_found_after_the_last_byte_is_an_error_too(divisible: bool) -> None:
    """That a file was changed while it was read, for instance."""

    def after(end: int) -> None:
        if end == SIZE:
            raise StoreError(ReasonCode.STORE_CHANGED, "it was changed")

    (finding,) = Store("a", after=after, divisible=divisible).measure().findings
    assert finding.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize("divisible", [True, False])
def test_an_end_is_no_reason_to_discard_what_was_kept(divisible: bool) -> None:
    """The rest of it is waited for too long, and the store takes a moment to end."""

    def wait(*_: object) -> None:
        store.aborted.wait(20)
        time.sleep(0.5)

    store = Store("a", wait=wait, divisible=divisible)
    kept = Kept(kept=MIB)
    with pytest.raises(MeasureError):
        measure(
            store.snapshot,
            signed(a=CONTENT),
            "sha256",
            Limits(),
            deadline=time.monotonic() + 0.3,
            destination=kept,
        )
    assert ended()
    assert kept.discarded == []


def test_a_window_that_is_made_after_the_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kept(_: Writer) -> Iterator[memoryview]:
        time.sleep(0.5)
        return iter(())

    monkeypatch.setattr(Writer, "kept", kept)
    with pytest.raises(MeasureError):
        measure(
            Store("a").snapshot,
            signed(a=CONTENT),
            "sha256",
            Limits(),
            deadline=time.monotonic() + 0.1,
            destination=Kept(),
        )
    assert ended()


def test_memory_of_pieces_is_given_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server checks many models, and memory that is mapped does not count for a collector."""
    mapped: WeakSet[mmap] = WeakSet()

    class Mapped(mmap):
        def __init__(self, *_: object, **__: object) -> None:
            mapped.add(self)

    monkeypatch.setattr("oms_gate.streaming.window.mmap", Mapped)
    gc.disable()
    try:
        assert Store("a", wait=briefly).measure().findings == ()
        assert ended()
        assert not mapped
    finally:
        gc.enable()


def test_a_machine_without_memory_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: Buffers) -> memoryview:
        raise MemoryError

    monkeypatch.setattr(Buffers, "get", get)
    with pytest.raises(MemoryError):
        Store("a").measure()
    assert ended()
