"""Calls in threads, so many at a time, for which clients take turns."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """As much is being decided, or fetched, as may be at a time."""


@dataclass(frozen=True)
class _Call:
    client: str
    work: Callable[[], Any]
    result: asyncio.Future[Any]


class Turns:
    """Threads and a queue, of neither of which one client has more than half.

    Of those who wait each client gets one turn after the other, so that who asks for much delays
    nobody but themselves. Used within one event loop.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        """
        threads: most calls at a time.
        waiting: most calls that wait for their turn.
        name: what the names of the threads begin with.
        """
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads, self._each = threads, _half(threads)
        self._most_waiting, self._each_waiting = waiting, _half(waiting)
        self._closed = False
        self._running: Counter[str] = Counter()
        # Whose turn is next comes first.
        self._waiting: OrderedDict[str, deque[_Call]] = OrderedDict()

    def call(self, client: str, work: Callable[[], T]) -> asyncio.Future[T]:
        """What a call will have returned, or raised.

        client: for whom it is.

        Raises:
            BusyError: too much waits already, of all clients or of this one; or it is closed.
        """
        if self._closed:
            raise BusyError
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        theirs = len(self._waiting.get(client, ()))
        if self._running.total() >= self._threads or self._running[client] >= self._each:
            count = sum(map(len, self._waiting.values()))
            if count >= self._most_waiting or theirs >= self._each_waiting:
                raise BusyError
        # In the context of who asks: logs and traces say what it was for.
        told = partial(copy_context().run, work)
        self._waiting.setdefault(client, deque()).append(_Call(client, told, result))
        self._begin()
        return result

    def close(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for calls in self._waiting.values():
            for call in calls:
                call.result.cancel()
        self._waiting.clear()

    def _begin(self) -> None:
        """Begin what there are places for."""
        while self._running.total() < self._threads:
            free = (each for each in self._waiting if self._running[each] < self._each)
            if (client := next(free, None)) is None:
                return
            calls = self._waiting.pop(client)
            call = calls.popleft()
            if calls:
                self._waiting[client] = calls
            self._running[client] += 1
            done = asyncio.get_running_loop().run_in_executor(self._pool, call.work)
            done.add_done_callback(partial(self._ended, call))

    def _ended(self, call: _Call, done: asyncio.Future[Any]) -> None:
        self._running[call.client] -= 1
        self._running += Counter()  # Without those that have none.
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            call.result.cancel()
        elif call.result.done():  # Nobody waits for it any more.
            pass
        elif error is not None:
            call.result.set_exception(error)
        else:
            call.result.set_result(done.result())
        self._begin()


def _half(count: int) -> int:
    return count - count // 2
