"""Fixtures of the tests of the decision API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn
from tests.server.asking import Held, Server, serving, settings


@pytest.fixture(scope="module")
def _served(public_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(settings(public_key), tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def api(_served: Server, hub: HubStandIn) -> Server:
    """The API; the Hub holds what the test puts there."""
    return _served


@pytest.fixture
def held(hub: HubStandIn) -> Iterator[Held]:
    """What the Hub waits for before it answers anything, until the test's end."""
    held = Held()
    hub.inject(CallBefore(held.wait))
    yield held
    held.go.set()
