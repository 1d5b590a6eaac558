"""What a load has made itself, and so may read again: a converted model, a temporary file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

_State = tuple[int, ...] | None
_NO_FOLDER: Final = -1  # for a name that is relative to the working directory


class Made:
    """Files and folders, by their absolute paths, as audit events tell of them.

    What is written in a folder that was made counts, whoever writes it: libraries in other
    languages do. Safe for use by several threads.
    """

    EVENTS: Final = frozenset({"os.mkdir", "os.rename", "os.link", "os.symlink"})

    def __init__(self) -> None:
        # As they were before. An event comes before what it tells of, which may fail.
        self._files: dict[str, _State] = {}
        self._folders: set[str] = set()
        # What was elsewhere before.
        self._brought: set[str] = set()

    def __contains__(self, path: str) -> bool:
        if path in self._files and self._files[path] != _state(path):
            return path not in self._brought
        folders = [str(folder) for folder in Path(path).parents]
        if any(each in self._brought for each in (path, *folders)):
            return False
        return any(each in self._folders for each in folders)

    def by_opening(self, path: str, flags: int) -> bool:
        """Whether a file is made or emptied as it is opened; that is noted."""
        if not flags & (os.O_TRUNC | os.O_CREAT):
            return False
        before = _state(path)
        if before is not None and not flags & os.O_TRUNC:
            return False
        self._files.setdefault(path, before)
        self._brought.discard(path)
        return True

    def note(self, event: str, *arguments: Any) -> None:
        """One of `EVENTS`, with its arguments."""
        first, second, *relative_to = arguments
        is_here = all(descriptor == _NO_FOLDER for descriptor in relative_to)
        if event != "os.mkdir":
            if is_here:
                self._note_brought(os.fsdecode(first), os.fsdecode(second), event == "os.symlink")
            else:
                self._folders.clear()  # It may be to any of them.
        elif is_here and _state(folder := os.path.abspath(os.fsdecode(first))) is None:
            self._folders.add(folder)

    def _note_brought(self, source: str, to: str, is_symlink: bool) -> None:
        to = os.path.abspath(to)
        source = os.path.abspath(Path(to).parent / source if is_symlink else source)
        if source in self._folders:
            self._folders.add(to)
        elif source in self:
            self._files.setdefault(to, _state(to))
        else:
            self._brought.add(to)
            return
        self._brought.discard(to)


def _state(path: str) -> _State:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
