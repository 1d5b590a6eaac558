"""What clients put together of several answers is the signed file, or visibly none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gateway import arrival
from oms_gate.gateway.journal import Journal, State
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway import plays
from tests.gateway.resuming import Behaviour, Client, Received, Upstream, Way, eventually, receive
from tests.gateway.running import Running, running
from tests.peers.hub import HubStandIn

PATH = f"/acme/m/resolve/main/{plays.WEIGHTS}"
RIGHT = Random(9).randbytes(4 * MIB)

Workers = tuple[Running, Running]


@pytest.fixture
def upstream(hub: HubStandIn) -> Iterator[Upstream]:
    upstream = Upstream(hub)
    yield upstream
    upstream.go_on()


@pytest.fixture
def workers(
    hub: HubStandIn, settings: dict[str, Any], tmp_path: Path, upstream: Upstream
) -> Iterator[Workers]:
    """Two that share their folder, as the processes of one service do."""
    patient = plays.SETTINGS | {"waiting_seconds": 0.5}
    config = GateConfig.model_validate({**settings, "gateway": patient})
    with running(config, tmp_path) as one, running(config, tmp_path) as other:
        yield one, other
        upstream.go_on()


@pytest.fixture
def publish(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Callable[..., None]:
    def publish(shard_size: int | None = None) -> None:
        files = {plays.WEIGHTS: RIGHT}
        bundle = models.signature(files, key, shard_size=shard_size)
        hub.create("acme/m", files={**files, "model.sig": bundle})

    return publish


def begun(worker: Running, way: Way = "anew") -> Client:
    """A client that got the beginning, and went away."""
    client = Client(PATH, way)
    eventually(lambda: client.attempt(worker.endpoint, MIB).status == 200)
    assert len(client.content) == MIB
    return client


def pruned(folder: Path) -> None:
    """Remove what is verified, as is done where the disk is full."""
    for file in [*folder.glob("*/roots/**/*.safetensors"), *folder.glob("*/files/*/*")]:
        file.unlink()


def test_no_play_ends_with_a_wrong_file(
    hub: HubStandIn, upstream: Upstream, settings: dict[str, Any], tmp_path: Path,
    key: ec.EllipticCurvePrivateKey,
) -> None:  # fmt: skip
    config = GateConfig.model_validate({**settings, "gateway": plays.SETTINGS})
    with running(config, tmp_path) as one, running(config, tmp_path) as other:
        for seed in range(8):
            chance = Random(seed)
            name = f"acme/play-{seed}"
            right = plays.publish(hub, name, key, chance)
            path = f"/{name}/resolve/main/{plays.WEIGHTS}"
            plays.play(upstream, [one, other], path, right, chance)


@pytest.mark.parametrize("way", ["range", "if-range", "if-match", "by-tag"])
@pytest.mark.parametrize("wrong", [None, 0])
def test_a_beginning_is_gone_on_with_unless_it_was_wrong(
    publish: Callable[..., None], upstream: Upstream, workers: Workers, way: Way, wrong: int | None
) -> None:
    """The beginning comes while the file arrives at one worker, the rest from the other."""
    publish()
    upstream.behave(Behaviour(wrong=wrong, paused=3 * MIB))
    client = begun(workers[0], way)
    assert (bytes(client.content) == RIGHT[:MIB]) == (wrong is None)
    upstream.behave()
    upstream.go_on()
    answers: list[Received] = []

    def ends() -> bool:
        answers.append(client.attempt(workers[1].endpoint))
        return client.complete or answers[-1].status in (403, 412)

    eventually(ends)
    if wrong is None:
        assert client.content == RIGHT
        assert answers[-1].status == 206
    elif way in ("range", "if-match"):
        # They cannot tell one beginning from another, or want no other.
        assert answers[-1].status == {"range": 403, "if-match": 412}[way]
        if way == "range":
            assert answers[-1].headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED
        assert Client(PATH, "anew").attempt(workers[0].endpoint).content == RIGHT
    else:
        assert client.content == RIGHT
        assert answers[-1].status == 200


def test_a_wrong_beginning_is_found_where_it_is_gone_on_with(
    publish: Callable[..., None], upstream: Upstream, workers: Workers
) -> None:
    """Who brought it did not come to its end."""
    publish()
    upstream.behave(Behaviour(wrong=0, paused=2 * MIB, cut=3 * MIB))
    clients = [begun(workers[0], way) for way in ("range", "if-range")]
    upstream.go_on()
    upstream.behave()
    for client in clients:
        eventually(lambda: client.attempt(workers[1].endpoint).status != 429)  # noqa: B023
    assert not clients[0].complete
    assert clients[1].content == RIGHT


def test_a_wrong_beginning_of_every_turn_is_another(
    publish: Callable[..., None], upstream: Upstream, workers: Workers
) -> None:
    publish()
    tags = set()
    for wrong in (0, 100, None):
        upstream.behave(Behaviour(wrong=wrong, paused=3 * MIB))
        tags.add(begun(workers[0]).tag)
        upstream.go_on()
        # It is over when it is known whether the file is there.
        eventually(lambda: receive(workers[0].endpoint, PATH, {"Range": "bytes=0-0"}).status != 429)
    assert len(tags) == 3


def test_the_end_is_held_back_where_it_has_come(
    hub: HubStandIn, upstream: Upstream, workers: Workers, key: ec.EllipticCurvePrivateKey
) -> None:
    size = 2 * MIB + 100
    files = {plays.WEIGHTS: RIGHT[:size]}
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})
    upstream.behave(Behaviour(cut=size - 50))
    receive(workers[0].endpoint, PATH)
    upstream.behave(Behaviour(paused=0, down=True))
    answers = []

    def answered() -> bool:
        answers.append(receive(workers[0].endpoint, PATH))
        return answers[-1].status != 429

    # Upstream may have failed again before anybody has looked at what was there.
    eventually(answered)
    assert answers[-1].status == 200
    assert answers[-1].content == RIGHT[: size - arrival.HELD_BACK_BYTES]
    upstream.behave()
    eventually(lambda: receive(workers[0].endpoint, PATH).content == RIGHT[:size])


def test_the_rest_of_what_nobody_has_verified_is_not_given_in_shards(
    publish: Callable[..., None], upstream: Upstream, workers: Workers
) -> None:
    """Each shard could be fetched alone, and be right, where the beginning is not."""
    publish(2 * MIB)
    upstream.behave(Behaviour(wrong=0, paused=3 * MIB // 2))
    client = begun(workers[0], "range")
    assert bytes(client.content) != RIGHT[:MIB]
    upstream.behave()
    assert client.attempt(workers[0].endpoint).status == 429
    upstream.go_on()
    eventually(lambda: client.attempt(workers[0].endpoint).status != 429)
    assert not client.complete
    # Whoever has no beginning gets any part.
    assert receive(workers[0].endpoint, PATH, {"Range": "bytes=0-9"}).content == RIGHT[:10]


def test_who_waits_for_the_rest_hears_that_the_beginning_was_wrong(
    publish: Callable[..., None], upstream: Upstream, hub: HubStandIn, settings: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    """The beginning was not known to be wrong when the rest was asked for."""
    publish()
    patient = {**settings, "gateway": plays.SETTINGS | {"waiting_seconds": 10}}
    config = GateConfig.model_validate(patient)
    with (
        running(config, tmp_path) as one,
        running(config, tmp_path) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        upstream.behave(Behaviour(wrong=0, paused=3 * MIB))
        client = begun(one, "range")
        upstream.behave()
        rest = threads.submit(client.attempt, other.endpoint)
        time.sleep(0.4)
        assert not rest.done()
        # One process at a time writes the file.
        assert len([record for record in hub.requests if record.origin == "cdn"]) == 1
        upstream.go_on()
        assert rest.result(10).status == 429
        assert not client.complete


def test_nobody_gets_more_than_a_killed_process_would_know_of(
    publish: Callable[..., None], upstream: Upstream, workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    publish()
    reached, go_on = threading.Event(), threading.Event()
    release = Journal.release

    def slow(journal: Journal, state: State) -> None:
        if state.released:
            reached.set()
            go_on.wait(10)
        release(journal, state)

    monkeypatch.setattr(Journal, "release", slow)
    assert receive(workers[0].endpoint, PATH, most=1).status == 429
    assert reached.wait(10)
    assert receive(workers[0].endpoint, PATH, most=1).status == 429
    go_on.set()
    eventually(lambda: receive(workers[0].endpoint, PATH).content == RIGHT)


def test_a_tag_is_never_that_of_a_later_beginning(
    publish: Callable[..., None], upstream: Upstream, workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In between what is written down and what is known in memory, a client comes."""
    publish()
    reached, go_on = threading.Event(), threading.Event()
    discard = Journal.discard

    def slow(journal: Journal) -> None:
        reached.set()
        go_on.wait(10)
        discard(journal)

    def ask() -> None:
        while not reached.is_set():
            Client(PATH, "anew").attempt(workers[0].endpoint)

    # Who goes on with what is left here finds that it was wrong.
    upstream.behave(Behaviour(wrong=0, paused=2 * MIB, cut=3 * MIB))
    begun(workers[0])
    monkeypatch.setattr(Journal, "discard", slow)
    upstream.behave()
    upstream.go_on()
    asking = threading.Thread(target=ask)
    asking.start()
    assert reached.wait(10)
    client = Client(PATH, "if-range")
    answer = client.attempt(workers[0].endpoint, MIB)
    assert answer.status == 429
    go_on.set()
    asking.join()
    eventually(lambda: client.attempt(workers[0].endpoint).whole and client.complete)
    assert client.content == RIGHT


