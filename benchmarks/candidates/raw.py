"""The limits: bytes moved by blocking threads and sockets alone, and hashing alone."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.trial import Source, Work
from oms_gate.oms.digests import Hasher

BUFFER_BYTES = 1 << 20
WINDOW_BYTES = 8 << 20
THREADS = 8

Sink = Callable[[str, int, memoryview], object]
"""Takes a piece of a file: the name, the offset in the file, the bytes."""


def transfer(connections: int | None = None) -> Work:
    """Read every file and do nothing with it.

    connections: None for one a file, which reads it in one request; a number for so many, which
    take the next range of 8 MiB in turns.
    """

    def work(source: Source, _: Path) -> None:
        _transfer(source, connections, lambda *_: None)

    return work


def download(connections: int | None = None) -> Work:
    """As `transfer`, and write every file, and in the end wait for the disk as a pull does."""
    from oms_gate.delivery.system_calls import make_durable

    def work(source: Source, place: Path) -> None:
        with ExitStack() as opened:
            files: dict[str, int] = {}
            for name in source.files:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                files[name] = os.open(place / name, os.O_WRONLY | os.O_CREAT)
                opened.callback(os.close, files[name])

            def write(name: str, offset: int, view: memoryview) -> None:
                while view:
                    count = os.pwrite(files[name], view, offset)
                    view, offset = view[count:], offset + count

            _transfer(source, connections, write)
            folder = os.open(place, os.O_RDONLY)
            opened.callback(os.close, folder)
            make_durable(folder)

    return work


def one_after_another() -> Work:
    """Read and hash file after file over one connection that is kept."""

    def work(source: Source, _: Path) -> None:
        connections = _Connections()
        for name, size in source.files.items():
            whole = _Range(name, source.urls[name], 0, size, size)
            hasher = hashlib.sha256()
            connections.read(whole, partial(_hash, hasher))
            hasher.hexdigest()

    return work


def read() -> Work:
    """Read every file of a folder and do nothing with it, a thread a file."""

    def work(source: Source, _: Path) -> None:
        def one(name: str) -> None:
            buffer = bytearray(BUFFER_BYTES)
            with Path(source.urls[name]).open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(one, source.files))

    return work


def sha256() -> Work:
    """Hash as many bytes as the model has, in one thread and from memory."""

    def work(source: Source, _: Path) -> None:
        hasher, buffer = hashlib.sha256(), bytes(BUFFER_BYTES)
        for _turn in range(source.bytes // BUFFER_BYTES):
            hasher.update(buffer)

    return work


def _hash(hasher: Hasher, _: str, __: int, view: memoryview) -> None:
    hasher.update(view)


@dataclass(frozen=True)
class _Range:
    """The bytes `start` to `end` (exclusive) of a file of `size` bytes."""

    name: str
    url: str
    start: int
    end: int
    size: int


class _Connections:
    """One thread's connections, one an origin, and its buffer."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._buffer = bytearray(BUFFER_BYTES)

    def read(self, wanted: _Range, sink: Sink) -> None:
        """Read a range."""
        url = urlsplit(wanted.url)
        at = url.scheme, url.netloc
        if at not in self._open:
            self._open[at] = _connect(*at)
        whole = wanted.end - wanted.start == wanted.size
        headers = {} if whole else {"Range": f"bytes={wanted.start}-{wanted.end - 1}"}
        self._open[at].request("GET", f"{url.path}?{url.query}", headers=headers)
        response = self._open[at].getresponse()
        assert response.status == (200 if whole else 206), f"{wanted.url}: {response.status}"
        view, position = memoryview(self._buffer), wanted.start
        while count := response.readinto(self._buffer):
            sink(wanted.name, position, view[:count])
            position += count
        assert position == wanted.end, f"{wanted.url}: {position} bytes"


def _connect(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host)
    context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE"))
    return http.client.HTTPSConnection(host, context=context)


def _transfer(source: Source, connections: int | None, sink: Sink) -> None:
    ranges = _ranges(source, None if connections is None else WINDOW_BYTES)
    lock = threading.Lock()

    def one() -> None:
        own = _Connections()
        while True:
            with lock:
                wanted = next(ranges, None)
            if wanted is None:
                return
            own.read(wanted, sink)

    count = connections or min(THREADS, len(source.files))
    with ThreadPoolExecutor(count) as threads:
        for thread in [threads.submit(one) for _ in range(count)]:
            thread.result()


def _ranges(source: Source, length: int | None) -> Iterator[_Range]:
    for name, size in source.files.items():
        for start in range(0, size, length or size):
            end = min(start + (length or size), size)
            yield _Range(name, source.urls[name], start, end, size)
