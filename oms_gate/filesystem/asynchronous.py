"""The same open files for who must not wait: each read is made by another thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from fsspec.asyn import AbstractAsyncStreamedFile


class AsyncVerifiedFile(AbstractAsyncStreamedFile):  # type: ignore[misc]  # fsspec has no types
    """A file open for reading, as ``open_async`` of fsspec's asynchronous file systems has it."""

    def __init__(self, fs: Any, path: str, file: Any) -> None:
        """
        file: the same file, open otherwise; it is closed with this one.
        """
        super().__init__(fs, path, mode="rb", size=file.size, cache_type="none")
        self._file = file
        self._turn = threading.Lock()

    async def close(self) -> None:
        """Close the file."""
        if not self.closed:
            await asyncio.to_thread(self._file.close)
        await super().close()

    async def _fetch_range(self, start: int, end: int) -> bytes:
        return await asyncio.to_thread(self._read, start, end)

    def _read(self, start: int, end: int) -> bytes:
        with self._turn:
            self._file.seek(start)
            content: bytes = self._file.read(end - start)
            return content
