"""What a load does in other threads, and what others do there."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from oms_gate import Gate, from_pretrained
from tests.loading.folders import load_adapter, opening, refused

pytestmark = pytest.mark.usefixtures("working_folder")


def in_a_thread(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """By a library that does not hand on what happened there."""

    def started(name: str) -> str:
        def run() -> None:
            with suppress(OSError):
                load(name)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return name

    return started


def in_a_pool(load: Callable[[str], Any]) -> Callable[[str], Any]:
    def submitted(name: str) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(load, name).result()

    return submitted


@pytest.mark.parametrize(
    "spread",
    [
        in_a_thread,
        in_a_pool,
        lambda load: in_a_pool(in_a_thread(load)),
        lambda load: in_a_thread(in_a_pool(load)),
    ],
    ids=["thread", "pool", "thread in pool", "pool in thread"],
)
def test_what_is_opened_in_other_threads(
    spread: Callable[[Callable[[str], Any]], Callable[[str], Any]],
    adapter: str,
    base: str,
    gate: Gate,
) -> None:
    assert "acme/base/config.json was to be loaded" in refused(spread(load_adapter), adapter, gate)
    shutil.rmtree(base)
    from_pretrained(spread(load_adapter), adapter, gate=gate)


def test_threads_belong_to_the_load_that_gives_them_work(
    adapter: str, base: str, gate: Gate
) -> None:
    """However long they live, and whoever has started them."""
    asked, may_go_on = threading.Event(), threading.Event()

    def wait_and_open() -> str:
        asked.set()
        assert may_go_on.wait(10)
        return opening(f"{base}/config.json")("opened")

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as later:
        assert pool.submit(str).result() == ""  # Its thread is there.

        def load(name: str) -> Any:
            return pool.submit(load_adapter, name).result()

        refused(load, adapter, gate)

        def begin(name: str) -> Any:
            return later.submit(wait_and_open)

        left = from_pretrained(begin, adapter, gate=gate)
        assert asked.wait(10)
        may_go_on.set()
        assert left.result() == "opened"
        for each in (pool, later):
            assert each.submit(opening(f"{base}/config.json"), "after").result() == "after"


@pytest.mark.parametrize("is_there", [True, False])
def test_work_of_others_is_let_be(is_there: bool, adapter: str, base: str, gate: Gate) -> None:
    """Also where the same thread does some for the load, or was started by it."""
    loads = threading.Event()

    def work() -> str:
        assert loads.wait(10)
        return pool.submit(opening(f"{base}/config.json"), "opened").result()

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as other:
        if is_there:
            assert pool.submit(str).result() == ""
        worked = other.submit(work)

        def load(name: str) -> str:
            assert pool.submit(str).result() == ""
            loads.set()
            return worked.result(10)

        assert from_pretrained(load, adapter, gate=gate) == "opened"


def test_a_thread_of_a_load_that_was_a_part_of_another(adapter: str, base: str, gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:

        def load(name: str) -> str:
            ended = threading.Event()

            def open_then() -> str:
                assert ended.wait(10)
                return opening(f"{base}/config.json")("opened")

            def begin(name: str) -> Any:
                return pool.submit(open_then)

            left = from_pretrained(begin, adapter, gate=gate)
            ended.set()
            return str(left.result())

        refused(load, adapter, gate)


def test_others_may_watch_threads_as_well(
    adapter: str, base: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Sentry does; who begins with that in one load still calls its wrapper in the next."""
    ran: list[str] = []

    def watch() -> None:
        start: Any = threading.Thread.start

        def started(thread: threading.Thread) -> None:
            run: Any = thread.run
            thread.run = lambda: getattr(run, "__func__", run)(thread)  # type: ignore[method-assign]
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", started)

    def load(name: str, first: bool) -> str:
        if first:
            watch()
        in_a_thread(ran.append)(name)
        return name

    for first in (True, False):
        from_pretrained(load, adapter, gate=gate, first=first)
    assert ran == [adapter, adapter]
    refused(in_a_thread(opening(f"{base}/config.json")), adapter, gate)


def test_threads_are_as_they_were(adapter: str, gate: Gate) -> None:
    """What starts them is the threads' own again; and nothing of the load stays with them."""

    class Odd(threading.Thread):
        @property
        def run(self) -> Any:
            return lambda: ran.append(adapter)

    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    ran: list[str] = []
    gone: list[weakref.ref[threading.Thread]] = []

    def load(name: str) -> str:
        for thread in (Odd(), threading.Thread(target=str)):
            thread.start()
            thread.join()
            gone.append(weakref.ref(thread))
        return name

    gc.disable()
    try:
        from_pretrained(load, adapter, gate=gate)
        assert ran == [adapter]
        assert [thread() for thread in gone] == [None, None]
    finally:
        gc.enable()
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit
