"""Many clients at once of a model that nobody has asked for before: it is read once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.gateway import models as gateway_models
from oms_gate.gateway.client import Client
from oms_gate.gateway.hub_origin import HubOrigin
from oms_gate.gateway.models import Models
from oms_gate.gateway.paths import Repository
from oms_gate.verdict import Verdict
from tests import models
from tests.gateway.running import Running, Told, running
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn
from tests.peers.wire import RequestRecord
from tests.server.running import until

_CLIENTS = 500
_PATHS = list(models.FILES)


@pytest.fixture
def signed(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key)}


@pytest.mark.parametrize("kinds", [1, 3])
def test_a_crowd_is_served_by_one_transfer(
    gateway: Running, hub: HubStandIn, signed: dict[str, bytes], kinds: int
) -> None:
    """Who has another token is looked at, but nothing is read again."""
    hub.create("acme/m", files=signed)
    tokens = [None, hub.token, hub.state.outsider_token][:kinds]
    answers = asyncio.run(_crowd(gateway, tokens))
    assert all((status, got) == (200, models.FILES[path]) for path, _, status, got in answers)
    asked = Counter(map(_kind, hub.requests))
    # Who may see it, and for each token that its listing has not changed.
    assert asked.pop("revision") <= 3 * kinds
    assert asked == dict.fromkeys([*signed, "tree", "redirect"], 1)
    assert gateway.told.bytes == sum(map(len, models.FILES.values()))
    assert len(gateway.told.verdicts) == kinds


def test_nobody_in_a_crowd_gets_what_only_others_may_read(
    gateway: Running, hub: HubStandIn, signed: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=signed, private=True)
    answers = asyncio.run(_crowd(gateway, [None, hub.token, hub.state.outsider_token]))
    for path, token, status, content in answers:
        if token == hub.token:
            assert (status, content) == (200, models.FILES[path])
        else:
            assert status in (401, 404)
            assert models.FILES[path] not in content
    assert gateway.told.bytes == sum(map(len, models.FILES.values()))
    assert len(gateway.told.verdicts) == 1


def test_who_comes_as_the_first_decision_is_there_asks_for_no_second_one(
    hub: HubStandIn,
    signed: dict[str, bytes],
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is known then, and those with other tokens are about to decide for themselves."""
    hub.create("acme/m", files=signed)
    monkeypatch.setattr(gateway_models, "_EPOCH_SECONDS", 0)
    config = GateConfig.model_validate(settings)
    repository = Repository("models", "acme/m")
    waiting, known = threading.Event(), threading.Event()
    held: list[None] = []

    async def ask(gate: Gate) -> Told:
        loop = asyncio.get_running_loop()

        class First(Told):
            def decided(self, verdict: Verdict, seconds: float) -> None:
                super().decided(verdict, seconds)
                if not known.is_set():
                    # What happens in threads meanwhile comes at once, the first decision first.
                    loop.call_soon_threadsafe(time.sleep, 0.1)
                    known.set()

        @contextmanager
        def hold() -> Iterator[Gate]:
            held.append(None)
            match len(held):
                case 2:  # The first one's check.
                    assert waiting.wait(10)
                case 4:  # Of the last one, before it sees what is known.
                    assert known.wait(10)
                    time.sleep(0.05)
            with gate.held() as current:
                yield current

        told = First()
        origin = HubOrigin(config.stores, config.limits, None, config.signature, lambda _: False)
        gateway = Models(config.gateway, (origin,), hold, tmp_path / "caches", told)
        asked = []
        for token, most in ((None, 2), (hub.token, 3), (hub.token, 4)):
            asked.append(asyncio.create_task(gateway.find(repository, None, Client(token, "::1"))))
            while len(held) < most:
                await asyncio.sleep(0.02)
        waiting.set()
        await asyncio.gather(*asked)
        gateway.close()
        return told

    with Gate.from_config(config) as gate:
        assert len(asyncio.run(ask(gate)).verdicts) == 2


def test_who_waits_for_the_first_decision_takes_no_place_of_others(
    hub: HubStandIn, signed: dict[str, bytes], settings: dict[str, Any], tmp_path: Path
) -> None:
    """Whoever has another token; of the four places one client may have two."""
    deciding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        deciding.set()
        go_on.wait(10)

    for name in ("slow", "quick"):
        hub.create(f"acme/{name}", files=signed)
    hub.inject(CallBefore(hold), "*slow*/tree/*")
    bounds = {"gateway": {"checks": 4, "waiting_seconds": 2}, "limits": {"read_seconds": 20}}
    config = GateConfig.model_validate(settings | bounds)
    with running(config, tmp_path / "caches") as gateway:
        path, waiting = "/acme/slow/resolve/main/config.json", []
        for token in (None, hub.token, hub.state.outsider_token):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            waiting.append(threading.Thread(target=gateway.ask, args=(path, "GET", headers)))
            waiting[-1].start()
            assert deciding.wait(10)
        until(lambda: sum("/revision/" in request.path for request in [*hub.requests]) >= 3)
        time.sleep(0.1)
        answer = gateway.ask("/acme/quick/resolve/main/config.json")
        assert (answer.status, go_on.is_set()) == (200, False)
        go_on.set()
        for each in waiting:
            each.join()


async def _crowd(
    gateway: Running, tokens: Sequence[str | None]
) -> list[tuple[str, str | None, int, bytes]]:
    """Path, token, status and content of each client's answer."""
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(number: int) -> tuple[str, str | None, int, bytes]:
            path, token = _PATHS[number % len(_PATHS)], tokens[number // 3 % len(tokens)]
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            url = f"{gateway.endpoint}/acme/m/resolve/main/{path}"
            async with session.get(url, headers=headers) as answer:
                return path, token, answer.status, await answer.read()

        return await asyncio.gather(*map(ask, range(_CLIENTS)))


def _kind(request: RequestRecord) -> str:
    """The file that was read, or what the Hub was asked about the repository."""
    if request.file is None:
        return request.path.split("/")[5]
    return request.file if request.status == 200 else "redirect"
