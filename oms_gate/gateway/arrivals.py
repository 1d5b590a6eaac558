"""All files that are on their way, each fetched once however many clients want it."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from oms_gate.cache import CachedModel
from oms_gate.cache.layout import Layout
from oms_gate.gateway.arrival import Arrival
from oms_gate.gateway.flights import is_wanted
from oms_gate.gateway.journal import Journal
from oms_gate.gateway.observer import Observer, tell
from oms_gate.gateway.room import Room
from oms_gate.gateway.turns import Turns
from oms_gate.limits import Limits


class Arrivals:
    """The arrivals of one process. Used within one event loop."""

    def __init__(self, connections: int, turns: Turns, room: Room, observer: Observer) -> None:
        """
        connections: to stores, for all of them.
        turns: of transfers.
        """
        self._connections = connections
        self._turns = turns
        self._room = room
        self._observer = observer
        self._current: dict[tuple[Path, str], Followed] = {}

    def of(
        self, layout: Layout, model: CachedModel, path: str, limits: Limits, address: str
    ) -> Followed:
        """The arrival of a signed file, which begins if it is not under way.

        limits: of the transfer, but for its connections.
        address: of who asks.

        Raises:
            BusyError: too many are under way, or wait for their turn.
        """
        journal = Journal(layout, model.content(path))
        key = journal.file, model.declared(path)
        followed = self._current.get(key)
        if followed is None or followed.arrival.is_over:
            connections = max(1, self._connections // (len(self._current) + 1))
            update = {"connections": min(limits.connections, connections)}
            followed = Followed(model, path, journal, limits.model_copy(update=update), self._room)
            done = self._turns.call(address, followed.bring)
            self._current[key] = followed
            done.add_done_callback(partial(self._ended, key, followed))
        followed.wanted_at = time.monotonic()
        return followed

    def close(self) -> None:
        """End what is under way: what has arrived is gone on with later."""
        for followed in self._current.values():
            followed.abort()

    def _ended(self, key: tuple[Path, str], followed: Followed, done: asyncio.Future[None]) -> None:
        if self._current.get(key) is followed:
            del self._current[key]
        arrival = followed.arrival
        if done.cancelled():
            arrival.give_up()
        followed.wake()
        tell(self._observer, arrival.transfer())


class Followed:
    """An arrival as clients see it, in the event loop.

    model: whose file it is, as the client has it for whom it was begun.
    wanted_at: when a client last asked for it, on the clock of `time.monotonic`.
    """

    def __init__(
        self, model: CachedModel, path: str, journal: Journal, limits: Limits, room: Room
    ) -> None:
        self.journal = journal
        self.model = model
        self._waiting: list[asyncio.Future[None]] = []
        self._waking = False
        self.wanted_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self.arrival = Arrival(model, path, journal, limits, room, self._on_change)

    def bring(self) -> None:
        """Let the file come, in a thread; unless those who wanted it have gone before its turn."""
        if is_wanted(len(self._waiting), self.wanted_at):
            self.arrival.bring()
        else:
            self.arrival.give_up()

    async def change(self) -> None:
        """Wait until there is more of the file, or it is over."""
        self.wanted_at = time.monotonic()
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            if waiting in self._waiting:  # The client has gone.
                self._waiting.remove(waiting)

    def wake(self) -> None:
        """Let all look at it again who wait."""
        self._waking = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def _on_change(self) -> None:
        """Called by the threads of the arrival."""
        if self._waking:
            return  # The loop has not come to look at what was before.
        self._waking = True
        with suppress(RuntimeError):  # The loop has ended before they have.
            self._loop.call_soon_threadsafe(self.wake)

    def open(self) -> BinaryIO | None:
        """What has arrived so far, for reading; None where it is over, and elsewhere by now."""
        try:
            return os.fdopen(os.open(self.journal.file, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except FileNotFoundError:
            return None

    def abort(self) -> None:
        """End the transfer."""
        self.model.admission.snapshot.abort()
