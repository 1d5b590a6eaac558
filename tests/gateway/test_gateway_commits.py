"""What one commit, or one client, does to the transfers of others."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gateway.small import SMALL_BYTES
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.resuming import eventually
from tests.gateway.running import Answer, Running, running
from tests.peers.faults import CallBefore, CallDuring, Status
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File

NAME = "config.json"
MAIN = f"/acme/m/resolve/main/{NAME}"
PULL_REQUEST = f"/acme/m/resolve/refs%2Fpr%2F1/{NAME}"

_REASON = "X-OMS-Gate-Reason"


class Held:
    """A request upstream that waits until it is let go."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self.has_come.set()
        self.go_on.wait(10)


class Asking(threading.Thread):
    """A client in a thread, and what it got; None where that ended early."""

    def __init__(self, gateway: Running, path: str, headers: Mapping[str, str] | None = None):
        super().__init__()
        self.answer: Answer | None = None
        self._ask: Callable[[], Answer] = lambda: gateway.ask(path, headers=headers)
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except http.client.HTTPException:
            self.answer = None


@pytest.fixture
def patient(settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    """A gateway that waits long for its store, and its clients for it."""
    settings["limits"]["read_seconds"] = 20
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        yield gateway


@pytest.mark.parametrize("size", [1000, SMALL_BYTES + 1, 3 * MIB])
def test_what_another_commit_has_in_its_place_is_not_mixed_up(
    patient: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, size: int
) -> None:
    """Whoever can propose a change can have a commit with the same signature."""
    right, wrong = b"a" * size, b"b" * size
    files = {NAME: right, "other.json": b"{}"}
    hub.create(
        "acme/m",
        files={**files, NAME: File(right, lfs=False), "model.sig": models.signature(files, key)},
    )
    hub.branch("acme/m", "refs/pr/1", hub.head("acme/m"))
    hub.commit("acme/m", {NAME: File(wrong, lfs=False)}, revision="refs/pr/1")
    held = Held()
    hub.inject(CallDuring(held, after=max(size - MIB, 1)), f"*{NAME}", method="GET", times=1)
    other = Asking(patient, PULL_REQUEST)
    assert held.has_come.wait(10)
    mine = Asking(patient, MAIN)
    mine.join(0.3)
    assert patient.ask("/acme/m/resolve/main/other.json").content == b"{}"
    held.go_on.set()
    other.join()
    mine.join()
    if other.answer is not None:
        assert (other.answer.status, other.answer.headers[_REASON]) == (403, "file.changed")
    # Nothing wrong, and no denial, if perhaps another attempt.
    assert mine.answer is not None
    assert mine.answer.status in (200, 429)
    eventually(lambda: patient.ask(MAIN).content == right)
    assert patient.ask("/acme/m/resolve/main/other.json").status == 200
    denied = [each for each in patient.told.verdicts if not each.admitted]
    assert {each.model.revision for each in denied} == {hub.head("acme/m", "refs/pr/1")}


@pytest.mark.parametrize("size", [1000, SMALL_BYTES + 1])
def test_what_one_token_does_not_open_another_may(
    patient: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, size: int
) -> None:
    """Such as one that was revoked while its client was believed."""
    files = {NAME: b"a" * size}
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})
    held = Held()
    hub.inject(CallBefore(held), f"*{NAME}", method="GET", times=1)
    hub.inject(Status(401), f"*{NAME}", method="GET", times=1)
    other = Asking(patient, MAIN, {"Authorization": f"Bearer {hub.state.outsider_token}"})
    assert held.has_come.wait(10)
    mine = Asking(patient, MAIN, {"Authorization": f"Bearer {hub.token}"})
    mine.join(0.3)
    held.go_on.set()
    other.join()
    mine.join()
    assert other.answer is not None
    assert mine.answer is not None
    assert other.answer.headers[_REASON] == ReasonCode.STORE_FORBIDDEN
    assert (mine.answer.status, mine.answer.content) == (200, files[NAME])
