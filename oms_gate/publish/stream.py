"""A file of a snapshot as a seekable stream, for clients that take nothing else."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import suppress

from oms_gate.stores import Snapshot


class SnapshotStream(io.BufferedIOBase):
    """Reads one file in order, and begins anew at another place; nothing is kept of it.

    Raises:
        StoreError: as `Snapshot.chunks`, wherever bytes are read.
    """

    def __init__(self, snapshot: Snapshot, path: str) -> None:
        self._snapshot = snapshot
        self._path = path
        self._position = 0
        self._chunks: Generator[bytes | memoryview] | None = None
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to an offset from the start, from here or from the end.

        Raises:
            io.UnsupportedOperation: from the end of a file of unknown size.
        """
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            size = self._snapshot.files[self._path].size
            if size is None:
                raise io.UnsupportedOperation("the store does not say how long the file is")
            offset += size
        if offset != self._position:
            self._stop()
            self._position = offset
        return offset

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, fewer only at the end; all that are left where `size` is negative."""
        wanted = -1 if size is None else size
        read = bytearray()
        while wanted < 0 or len(read) < wanted:
            if not self._rest and not self._fill():
                break
            taken = self._rest if wanted < 0 else self._rest[: wanted - len(read)]
            read += taken
            self._rest = self._rest[len(taken) :]
        self._position += len(read)
        return bytes(read)

    def close(self) -> None:
        """End the transfer."""
        self._stop()
        super().close()

    def _fill(self) -> bool:
        if self._chunks is None:
            self._chunks = self._snapshot.chunks(self._path, self._position)
        with suppress(StopIteration):
            self._rest = bytes(next(self._chunks))
        return bool(self._rest)

    def _stop(self) -> None:
        if self._chunks is not None:
            self._chunks.close()
        self._chunks, self._rest = None, b""
