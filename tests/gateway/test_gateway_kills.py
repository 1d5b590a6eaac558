"""A gateway that is killed while a file arrives, and one whose upstream goes down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.limits import MIB
from tests import models
from tests.gateway import plays
from tests.gateway.kills import Process, settings
from tests.gateway.resuming import Behaviour, Client, Upstream, eventually, receive
from tests.gateway.running import Running
from tests.peers.hub import HubStandIn

PATH = f"/acme/m/resolve/main/{plays.WEIGHTS}"
RIGHT = Random(7).randbytes(6 * MIB)
# Of what was read, the last chunk may not have been hashed yet, or not written down.
AGAIN = MIB


@pytest.fixture
def upstream(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Iterator[Upstream]:
    files = {plays.WEIGHTS: RIGHT}
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})
    upstream = Upstream(hub)
    yield upstream
    upstream.go_on()


def sent(hub: HubStandIn) -> int:
    """Bytes of weights that upstream has sent since the log was emptied."""
    return sum(record.sent for record in hub.requests if record.origin == "cdn")


def test_what_had_arrived_is_there_after_a_kill(
    hub: HubStandIn, upstream: Upstream, public_key: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "caches"
    process = Process(settings(public_key), folder, hub.endpoint)
    client = Client(PATH, "range")
    try:
        upstream.behave(Behaviour(paused=3 * MIB))
        eventually(lambda: client.attempt(process.endpoint, 2 * MIB).status == 200)
        assert client.content == RIGHT[: 2 * MIB]
        # A part is not given before all of it is verified.
        assert receive(process.endpoint, PATH, {"Range": "bytes=5-9"}).status == 429
        process.kill()
        upstream.go_on()
        process.start()
        hub.clear()
        upstream.behave()
        eventually(lambda: client.attempt(process.endpoint).status != 429)
        assert client.complete
        assert client.content == RIGHT
        assert sent(hub) <= len(RIGHT) - 2 * MIB + AGAIN
    finally:
        process.kill()
    assert not list(folder.glob("*/arrivals/*"))


def test_upstream_goes_down_and_comes_back(
    hub: HubStandIn, upstream: Upstream, gateway: Running
) -> None:
    upstream.behave(Behaviour(paused=3 * MIB))
    client = Client(PATH, "if-range")
    client.attempt(gateway.endpoint, 2 * MIB)
    upstream.behave()
    threading.Timer(0.2, upstream.go_on).start()
    hub.stop()
    answer = client.attempt(gateway.endpoint)
    assert answer.status == 429
    assert answer.headers["Retry-After"]
    assert "store." in answer.headers["X-OMS-Gate-Reason"]
    hub.start()
    hub.clear()
    answer = client.attempt(gateway.endpoint)
    assert (answer.status, client.complete) == (206, True)
    assert client.content == RIGHT
    assert sent(hub) <= len(RIGHT) - 2 * MIB + AGAIN
