"""Files that wait for their turn: not without bound, and not for clients that have gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gateway import flights
from tests import models
from tests.gateway.running import Running, running
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn
from tests.server.running import until

FIRST, SECOND = "config.json", "README.md"


@pytest.fixture
def go_on(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Iterator[threading.Event]:
    """What the first file waits for, once it was asked for."""
    hub.create("acme/m", files={**models.FILES, "model.sig": models.signature(models.FILES, key)})
    go_on = threading.Event()
    hub.inject(CallBefore(lambda: go_on.wait(10)), f"*{FIRST}", method="GET")
    yield go_on
    go_on.set()


@pytest.fixture
def narrow(
    hub: HubStandIn, settings: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Running]:
    """A gateway that fetches one file at a time, while so many wait."""
    bounds = {"transfers": 1, "waiting_transfers": request.param, "waiting_seconds": 1}
    config = GateConfig.model_validate(
        settings | {"gateway": bounds, "limits": {"read_seconds": 20}}
    )
    with running(config, tmp_path / "caches") as gateway:
        yield gateway


def asked(gateway: Running, path: str) -> socket.socket:
    """A client that has asked for a file."""
    parts = urlsplit(gateway.endpoint)
    client = socket.create_connection((parts.hostname, parts.port), timeout=10)
    client.sendall(f"GET /acme/m/resolve/main/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def is_fetched(hub: HubStandIn, path: str) -> bool:
    return any(r.method == "GET" and r.path.endswith(path) for r in hub.requests)


@pytest.mark.parametrize("narrow", [1], indirect=True)
@pytest.mark.parametrize("stays", [True, False])
def test_what_nobody_waits_for_any_more_is_not_fetched(
    narrow: Running,
    hub: HubStandIn,
    go_on: threading.Event,
    stays: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flights, "WANTED_SECONDS", 0.5)
    with ExitStack() as clients:
        for count, path in enumerate((FIRST, SECOND), start=1):
            second = clients.enter_context(asked(narrow, path))
            until(lambda now=count: narrow.told.looked.count(("file", False)) == now)  # type: ignore[misc]
        if not stays:
            assert b" 429 " in second.recv(20)
        go_on.set()
        if stays:
            assert b" 200 " in second.recv(20)
        weights = models.FILES["model.safetensors"]
        # Until one that waits has had its turn there is no place for this one.
        path = "/acme/m/resolve/main/model.safetensors"
        until(lambda: narrow.ask(path).content == weights)
    assert is_fetched(hub, SECOND) is stays


@pytest.mark.parametrize("narrow", [0], indirect=True)
def test_no_more_wait_than_may(narrow: Running, go_on: threading.Event) -> None:
    with asked(narrow, FIRST) as first:
        until(lambda: ("file", False) in narrow.told.looked)
        refused = narrow.ask(f"/acme/m/resolve/main/{SECOND}")
        assert (refused.status, "Retry-After" in refused.headers) == (429, True)
        go_on.set()
        assert b" 200 " in first.recv(20)
    until(lambda: narrow.ask(f"/acme/m/resolve/main/{SECOND}").status == 200)
