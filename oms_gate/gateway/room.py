"""Room on the disk: what was used longest ago goes, before more arrives than may be kept.

A file that is open stays readable for who has it open. A model that is decided about is in use;
that is written down with each decision.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock

from oms_gate.cache.layout import ARRIVALS, FOLDERS, Layout
from oms_gate.cache.pruning import prune
from oms_gate.cache.upkeep import looked_after, remembered_models, total_bytes
from oms_gate.errors import DeliveryError, OmsGateError, StepError
from oms_gate.gateway.journal import Journal
from oms_gate.reason_codes import ReasonCode

_LOG = logging.getLogger(__name__)
_CACHE = re.compile(r"[0-9a-f]{64}")
_LOCK = "room.lock"
# Other processes fill the disk, too.
_BELIEVED_SECONDS = 10.0
# No decision is used for so long, so nobody is about to put something there.
_EMPTY_SECONDS = 24 * 3600.0
# A record is not older than what it says, as its time is read again.
_TICK = timedelta(milliseconds=1)


class Room:
    """The disk that the caches of a gateway may take. For several threads, and processes."""

    def __init__(self, folder: Path, most: int) -> None:
        """
        folder: below which the caches are.
        most: bytes that all of them may take.
        """
        self._folder = Path(os.path.realpath(folder))
        self._most = most
        self._lock = Lock()
        # As of the last look, and what has arrived here since; without what is arriving here.
        self._used = 0
        self._looked = float("-inf")
        self._arriving: dict[Path, int] = {}

    @contextmanager
    def taken(self, file: Path, size: int) -> Iterator[None]:
        """Have room for a file until it has arrived, by when the block ends.

        file: what has arrived so far.
        size: bytes that it will have.

        Raises:
            DeliveryError: what is there cannot be removed at the moment.
        """
        with self._lock:
            left = self._most - sum(self._arriving.values()) - size
            is_old = time.monotonic() > self._looked + _BELIEVED_SECONDS
            self._arriving[file] = size
            # Where it would not fit into an empty cache, nothing has to go for it.
            if left >= 0 and (is_old or self._used > left):
                self._make(left)
            if self._used > left:
                del self._arriving[file]
                raise DeliveryError(
                    ReasonCode.DISK_FULL,
                    f"the gateway has no room for {size} bytes more at the moment; try again in a "
                    "while, or let its operator raise 'cache_bytes' under 'gateway'",
                )
        try:
            yield
        finally:
            with self._lock:
                self._used += self._arriving.pop(file)

    def tidy(self) -> None:
        """Remove what is too much, and what is of no use any more."""
        with self._lock:
            self._make(self._most - sum(self._arriving.values()))
            for layout in self._layouts():
                with suppress(OSError):
                    _forget_arrivals(layout)
                    _remove_empty(layout)

    def _make(self, most: int) -> None:
        """See how much there is, and remove what is beyond `most` bytes. Locked."""
        if not self._folder.is_dir():
            self._looked = time.monotonic()
            return
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sizes = {layout: self._size(layout) for layout in self._layouts()}
            if sum(sizes.values()) > most:
                for layout, remove in _oldest_first(list(sizes)):
                    try:
                        remove()
                    except (OmsGateError, OSError) as error:
                        _LOG.warning("no room is made in %s: %s", layout.folder, error)
                    sizes[layout] = self._size(layout)
                    if sum(sizes.values()) <= most:
                        break
            self._used, self._looked = sum(sizes.values()), time.monotonic()
        finally:
            os.close(lock)

    def _layouts(self) -> list[Layout]:
        with suppress(FileNotFoundError):
            return [Layout(each) for each in self._folder.iterdir() if _CACHE.fullmatch(each.name)]
        return []

    def _size(self, layout: Layout) -> int:
        """Bytes of a cache, but for what is arriving here."""
        with suppress(OmsGateError, StepError, OSError), looked_after(layout) as cache:
            size = total_bytes(cache)
            for file in self._arriving:
                if file.is_relative_to(layout.folder):
                    with suppress(FileNotFoundError):
                        size -= file.stat().st_size
            return size
        return 0


def _oldest_first(layouts: list[Layout]) -> Iterator[tuple[Layout, Callable[[], object]]]:
    """What can be removed, and of which cache: models and arrivals; then what else is there."""
    found: list[tuple[float, int, Layout, Callable[[], object]]] = []

    def add(used: float, layout: Layout, remove: Callable[[], object]) -> None:
        found.append((used, len(found), layout, remove))

    for layout in layouts:
        with suppress(OmsGateError, StepError, OSError):
            for model in remembered_models(layout)[0]:
                used = model.last_used
                add(used.timestamp(), layout, partial(_prune, layout, used))
            for file, written in _arrivals(layout, ".part"):
                add(written, layout, Journal(layout, file.stem).give_up)
    for _, _, layout, remove in sorted(found, key=lambda each: each[:2]):
        yield layout, remove
    for layout in layouts:
        yield layout, partial(prune, layout, None)


def _prune(layout: Layout, used: datetime) -> None:
    """Remove all models of a cache that were not used after a time."""
    prune(layout, datetime.now(UTC) - used - _TICK)


def _arrivals(layout: Layout, suffix: str) -> list[tuple[Path, float]]:
    """Files of arrivals, and when each was written to."""
    found = []
    for file in (layout.folder / ARRIVALS).glob(f"*{suffix}"):
        with suppress(FileNotFoundError):
            found.append((file, file.stat().st_mtime))
    return found


def _forget_arrivals(layout: Layout) -> None:
    """Remove what is remembered of arrivals that are over, once that is of no use."""
    for file, _ in _arrivals(layout, ".state"):
        if not file.with_suffix(".part").exists():
            with suppress(DeliveryError):
                Journal(layout, file.stem).give_up()


def _remove_empty(layout: Layout) -> None:
    """Remove the cache of a repository of which nothing was ever admitted, or is left."""
    folders = [layout.folder / name for name in FOLDERS]
    used = max((each.stat().st_mtime for each in folders if each.exists()), default=0.0)
    if time.time() > used + _EMPTY_SECONDS and not any(map(any, map(os.scandir, folders))):
        for folder in folders:
            folder.rmdir()
        for rest in layout.folder.iterdir():
            rest.unlink()
        layout.folder.rmdir()
