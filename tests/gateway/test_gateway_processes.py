"""Several processes of one gateway: what one of them decides, the others find."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.file_locks import locked, locked_now
from oms_gate.gateway.shared_decisions import SharedDecisions
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict
from tests import models
from tests.gateway.running import Running, running
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn
from tests.server.running import until

PATH = "/acme/m/resolve/main/config.json"


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "caches"


@pytest.fixture
def signed(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> None:
    hub.create("acme/m", files={**models.FILES, "model.sig": models.signature(models.FILES, key)})


@pytest.fixture
def unsigned(hub: HubStandIn) -> None:
    hub.create("acme/m", files=dict(models.FILES))


@pytest.fixture
def three(settings: dict[str, Any], caches: Path) -> Iterator[list[Running]]:
    """Gateways that share their caches, as processes do."""
    with ExitStack() as stack:
        config = GateConfig.model_validate(settings)
        yield [stack.enter_context(running(config, caches)) for _ in range(3)]


def asked(hub: HubStandIn) -> Counter[str]:
    """What was read upstream, but for who may see it."""
    found = Counter(r.file or r.path.split("/")[5] for r in hub.requests if r.status == 200)
    found.pop("revision", None)
    return found


@pytest.mark.usefixtures("signed")
def test_a_crowd_before_several_processes_is_served_by_one_verification(
    three: list[Running], hub: HubStandIn
) -> None:
    """That is, of the store: the others verify the signature that the first one has left."""

    async def crowd() -> list[tuple[int, bytes]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ask(number: int) -> tuple[int, bytes]:
                url = f"{three[number % 3].endpoint}{PATH}"
                async with session.get(url) as answer:
                    return answer.status, await answer.read()

            return await asyncio.gather(*map(ask, range(300)))

    assert set(asyncio.run(crowd())) == {(200, models.FILES["config.json"])}
    read = asked(hub)
    assert read.pop("config.json") <= 3
    assert read == {"tree": 1, "model.sig": 1}


@pytest.mark.usefixtures("unsigned")
def test_a_denial_is_made_once(three: list[Running], hub: HubStandIn) -> None:
    threads = []
    for gateway in three:
        threads.append(threading.Thread(target=gateway.ask, args=(PATH,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    answers = [gateway.ask(PATH) for gateway in three]
    assert {answer.headers["X-OMS-Gate-Reason"] for answer in answers} == {
        ReasonCode.SIGNATURE_MISSING
    }
    assert sum(len(gateway.told.verdicts) for gateway in three) == 1
    assert asked(hub) == {"tree": 1}


@pytest.mark.usefixtures("unsigned")
def test_one_waits_until_another_has_decided(three: list[Running], hub: HubStandIn) -> None:
    deciding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        deciding.set()
        go_on.wait(10)

    hub.inject(CallBefore(hold), "*/tree/*")
    first = threading.Thread(target=three[0].ask, args=(PATH,))
    first.start()
    assert deciding.wait(10)
    second = threading.Thread(target=three[1].ask, args=(PATH,))
    second.start()
    second.join(0.3)
    assert second.is_alive()
    assert not three[1].told.verdicts
    go_on.set()
    first.join()
    second.join()
    assert asked(hub) == {"tree": 1}


@pytest.mark.usefixtures("unsigned")
def test_a_denial_of_another_policy_or_of_long_ago_is_none(
    settings: dict[str, Any], caches: Path, hub: HubStandIn
) -> None:
    settings = settings | {"gateway": {"denial_seconds": 0.5}}
    for name in ("Acme", "Acme", "Else"):
        settings["publishers"][0]["name"] = name
        with running(GateConfig.model_validate(settings), caches) as gateway:
            assert gateway.ask(PATH).status == 403
    assert asked(hub) == {"tree": 2}
    time.sleep(0.5)
    with running(GateConfig.model_validate(settings), caches) as gateway:
        assert gateway.ask(PATH).status == 403
        # What was left says nothing any more.
        SharedDecisions(caches, 0).tidy()
    assert asked(hub) == {"tree": 3}
    assert not list(caches.glob("decisions/*"))


@pytest.mark.usefixtures("signed")
def test_a_denial_that_is_none_is_not_believed(
    settings: dict[str, Any], caches: Path, hub: HubStandIn
) -> None:
    """A decision is made anew where a record is damaged, or would let something through."""
    hub.create("acme/unsigned", files=dict(models.FILES))
    verdicts = []
    for name, mode in (("unsigned", "enforce"), ("unsigned", "annotate"), ("m", "enforce")):
        with running(GateConfig.model_validate(settings | {"mode": mode}), caches) as gateway:
            gateway.ask(f"/acme/{name}/resolve/main/config.json")
            verdicts.extend(gateway.told.verdicts)
    denied, annotated, admitted = verdicts
    assert [each.lets_through for each in verdicts] == [False, True, True]
    shared = SharedDecisions(caches, 1000)
    for content in (b"", b"{", b"[" * 100_000, _json(admitted), _json(annotated), _json(denied)):
        with shared.deciding("it") as decision:
            decision.record(denied)
        (caches / "decisions" / hashlib.sha256(b"it").hexdigest()).write_bytes(content)
        with shared.deciding("it") as decision:
            assert decision.denial == (denied if content == _json(denied) else None)
            assert not decision.is_admitted


def _json(verdict: Verdict) -> bytes:
    return verdict.model_dump_json(by_alias=True).encode()


@pytest.mark.usefixtures("unsigned")
def test_no_denial_from_the_future_counts(three: list[Running], caches: Path) -> None:
    """A clock that was set back must not let one stand for long."""
    assert three[0].ask(PATH).status == 403
    (file,) = caches.glob("decisions/*")
    os.utime(file, (time.time() + 1000, time.time() + 1000))
    assert three[1].ask(PATH).status == 403
    assert len(three[1].told.verdicts) == 1


@pytest.fixture
def slow(hub: HubStandIn, caches: Path, settings: dict[str, Any]) -> Iterator[Running]:
    """A gateway that is deciding about the model, until the end of the test."""
    deciding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        deciding.set()
        go_on.wait(10)

    hub.inject(CallBefore(hold), "*/acme/m/tree/*")
    settings["limits"]["read_seconds"] = 20
    with running(GateConfig.model_validate(settings), caches) as gateway:
        asking = threading.Thread(target=gateway.ask, args=(PATH,))
        asking.start()
        assert deciding.wait(10)
        yield gateway
        go_on.set()
        asking.join()


@pytest.mark.usefixtures("signed", "slow")
def test_who_waits_for_another_process_takes_no_place_of_others(
    settings: dict[str, Any], caches: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    """There is one thread for decisions here; and nobody waits for ever, or at the end."""
    hub.create("acme/n", files={**models.FILES, "model.sig": models.signature(models.FILES, key)})
    bounds = {"gateway": {"checks": 1, "waiting_checks": 2, "waiting_seconds": 1}}
    with running(GateConfig.model_validate(settings | bounds), caches) as gateway:
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(gateway.ask(PATH)))
        waiting.start()
        until(lambda: ("decision", False) in gateway.told.looked)
        time.sleep(0.1)
        assert gateway.ask(PATH.replace("/m/", "/n/")).status == 200
        waiting.join()
        (answer,) = answers
        assert (answer.status, "is being looked at" in answer.json["error"]) == (429, True)


@pytest.mark.usefixtures("signed")
def test_where_nothing_can_be_shared_each_decides(
    three: list[Running], caches: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caches.mkdir()
    (caches / "decisions").touch()
    for gateway in three:
        assert gateway.ask(PATH).status == 200
    assert "decisions are not shared" in caplog.text


@pytest.mark.parametrize("made_anew", [True, False])
def test_a_lock_that_was_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    """Who got it a moment too late takes the one that is there now, as everybody else does."""
    file, flock, late = tmp_path / "lock", fcntl.flock, [True]

    def remove_and_lock(descriptor: int, operation: int) -> None:
        if late.pop():
            file.unlink()
            if made_anew:
                file.touch()
        late.append(False)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    waited: list[None] = []
    with locked(
        file, lambda: waited.append(None), time.monotonic() + 5, TimeoutError()
    ) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), file.stat())
    assert waited == [None]


def test_a_lock_that_cannot_be_had_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on file systems of a network that cannot lock."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="locks"):
            locked_now(tmp_path / "lock")
    assert len(list(Path("/dev/fd").iterdir())) == before
