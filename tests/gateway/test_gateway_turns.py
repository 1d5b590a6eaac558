"""Turns: who asks for much delays nobody but themselves."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gateway.client import Client
from oms_gate.gateway.turns import BusyError, Turns
from tests import models
from tests.gateway.running import running
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn


class Held:
    """Turns, and calls that end when they are told to.

    begun: those that have, by their names.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self.turns = Turns(threads, waiting, "turn")
        self.begun: list[str] = []
        self.go_on = threading.Event()

    def call(self, client: str, name: str | None = None) -> asyncio.Future[str]:
        return self.turns.call(client, partial(self._work, name or client))

    def _work(self, name: str) -> str:
        self.begun.append(name)
        self.go_on.wait(10)
        return name


@contextmanager
def held(threads: int, waiting: int) -> Iterator[Held]:
    found = Held(threads, waiting)
    try:
        yield found
    finally:
        found.go_on.set()
        found.turns.close()


def test_clients_take_turns() -> None:
    async def play() -> list[str]:
        with held(1, 20) as found:
            calls = [found.call("a", f"a{number}") for number in range(6)]
            calls += [found.call(name[0], name) for name in ("b0", "b1", "c0")]
            found.go_on.set()
            assert await asyncio.gather(*calls) == [
                *(f"a{number}" for number in range(6)),
                *("b0", "b1", "c0"),
            ]
            return found.begun

    begun = asyncio.run(play())
    assert begun == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4", "a5"]


@pytest.mark.parametrize(("threads", "waiting", "each"), [(4, 4, 4), (5, 0, 3), (1, 1, 2)])
def test_no_client_has_more_than_half(threads: int, waiting: int, each: int) -> None:
    """Of the threads, and of those who wait."""

    async def play() -> None:
        with held(threads, waiting) as found:
            for _ in range(each):
                found.call("a")
            with pytest.raises(BusyError):
                found.call("a")
            if threads > 1:
                other = found.call("b")
                while "b" not in found.begun:
                    await asyncio.sleep(0.01)
                found.go_on.set()
                assert await other == "b"

    asyncio.run(play())


def test_all_together_have_a_bound() -> None:
    async def play() -> None:
        with held(1, 2) as found:
            calls = [found.call(client) for client in "abc"]
            with pytest.raises(BusyError):
                found.call("d")
            found.go_on.set()
            await asyncio.gather(*calls)
            assert await found.call("d") == "d"

    asyncio.run(play())


def test_what_fails_frees_its_place() -> None:
    async def play() -> None:
        turns = Turns(1, 1, "turn")

        def fail() -> None:
            raise ValueError("no")

        first, second = turns.call("a", fail), turns.call("b", lambda: 7)
        with pytest.raises(ValueError, match="no"):
            await first
        assert await second == 7
        turns.close()

    asyncio.run(play())


def test_who_waits_at_the_end_is_told() -> None:
    async def play() -> None:
        with held(1, 1) as found:
            found.call("a")
            waiting = found.call("b")
            found.turns.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(BusyError):
                found.call("c")

    asyncio.run(play())


def test_one_that_asks_for_all_locks_nobody_out(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Decisions, and transfers, for a client at one address; and another client at another."""
    go_on = threading.Event()
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    for name in ("quick", *(f"slow{number}" for number in range(6))):
        hub.create(f"acme/{name}", files=files)
    hub.inject(CallBefore(lambda: go_on.wait(10)), "*slow*/tree/*")
    bounds = {"checks": 2, "waiting_checks": 4, "waiting_seconds": 5}
    config = GateConfig.model_validate(settings | {"gateway": bounds})
    with running(config, tmp_path / "caches") as gateway:
        greedy = []
        for number in range(6):
            connection = _connection(gateway.endpoint, "127.0.0.2")
            connection.request("GET", f"/acme/slow{number}/resolve/main/config.json")
            greedy.append(connection)
        # One at work, two waiting; there is no place for the others.
        refused = [connection.getresponse().status for connection in greedy[3:]]
        assert refused == [429] * 3
        other = _connection(gateway.endpoint, "127.0.0.3")
        other.request("GET", "/acme/quick/resolve/main/config.json")
        assert other.getresponse().read() == models.FILES["config.json"]
        go_on.set()
        assert [connection.getresponse().status for connection in greedy[:3]] == [200] * 3
        for connection in (*greedy, other):
            connection.close()


def _connection(endpoint: str, source: str) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint)
    assert parts.hostname is not None
    return http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=20, source_address=(source, 0)
    )


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_turns_are_counted_by_what_one_client_can_have(remote: str, counted: str) -> None:
    request = make_mocked_request("GET", "/").clone(remote=remote)
    assert Client.of(request) == (None, counted)
