"""What is made of files is made anew when they change; while that fails, the old stays in force."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from oms_gate.errors import OmsGateError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def files_state(paths: Iterable[Path]) -> Hashable:
    """What changes when one of these files, or a file in one of these folders, does."""
    return tuple((str(path), _stat(path), *_below(path)) for path in paths)


def _below(folder: Path) -> Iterator[Hashable]:
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(base, name)
            yield str(path), _stat(path)


def _stat(path: Path) -> Hashable:
    with suppress(OSError):
        found = path.stat()
        # The last of them changes even where a writer sets the times himself.
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return None


class Followed(Generic[T]):
    """Something made of files that follows them. Safe for use by several threads.

    No thread waits for changes: whoever asks for it has a look, at most every so often.
    """

    def __init__(
        self,
        make: Callable[[], T],
        state: Callable[[], Hashable],
        what: str,
        *,
        seconds: float = 0,
        patience: float | None = None,
    ) -> None:
        """Make it for the first time.

        make: gives it; raises `OmsGateError` where it cannot be made.
        state: gives what changes when it is to be made anew (`files_state`).
        what: it is, for messages.
        seconds: shortest time between two looks.
        patience: how long, in seconds, the one who finds a change waits for the new, which is
            made in a thread of its own; None to make it in the caller's.

        Raises:
            OmsGateError: it cannot be made.
        """
        self._make = make
        self._state = state
        self._what = what
        self._seconds = seconds
        self._patience = patience
        self._process = os.getpid()
        self._looking = threading.Lock()
        self._seen = state()  # Before it is made: a change meanwhile is one more.
        self._now = make()
        self._next = time.monotonic() + seconds
        self.mistake: str | None = None
        """Why the old is still in force; None where it need not be."""

    def now(self) -> T:
        """As the files are, or were at most `seconds` ago; or were before they became unusable."""
        if self._process != os.getpid():
            # Whoever was looking is not in this process, which was forked.
            self._process, self._looking = os.getpid(), threading.Lock()
        if time.monotonic() >= self._next and self._looking.acquire(blocking=False):
            if self._patience is None:
                self._look()
            else:
                thread = threading.Thread(target=self._look, name="oms-gate-reload", daemon=True)
                thread.start()
                thread.join(self._patience)
        return self._now

    def look(self) -> str | None:
        """Look now, whenever the last look was; why the old is still in force, if it is."""
        self._looking.acquire()
        self._look()
        return self.mistake

    def _look(self) -> None:
        try:
            state = self._state()
            if state != self._seen:
                self._now = self._make()
                if self._seconds:
                    _LOG.info("%s was changed, and is in force as it is now", self._what)
                self._seen = state
            self.mistake = None
        except Exception as error:  # noqa: BLE001 - a defect in the new must not harm the old
            said = str(error) if isinstance(error, OmsGateError) else repr(error)
            if said != self.mistake:
                _LOG.error(
                    "%s was changed and cannot be used as it is now, so it stays in force "
                    "as it was: %s",
                    self._what,
                    said,
                )
            self.mistake = said
        finally:
            self._next = time.monotonic() + self._seconds
            self._looking.release()
