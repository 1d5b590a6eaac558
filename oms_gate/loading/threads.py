"""What a load does in other threads is a part of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any

from oms_gate.loading.judgement import Load, current_load, part_of
from oms_gate.loading.swaps import Swaps


def swap_threads(swaps: Swaps) -> None:
    """Let threads belong to the load that starts them, or that gives them work."""
    swaps.attribute(threading.Thread, "start", _start_in)
    swaps.attribute(ThreadPoolExecutor, "submit", _submit_in)


def _start_in(start: Callable[..., None]) -> Callable[..., None]:
    @wraps(start)
    def started(thread: threading.Thread) -> None:
        if load := current_load():
            run = thread.run

            # Others that replace `run` may call this one as that of the class.
            def run_in_load(*_: object) -> None:
                vars(thread).pop("run", None)  # It would keep the thread, which keeps it.
                with part_of(load):
                    run()

            with suppress(AttributeError):  # One that forbids it: it is not looked at.
                thread.run = run_in_load  # type: ignore[method-assign]
        start(thread)

    return started


def _submit_in(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submitted(
        pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        if load := current_load():
            work = _within(load, work)
        with part_of(None):  # A thread that it starts works for others, too.
            return submit(pool, work, *args, **kwargs)

    return submitted


def _within(load: Load, call: Callable[..., Any]) -> Callable[..., Any]:
    def within(*args: Any, **kwargs: Any) -> Any:
        with part_of(load):
            return call(*args, **kwargs)

    return within
