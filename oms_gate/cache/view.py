"""A folder with files of one model, and proof that they are still what was hashed."""

from __future__ import annotations

import io
import json
import os
import stat
import tempfile
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from oms_gate.cache.layout import Layout
from oms_gate.delivery.folders import (
    around,
    below,
    content_of,
    is_nothing,
    open_file,
    status_of,
    walk,
)

RECEIPTS: Final = ".receipts.json"
"""How the name of a view's receipts ends, which begins with that of the view."""


class Receipt(NamedTuple):
    """How a file was when it was hashed.

    content: what it was found to be, see `oms_gate.cache.contents.content_name`.
    size: bytes.
    modified, changed: nanoseconds since 1970; nobody can set the latter.
    names: how many hard links it has, as a count: a further one is also a change.
    """

    content: str
    size: int
    inode: int
    modified: int
    changed: int
    names: int

    @classmethod
    def of(cls, content: str, status: os.stat_result) -> Receipt:
        """The receipt for a file of this status."""
        return cls(
            content,
            status.st_size,
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_nlink,
        )

    def is_only_renamed(self, now: Receipt) -> bool:
        """Whether nothing happened to the file but that it got, or lost, a name elsewhere."""
        return self.names != now.names and self[:4] == now[:4]


_RECEIPTS = TypeAdapter(dict[str, Receipt])


class View:
    """The folder, and the receipts of its files, which are beside it."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        """
        layout: the cache's, from whose folder on no link is followed.
        folder: below that.
        """
        self.folder = folder
        self._layout = layout
        self._below = folder.relative_to(layout.folder).as_posix()
        self._file = folder.with_name(f"{folder.name}{RECEIPTS}")
        self._receipts: dict[str, Receipt] = {}
        self._version: tuple[int, int] | None = None
        # Other threads look at files while one notes what it has brought.
        self._lock = threading.Lock()

    def reload(self) -> None:
        """Read the receipts, if they were written since: another process may have brought more."""
        with self._lock, self._layout.opened() as cache:
            version = self._version_now(cache)
            if version == self._version:
                return
            # Without them every file is hashed again.
            receipts: dict[str, Receipt] = {}
            with suppress(ValidationError):
                content = content_of(cache, f"{self._below}{RECEIPTS}")
                receipts = _RECEIPTS.validate_json(content or b"")
            self._version, self._receipts = version, receipts

    def name(self, path: str) -> str:
        """A file's path below the cache's own folder."""
        return f"{self._below}/{path}"

    def now(self, path: str, content: str) -> Receipt | None:
        """What a receipt of a file would say now; None where there is no regular file."""
        with self._layout.opened() as cache:
            return _receipt(status_of(cache, self.name(path)), content)

    def sound(self, path: str, content: str) -> Receipt | None:
        """The receipt of a file, if it is still as it was hashed, and that is this content."""
        return self._confirmed(path, self.now(path, content))

    def opened(self, path: str, content: str) -> tuple[io.BufferedReader, Receipt] | None:
        """The same, and the file itself, which is open since before it was looked at."""
        try:
            with self._layout.opened() as cache, around(cache, self.name(path)) as (here, base):
                descriptor = open_file(here, base)
        except OSError as error:
            if is_nothing(error):
                return None
            raise
        try:
            receipt = self._confirmed(path, _receipt(os.fstat(descriptor), content))
        except BaseException:
            os.close(descriptor)
            raise
        if receipt is None:
            os.close(descriptor)
            return None
        return os.fdopen(descriptor, "rb"), receipt

    def sound_at(self, path: str, content: str, here: int, base: str) -> Receipt | None:
        """As `sound`, of a file by the descriptor of its folder and its name there."""
        return self._confirmed(path, receipt_at(here, base, content))

    def _confirmed(self, path: str, now: Receipt | None) -> Receipt | None:
        """A file's receipt of now, if it is the one that was written down."""
        if now is not None and self._receipts.get(path) != now:
            self.reload()
        return now if self._receipts.get(path) == now else None

    def has_receipt(self, path: str) -> bool:
        """Whether a file was there when receipts were last read; nothing is looked at."""
        return path in self._receipts

    def others(self, known: Collection[str]) -> list[str]:
        """What is in the folder, but folders and files with these paths."""
        with self._layout.opened() as cache:
            if status_of(cache, self._below) is None:
                return []
            with below(cache, self._below) as view:
                return [
                    path
                    for path, status in walk(view)
                    if path not in known and not stat.S_ISDIR(status.st_mode)
                ]

    def note(self, receipts: Mapping[str, Receipt]) -> None:
        """Write down that these files were hashed, and how they were then."""
        if receipts:
            with self._lock:
                self._receipts.update(receipts)
                self._write()

    def contents(self) -> dict[str, str]:
        """What each file with a receipt was found to be, sound or not."""
        self.reload()
        return {path: receipt.content for path, receipt in self._receipts.items()}

    def forget(self, paths: Iterable[str]) -> None:
        """Let these files be hashed before they are used again."""
        with self._lock:
            for path in paths:
                self._receipts.pop(path, None)
            self._write()

    def _write(self) -> None:
        write_whole(self._file, json.dumps(self._receipts).encode())
        with self._layout.opened() as cache:
            self._version = self._version_now(cache)

    def _version_now(self, cache: int) -> tuple[int, int] | None:
        """What tells one version of the receipts, which are always replaced, from another."""
        status = status_of(cache, f"{self._below}{RECEIPTS}")
        return None if status is None else (status.st_ino, status.st_mtime_ns)


def receipt_at(here: int, base: str, content: str) -> Receipt | None:
    """As `View.now`, of a file by the descriptor of its folder and its name there."""
    return _receipt(status_of(here, base), content)


def _receipt(status: os.stat_result | None, content: str) -> Receipt | None:
    """That of a regular file."""
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return Receipt.of(content, status)


def write_whole(file: Path, content: bytes) -> None:
    """Write a small file so that it is there as a whole or as it was."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise
