"""Files of a work tree, before they are committed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.local import LocalStore
from oms_gate.stores.local_names import portable
from oms_gate.stores.snapshot import listed, unsafe
from oms_gate.verdict import printable


def work_tree_files(paths: Iterable[Path], limits: Limits) -> Snapshot:
    """Some files of the current folder, by their paths in it.

    Raises:
        UsageError: a folder is among them.
        StoreError: a link, a file elsewhere, a name that is not safe everywhere, or a file that
            cannot be read.
    """
    store, opened = LocalStore(limits), dict[str, Snapshot]()
    for given in paths:
        path = portable(os.path.relpath(given))
        if given.is_symlink():
            raise unsafe(path, "is a symbolic link")
        if given.is_dir():
            raise UsageError(
                f"{printable(path)} is a folder, and only files are looked into; name those in it"
            )
        opened[path] = store.snapshot(Reference("file", os.path.abspath(given)))

    def described(path: str, snapshot: Snapshot) -> StoredFile:
        (file,) = snapshot.files.values()
        return StoredFile(path, file.size, version=file.version)

    def read_range(
        file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[bytes | memoryview]:
        snapshot = opened[file.path]
        return snapshot.chunks(next(iter(snapshot.files)), start, end, buffer)

    files = listed((described(path, snapshot) for path, snapshot in opened.items()), limits)
    return Snapshot(Reference.parse("."), files, single=False, read_range=read_range)
