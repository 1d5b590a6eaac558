"""Models that have changed, until it is time to decide about them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from oms_gate.reference import Reference


@dataclass(frozen=True, slots=True)
class Due:
    """A model that waits.

    at: when its turn is, on the clock of `time.monotonic`.
    latest: when it is at the latest, whatever else happens to it.
    attempts: how often it was tried before.
    """

    reference: Reference
    at: float
    latest: float
    attempts: int = 0


class EventQueue:
    """What waits, each model once: a newer event takes the place of the one before.

    Used within one event loop. A model that is being decided about waits until that has ended.
    """

    def __init__(self, most: int) -> None:
        """most: models that may wait."""
        self._most = most
        self._waiting: dict[Reference, Due] = {}
        self._at_work: set[Reference] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def at_work(self) -> int:
        """Models that were taken, and are not done."""
        return len(self._at_work)

    def room_for(self, references: frozenset[Reference]) -> bool:
        """Whether all of these can wait."""
        return len(self._waiting) + len(references - self._waiting.keys()) <= self._most

    def add(
        self, reference: Reference, settle: float, longest: float = 0, *, attempts: int = 0
    ) -> None:
        """Let a model wait.

        settle: until it was left alone for so long, in seconds.
        longest: but not longer than this, all in all.
        attempts: how often it was tried already, where it is tried again.
        """
        before = self._waiting.get(reference)
        if attempts and before is not None:  # Something newer waits already.
            return
        now = time.monotonic()
        latest = now + max(settle, longest) if before is None else before.latest
        self._waiting[reference] = Due(reference, min(now + settle, latest), latest, attempts)
        self._changed.set()

    async def take(self) -> Due:
        """The next model whose turn it is; `done` must be called for it in the end."""
        while True:
            self._changed.clear()
            ready = [due for key, due in self._waiting.items() if key not in self._at_work]
            first = min(ready, key=lambda due: due.at, default=None)
            now = time.monotonic()
            if first is not None and first.at <= now:
                del self._waiting[first.reference]
                self._at_work.add(first.reference)
                return first
            seconds = None if first is None else first.at - now
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    def done(self, reference: Reference) -> None:
        """Say that a model is not at work any more."""
        self._at_work.discard(reference)
        self._changed.set()
