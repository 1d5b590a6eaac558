"""HfFileSystem, whose reads are served from what was verified. Listing and writing are its own."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from huggingface_hub import HfFileSystem
from huggingface_hub.hf_file_system import HfFileSystemFile

from oms_gate.errors import AdmissionDenied
from oms_gate.loading.admitted import Admitted, Current, letting_through
from oms_gate.loading.hub_calls import is_offline, store_options, verified_file
from oms_gate.loading.hub_errors import as_library_error, is_missing_file
from oms_gate.loading.swaps import Swaps

_WRITING = frozenset("awx+")
# To find the end of a line, fsspec reads a block, and forgets what follows.
_LINE_BYTES = 8 * 1024


def swap_filesystem(swaps: Swaps, current: Current) -> None:
    """Let every instance read verified files; every way to read leads to these two methods.

    Raises:
        ConfigError: the library is not made as it was expected.
    """

    def opening(original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def _open(*args: Any, **kwargs: Any) -> Any:
            asked = signature.bind(*args, **kwargs)
            asked.apply_defaults()
            models = current()
            if models is None or not _WRITING.isdisjoint(asked.arguments["mode"]):
                return original(*args, **kwargs)
            fs, path = asked.arguments["self"], asked.arguments["path"]
            try:
                return _verified(models, fs, path, asked.arguments["revision"])
            except AdmissionDenied as denied:
                if not denied.verdict.lets_through:
                    raise as_library_error(denied) from denied.__cause__
                models.warn(denied)
            with letting_through():
                return original(*args, **kwargs)

        return _open

    def getting(original: Callable[..., Any]) -> Callable[..., Any]:
        def get_file(fs: HfFileSystem, rpath: str, lpath: Any = None, **kwargs: Any) -> None:
            if current() is None:
                original(fs, rpath, lpath, **kwargs)
            else:
                # Its own way of getting files goes past `_open`; the base class's does not.
                AbstractFileSystem.get_file(fs, rpath, lpath, **kwargs)

        return get_file

    swaps.attribute(HfFileSystem, "_open", opening)
    swaps.attribute(HfFileSystem, "get_file", getting)


class VerifiedFile(HfFileSystemFile):
    """A file of the Hub, open for reading, whose bytes come from the verified cache."""

    def __init__(
        self, fs: HfFileSystem, path: str, revision: str | None, content: BufferedReader
    ) -> None:
        size = os.fstat(content.fileno()).st_size
        super().__init__(
            fs,
            path,
            revision,
            mode="rb",
            size=size,
            cache_type="none",
            block_size=_LINE_BYTES,
        )
        self._descriptor = os.dup(content.fileno())

    def _fetch_range(self, start: int, end: int) -> bytes:
        content = bytearray()
        # Threads may share a file, and would share its position.
        while block := os.pread(self._descriptor, end - start, start):
            content += block
            start += len(block)
        return bytes(content)

    def read(self, length: int = -1) -> bytes:
        """So many bytes; -1 for all that follow."""
        return AbstractBufferedFile.read(self, length)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            os.close(self._descriptor)


def _verified(models: Admitted, fs: HfFileSystem, path: str, revision: str | None) -> VerifiedFile:
    resolved: Any = fs.resolve_path(path, revision=revision)
    if not hasattr(resolved, "repo_id"):
        raise models.refusal(
            f"hf://{resolved.unresolve()}",
            "it is in a bucket, of which nothing is verified; read it outside of the guard if you "
            "trust it",
        )
    offline = is_offline()
    model = models.model(
        models.reference(resolved.repo_type, resolved.repo_id, resolved.revision),
        options=store_options(fs.token, fs.endpoint),
        offline=offline,
    )
    name = resolved.path_in_repo
    try:
        verified_file(models, model, name, offline)
    except Exception as error:
        if is_missing_file(error):
            raise FileNotFoundError(str(error)) from error
        raise
    with model.open(name) as content:
        return VerifiedFile(fs, path, revision, content)
