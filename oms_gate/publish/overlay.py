"""The revision that is to be: what is published now, with what is about to be sent on top."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from oms_gate.reference import Reference
from oms_gate.stores import RangeReader, Snapshot, StoredFile
from oms_gate.stores.snapshot import chunked


def overlay(
    target: Reference,
    base: Snapshot | None,
    added: Snapshot | None,
    *,
    below: str = "",
    contents: Mapping[str, bytes] | None = None,
    deleted: Collection[str] = (),
) -> Snapshot:
    """One listing of both, under the name of `target`. To close it closes neither.

    base: what is there already, if anything is.
    added: what takes its place, file by file.
    below: the folder of the model for what is added; empty for the model's own. Of a single file,
        its path in the model.
    contents: further files, in memory, which take the place of all others.
    deleted: paths of `base` that go.
    """
    prefix = f"{below}/" if below else ""
    sources: dict[str, tuple[RangeReader, Callable[[str], str | None], StoredFile]] = {}
    if base is not None:
        for path, file in base.files.items():
            if path not in deleted:
                sources[path] = (base.read_range, base.local_path, file)
    if added is not None:
        for path, file in added.files.items():
            name = below if added.single else prefix + path
            sources[name] = (added.read_range, added.local_path, file)
    for path, content in (contents or {}).items():
        sources[path] = (_of_memory(content), lambda _: None, StoredFile(path, len(content)))

    def read_range(
        file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[bytes | memoryview]:
        read, _, original = sources[file.path]
        return read(original, start, end, buffer)

    def local_path(path: str) -> str | None:
        _, find, original = sources[path]
        return find(original.path)

    def abort() -> None:
        for part in (base, added):
            if part is not None:
                part.abort()

    return Snapshot(
        target,
        {path: replace(file, path=path) for path, (_, _, file) in sources.items()},
        single=False,
        read_range=read_range,
        abort=abort,
        local_path=local_path,
        divisible=all(part is None or part.divisible for part in (base, added)),
    )


def _of_memory(content: bytes) -> RangeReader:
    def read_range(
        _: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[memoryview]:
        stream = io.BytesIO(content)
        stream.seek(start)
        return chunked(stream.readinto, (len(content) if end is None else end) - start, buffer)

    return read_range