def test_who_follows_another_process_does_not_miss_that_it_was_wrong(
    publish: Callable[..., None], upstream: Upstream, workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The file that it has open is the wrong one as a whole, and another one has arrived since."""
    publish()
    monkeypatch.setattr(arrival, "_FOLLOWING_SECONDS", 0.5)
    upstream.behave(Behaviour(wrong=0, paused=3 * MIB))
    begun(workers[0])
    with ThreadPoolExecutor(1) as threads:
        begun(workers[1])
        client = Client(PATH, "anew")
        following = threads.submit(client.attempt, workers[1].endpoint)
        time.sleep(0.1)
        upstream.behave()
        upstream.go_on()
        first = Client(PATH, "anew")
        eventually(lambda: first.attempt(workers[0].endpoint).whole and first.complete)
        following.result(10)
    assert first.content == RIGHT
    assert client.content == RIGHT or not client.complete


def test_what_comes_another_way_says_nothing_of_what_was_handed_out(
    publish: Callable[..., None], upstream: Upstream, workers: Workers, tmp_path: Path
) -> None:
    """A beginning was handed out, and then another program brought the same content."""
    publish()
    upstream.behave(Behaviour(wrong=0, paused=2 * MIB, cut=3 * MIB))
    client = begun(workers[0], "range")
    upstream.go_on()
    upstream.behave(Behaviour(down=True))
    eventually(lambda: client.attempt(workers[0].endpoint).status == 429)
    (part,) = tmp_path.glob("*/arrivals/*.part")
    contents = part.parents[1] / "files" / "sha256"
    contents.mkdir(parents=True, exist_ok=True)
    (contents / part.stem.partition("-")[2]).write_bytes(RIGHT)
    eventually(lambda: receive(workers[0].endpoint, PATH).content == RIGHT)
    assert client.attempt(workers[1].endpoint).status == 403
    assert not part.exists()


def test_an_answer_that_cannot_go_on_ends(
    publish: Callable[..., None], upstream: Upstream, workers: Workers
) -> None:
    """Of the two shards that were asked for, the second one is not what was signed."""
    publish(2 * MIB)
    upstream.behave(Behaviour(wrong=3 * MIB))
    answer = receive(workers[0].endpoint, PATH, {"Range": "bytes=5-"})
    assert answer.status == 206
    assert not answer.whole
    assert answer.content == RIGHT[5 : 2 * MIB]
    upstream.behave()
    eventually(lambda: receive(workers[0].endpoint, PATH).content == RIGHT)


def test_who_has_a_right_file_is_trusted_after_a_wrong_one(
    publish: Callable[..., None], upstream: Upstream, workers: Workers, tmp_path: Path
) -> None:
    """What was wrong once is remembered, and a later arrival of the same adds nothing to it."""
    publish()
    upstream.behave(Behaviour(wrong=0, paused=3 * MIB))
    begun(workers[0])
    upstream.behave()
    upstream.go_on()
    eventually(lambda: receive(workers[0].endpoint, PATH).content == RIGHT)
    tag = receive(workers[0].endpoint, PATH, method="HEAD").headers["ETag"]
    assert tag.endswith('-1"')
    pruned(tmp_path)
    eventually(lambda: receive(workers[1].endpoint, PATH).content == RIGHT)
    assert receive(workers[1].endpoint, PATH, method="HEAD").headers["ETag"] == tag
