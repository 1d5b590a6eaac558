"""Objects, as they are in a repository's database: the contents of blobs above all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Literal

from oms_gate.errors import StoreError
from oms_gate.publish.git.program import Git, end, read_within
from oms_gate.reason_codes import ReasonCode

_PIECE_BYTES = 64 * 1024
_HEADER_BYTES = 200
_SHORTEST_HEADER = len(" blob 0\n")


class Objects:
    """Reads blobs through ``git cat-file``, as they stream by. Safe for use by several threads."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._sizes: dict[str, int] = {}

    def sizes(self, blobs: Iterable[str]) -> Mapping[str, int]:
        """The size of each blob, in bytes. Of those that were asked for before, git is not asked.

        Raises:
            StoreError: one is not here, or is no blob.
        """
        names = list(dict.fromkeys(blobs))
        if unknown := [name for name in names if name not in self._sizes]:
            answers = self._git.records(b"\n", "cat-file", "--batch-check", given=_lines(unknown))
            for name, answer in zip(unknown, answers, strict=True):
                self._sizes[name] = _size(name, answer)
        return {name: self._sizes[name] for name in names}

    def descriptions(self, names: Sequence[str], kind: Literal["commit", "tag"]) -> Iterator[bytes]:
        """Commits or tags as they are, with their messages, all of them in one run of git.

        Raises:
            StoreError: one is not here, or is of another kind; or they have more than
                `limits.listing_bytes`.
        """
        pieces = self._git.output("cat-file", "--batch", given=_lines(names))
        received = bytearray()
        for name in names:
            header_end = stop = -1
            while stop < 0 or len(received) < stop:
                if header_end < 0 and (header_end := received.find(b"\n")) >= 0:
                    header = bytes(received[:header_end])
                    stop = header_end + 1 + _size(name, header, kind) + 1
                elif piece := next(pieces, None):
                    received += piece
                else:
                    raise _failed(name)
            yield bytes(received[header_end + 1 : stop - 1])
            del received[:stop]

    def content(self, blob: str) -> bytes:
        """A whole blob, which must be small. Raises as `chunks`."""
        content = bytearray()
        for chunk in self.chunks(blob, 0, None, memoryview(bytearray(_PIECE_BYTES))):
            content += chunk
        return bytes(content)

    def chunks(
        self, blob: str, start: int, stop: int | None, buffer: memoryview
    ) -> Iterator[memoryview]:
        """The bytes from `start` to `stop`, or to the end.

        buffer: memory for each chunk.

        Raises:
            StoreError: git fails, or has no such blob.
        """
        process = self._take()
        whole = False
        try:
            size = self._ask(process, blob)
            left = size
            while left > 0 and (stop is None or size - left < stop):
                room = min(left, len(buffer))
                received = self._read(process, room)
                place = size - left
                left -= len(received)
                wanted = received[max(start - place, 0) : None if stop is None else stop - place]
                if wanted:
                    buffer[: len(wanted)] = wanted
                    yield buffer[: len(wanted)]
            whole = left == 0 and self._read(process, 1) == b"\n"
        except OSError as error:
            raise _failed(blob) from error
        finally:
            self._give_back(process, whole)

    def abort(self) -> None:
        """End the reading of every blob that is being read; its reader gets an error."""
        with self._lock:
            for process in self._busy:
                process.kill()

    def close(self) -> None:
        """End every process that this has started."""
        self.abort()
        with self._lock:
            for process in self._idle:
                end(process)
            self._idle.clear()

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._idle:
                process = self._idle.pop()
            else:
                pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
                process = self._git.start("cat-file", "--batch", stdin=pipe, stderr=nowhere)
            self._busy.add(process)
            return process

    def _give_back(self, process: subprocess.Popen[bytes], whole: bool) -> None:
        with self._lock:
            self._busy.discard(process)
            if whole:
                self._idle.append(process)
                return
        # What it would still say is of no use to the next one who asks.
        end(process)

    def _ask(self, process: subprocess.Popen[bytes], blob: str) -> int:
        assert process.stdin is not None
        process.stdin.write(f"{blob}\n".encode())
        # No byte of the content may be taken with it.
        header = self._read(process, len(blob) + _SHORTEST_HEADER)
        while not header.endswith(b"\n") and len(header) < _HEADER_BYTES:
            header += self._read(process, 1)
        return _size(blob, header)

    def _read(self, process: subprocess.Popen[bytes], count: int) -> bytes:
        received = read_within(process, self._git.limits.read_seconds, count)
        if not received:
            raise BrokenPipeError
        return received


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _size(name: str, answer: bytes, kind: str = "blob") -> int:
    found, _, rest = answer.decode("ascii", "replace").strip().partition(" ")
    found_kind, _, size = rest.partition(" ")
    if (found, found_kind) != (name, kind) or not size.isdecimal():
        raise _failed(name)
    return int(size)


def _failed(name: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the repository has no readable object {name}, which the push is made of; run git fsck, "
        "and in a partial clone fetch what is missing (git fetch --refetch --no-filter)",
    )
