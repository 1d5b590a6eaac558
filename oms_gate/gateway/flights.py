"""Calls of which equal ones are made once, for all who wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from oms_gate.gateway.turns import Turns

T = TypeVar("T")

WANTED_SECONDS: Final = 30.0
"""So long a client that was told to come again may take for it."""

_ELSEWHERE_SECONDS = 0.02


class ElsewhereError(Exception):
    """The same is done elsewhere at the moment."""


class _Flight(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0
        self.asked = time.monotonic()


class Flights(Generic[T]):
    """Calls in threads: of equal ones, one at a time, whose result is that of all."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._running: dict[Hashable, _Flight[T]] = {}

    def has(self, key: Hashable) -> bool:
        """Whether a call is under way, which the next one that asks joins."""
        return key in self._running

    def is_wanted(self, key: Hashable) -> bool:
        """Whether somebody waits for a call, or is about to come back for it. In any thread."""
        flight = self._running.get(key)
        # A call may begin before it is among them.
        return flight is None or is_wanted(flight.waiting, flight.asked)

    async def run(
        self, key: Hashable, client: str, call: Callable[[], T], keep: Callable[[T], None]
    ) -> T:
        """The result of a call.

        client: whose turn it takes, if it is not under way.
        call: where it raises `ElsewhereError`, it is made again in a moment, as long as somebody
            waits, and takes no thread meanwhile.
        keep: remembers it, before an equal call can begin anew.

        Raises:
            BusyError: there are too many already.
            Exception: what the call raised.
        """
        flight = self._running.get(key)
        if flight is None:
            result = self._turns.call(client, call)
            work = self._kept(key, client, call, result, keep)
            flight = _Flight(asyncio.get_running_loop().create_task(work))
            self._running[key] = flight
        flight.waiting, flight.asked = flight.waiting + 1, time.monotonic()
        try:
            # Who goes away must not take it from the others.
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1

    async def _kept(
        self,
        key: Hashable,
        client: str,
        call: Callable[[], T],
        result: asyncio.Future[T],
        keep: Callable[[T], None],
    ) -> T:
        try:
            while True:
                with suppress(ElsewhereError):
                    found = await result
                    keep(found)
                    return found
                await asyncio.sleep(_ELSEWHERE_SECONDS)
                if not self._running[key].waiting:
                    raise asyncio.CancelledError
                result = self._turns.call(client, call)
        finally:
            del self._running[key]

    def close(self) -> None:
        """Begin no more calls, and wait for none."""
        self._turns.close()
        for flight in self._running.values():
            flight.task.cancel()


def is_wanted(waiting: int, asked: float) -> bool:
    """Whether what is waited for by so many may still be of use.

    asked: when somebody last asked for it, on the clock of `time.monotonic`.
    """
    return waiting > 0 or time.monotonic() < asked + WANTED_SECONDS
