"""Random plays: clients come back for a file of which upstream tells the truth now and then.

Whatever happens, no client ever takes wrong bytes for the file, and once upstream is honest each
client gets it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.gateway.arrival import HELD_BACK_BYTES
from oms_gate.limits import MIB
from tests import models
from tests.gateway.resuming import WAYS, Behaviour, Client, Upstream
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"
SIZES = (
    *(0, 1, HELD_BACK_BYTES - 1, HELD_BACK_BYTES, HELD_BACK_BYTES + 1),
    *(2 * MIB, 3 * MIB + 17, 4 * MIB, 5 * MIB - 1),
)
SETTINGS = {"denial_seconds": 0, "waiting_seconds": 0.1}
"""Of the gateways: what one client was told is no answer to the next."""

_HONEST_SECONDS = 20


class Serving(Protocol):
    """A gateway, where it is now."""

    @property
    def endpoint(self) -> str: ...


def publish(hub: HubStandIn, name: str, key: ec.EllipticCurvePrivateKey, chance: Random) -> bytes:
    """A repository with one file of random bytes, signed as a whole or in shards; the file."""
    size = chance.choice(SIZES)
    shard_size = chance.choice((None, None, MIB, 3 * MIB // 2, 2 * MIB))
    files = {WEIGHTS: chance.randbytes(size)}
    # An empty file has no shards.
    bundle = models.signature(files, key, shard_size=shard_size if size else None)
    hub.create(name, files={**files, "model.sig": bundle})
    return files[WEIGHTS]


def play(
    upstream: Upstream,
    gateways: Sequence[Serving],
    path: str,
    right: bytes,
    chance: Random,
    *,
    attempts: int = 6,
    disturb: Callable[[], None] = lambda: None,
) -> list[str]:
    """What happened, in the end with an honest upstream.

    disturb: called at any moment.

    Raises:
        AssertionError: a client has taken wrong bytes for the file, or does not get it at all.
    """
    clients = [Client(path, way) for way in WAYS]
    story = []
    for _ in range(attempts):
        behaviour = _behaviour(len(right), chance)
        upstream.behave(behaviour)
        for client in chance.sample(clients, chance.randint(1, 3)):
            most = chance.choice((None, MIB // 2, MIB, 2 * MIB))
            number = chance.randrange(len(gateways))
            if client.complete:
                client.content = bytearray()
            before = len(client.content)
            answer = _attempted(client, gateways[number].endpoint, most)
            story.append(
                f"{behaviour}: {client.way} at {number} from {before} up to {most}: "
                f"{answer}, has {len(client.content)}"
            )
            if client.complete:
                assert client.content == right, "\n".join(story)
            if chance.random() < 0.3:
                upstream.go_on()
            if chance.random() < 0.3:
                disturb()
                story.append("disturbed")
    upstream.behave()
    upstream.go_on()
    for client in clients:
        client.way = "anew"
        until = time.monotonic() + _HONEST_SECONDS
        while not client.complete:
            assert time.monotonic() < until, "\n".join(story)
            answer = _attempted(client, chance.choice(gateways).endpoint, None)
        assert client.content == right, "\n".join(story)
    return story


def _attempted(client: Client, endpoint: str, most: int | None) -> str:
    try:
        answer = client.attempt(endpoint, most)
    except OSError as error:
        return type(error).__name__
    reason = answer.headers.get("X-OMS-Gate-Reason", "") if answer.status > 206 else ""
    return f"{answer.status} {reason}"


def _behaviour(size: int, chance: Random) -> Behaviour:
    """Anything at any byte, more often than not at one that matters."""

    def place() -> int:
        near = chance.choice((0, size, HELD_BACK_BYTES, size - HELD_BACK_BYTES, MIB, 2 * MIB))
        return max(0, min(chance.choice((near - 1, near, near + 1, chance.randint(0, size))), size))

    def perhaps(share: float) -> int | None:
        return place() if chance.random() < share else None

    return Behaviour(
        wrong=perhaps(0.5), cut=perhaps(0.3), paused=perhaps(0.6), down=chance.random() < 0.1
    )
