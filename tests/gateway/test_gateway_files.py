"""Files through the gateway: the signed bytes, or nothing that looks whole."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.running import Running
from tests.peers.hub import HubStandIn
from tests.server.running import until

WEIGHTS = "model.safetensors"
RESOLVE = "/acme/m/resolve/main"


def signed(key: ec.EllipticCurvePrivateKey, shard_size: int | None = None) -> dict[str, bytes]:
    bundle = models.signature(models.FILES, key, shard_size=shard_size)
    return {**models.FILES, "model.sig": bundle}


@pytest.fixture
def commit(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    return hub.create("acme/m", files=signed(key))


@pytest.mark.parametrize("path", [*models.FILES, "model.sig"])
def test_signed_files_and_the_signature_are_given(
    gateway: Running, key: ec.EllipticCurvePrivateKey, hub: HubStandIn, path: str
) -> None:
    files = signed(key)
    commit = hub.create("acme/m", files=files)
    for _ in range(2):  # from upstream, and from the cache
        answer = gateway.ask(f"{RESOLVE}/{path}")
        assert (answer.status, answer.content) == (200, files[path])
        assert answer.headers["X-Repo-Commit"] == commit
        assert answer.headers["ETag"] == f'"{hashlib.sha256(files[path]).hexdigest()}"'
        assert answer.headers["X-OMS-Gate-Verdict"] == "admitted"
        assert answer.headers["X-OMS-Gate-Assurance"] == "bytes"
    head = gateway.ask(f"{RESOLVE}/{path}", "HEAD")
    assert (head.status, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(files[path]))


def test_an_unsigned_model_is_denied_with_its_verdict(gateway: Running, hub: HubStandIn) -> None:
    hub.create("acme/m", files=dict(models.FILES))
    answer = gateway.ask(f"{RESOLVE}/{WEIGHTS}")
    assert answer.status == 403
    assert answer.headers["X-OMS-Gate-Verdict"] == "denied"
    assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.SIGNATURE_MISSING
    (reason,) = answer.json["verdict"]["reasons"]
    assert reason["code"] == ReasonCode.SIGNATURE_MISSING
    assert reason["message"] in answer.json["error"]


@pytest.mark.parametrize("shard_size", [None, 50_000])
@pytest.mark.parametrize("header", ["bytes=0-9", "bytes=100000-150000", "bytes=-7", "bytes=9-"])
def test_a_range_is_of_verified_bytes(
    gateway: Running,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    header: str,
    shard_size: int | None,
) -> None:
    files = signed(key, shard_size)
    hub.create("acme/m", files=files)
    answer = gateway.ask(f"{RESOLVE}/{WEIGHTS}", headers={"Range": header})
    first, last = header.removeprefix("bytes=").split("-")
    expected = files[WEIGHTS][
        int(first) if first else -int(last) : int(last) + 1 if first and last else None
    ]
    assert (answer.status, answer.content) == (206, expected)


def test_all_bytes_that_are_sent_are_counted(gateway: Running, commit: str) -> None:
    weights = f"/acme/m/resolve/{commit}/{WEIGHTS}"
    for part in ("bytes=0-", "bytes=0-", "bytes=50000-"):  # from upstream, and from the disk
        answer = gateway.ask(weights, headers={"Range": part})
        until(lambda: gateway.told.streamed)
        assert 300 < gateway.told.streamed.pop() - len(answer.content) < 1500  # its head
