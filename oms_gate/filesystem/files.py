"""Open files of admitted models: what is read of them was hashed."""

from __future__ import annotations

import errno
import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from oms_gate.cache import CachedModel
from oms_gate.errors import AdmissionDenied
from oms_gate.oms.manifest import Resource

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Of a file, from a byte, to another one.
Unverified = Callable[[AdmissionDenied, int, int], bytes]

_ATTEMPTS = 5

T = TypeVar("T")


class VerifiedFile(io.BufferedReader):
    """A file open for reading, with what users of fsspec look for in one.

    size: bytes.
    """

    def __init__(self, raw: io.RawIOBase, fs: Any, path: str) -> None:
        super().__init__(raw)
        self.fs = fs
        self.path = path
        self.size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def __del__(self) -> None:
        # As fsspec's own files do without a warning: pyarrow leaves them to that.
        self.close()

    def info(self) -> dict[str, Any]:
        """What the file system says of it."""
        details: dict[str, Any] = self.fs.info(self.path)
        return details


class ShardedFile(io.RawIOBase):
    """A file that was signed in parts, of which only those are fetched that a read touches."""

    mode = "rb"

    def __init__(
        self,
        model: CachedModel,
        name: str,
        again: Callable[[], CachedModel],
        unverified: Unverified,
    ) -> None:
        """
        again: asks for the model, where this one cannot be used any more.
        unverified: has the bytes of a denied model, where it is let through, or raises.
        """
        super().__init__()
        self.name = name
        self._model = model
        self._again = again
        self._parts = model.parts(name)
        self._size = self._parts[-1].end or 0
        self._unverified = unverified
        self._position = 0
        self._open: tuple[Resource, io.BufferedReader] | None = None

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset} in {self.name}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")
        start, end = self._position, min(self._position + len(view), self._size)
        if start >= end:
            return 0
        parts = _within(self._parts, start, end)
        if len(view) <= io.DEFAULT_BUFFER_SIZE:
            # It may be read ahead, for which no other part is to be fetched.
            parts = parts[:1]
            end = min(end, parts[0].end or 0)
        try:
            persistent(self.name, lambda: self._read(parts, view, start, end))
        except AdmissionDenied as denied:
            view[: end - start] = self._unverified(denied, start, end)
        self._position = end
        return end - start

    def close(self) -> None:
        """See `io.IOBase`."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def _read(self, parts: Sequence[Resource], view: memoryview, start: int, end: int) -> None:
        if self._model.failure is not None:
            model = self._again()
            if model.parts(self.name) != self._parts:
                raise OSError(errno.ESTALE, "the file was signed anew; open it again", self.name)
            self._model = model
        self._model.shards.fetch([part.name for part in parts])
        for part in parts:
            self._read_part(part, view, start, end)

    def _read_part(self, part: Resource, view: memoryview, start: int, end: int) -> None:
        """Put what is in a part of the bytes `start` to `end` where it belongs among them."""
        first, last = part.start or 0, part.end or 0
        begin, finish = max(start, first), min(end, last)
        stream = self._stream(part)
        stream.seek(begin - first)
        stream.readinto(view[begin - start : finish - start])

    def _stream(self, part: Resource) -> io.BufferedReader:
        if self._open is None or self._open[0] is not part:
            stream = self._model.shards.open(part.name)
            if self._open is not None:
                self._open[1].close()
            self._open = part, stream
        return self._open[1]


def persistent(name: str, use: Callable[[], T]) -> T:
    """Do something with a file; again, where another file of its model got in the way.

    The transfers of a model end together, when one of them fails.

    Raises:
        AdmissionDenied: it was this file; or others, again and again.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return use()
        except AdmissionDenied as denied:
            about = denied.verdict.reasons[0].path
            if about is None or about == name or about.startswith(f"{name}:"):
                raise
    return use()


def needed(
    model: CachedModel, name: str, start: int | None, end: int | None
) -> tuple[CachedModel, Sequence[str]]:
    """For bytes of a file: the model, as it is or in shards, and which files of that.

    start, end: as a slice has them.
    """
    parts = model.parts(name)
    if (size := parts[-1].end) is None:
        return model, [name]
    first, last, _ = slice(start, end).indices(size)
    return model.shards, [part.name for part in _within(parts, first, last)]


def _within(parts: Sequence[Resource], start: int, end: int) -> Sequence[Resource]:
    """Those of a file's parts, in order, that have any of the bytes from `start` to `end`."""
    if start >= end:
        return ()
    first = bisect_right(parts, start, key=lambda part: part.start or 0) - 1
    last = bisect_right(parts, end - 1, key=lambda part: part.start or 0)
    return parts[first:last]
