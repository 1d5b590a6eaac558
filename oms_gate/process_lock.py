"""A lock among the threads of one process, which is free in a process that is forked."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet


class ProcessLock:
    """Like `threading.Lock`: but a thread that holds it as another forks is not in the child, and
    would never let go of it there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _ALL.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Make it free, in a forked process before it has threads."""
        self._lock = threading.Lock()


_ALL: WeakSet[ProcessLock] = WeakSet()


def _renew() -> None:
    for lock in list(_ALL):
        lock.renew()


os.register_at_fork(after_in_child=_renew)
