"""Stores that fail or lie while a model is pulled: retried within limits or denied, never wrong."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode
from tests import models
from tests.delivery.pulling import codes, deliver, signed, tree
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

Key = ec.EllipticCurvePrivateKey
WEIGHTS = "model.safetensors"
DOWN = ReasonCode.STORE_UNAVAILABLE
# With the finding if it goes on for good; once, all but lies are got over.
FAULTS: dict[str, tuple[faults.Fault, ReasonCode]] = {
    "500": (faults.Status(500), DOWN),
    "503": (faults.Status(503), DOWN),
    "429": (faults.too_many_requests(0), DOWN),
    "reset": (faults.Drop(), DOWN),
    "stall": (faults.Stall(3), DOWN),
    "truncated": (faults.Truncate(1000), DOWN),
    "truncated at once": (faults.Truncate(0), DOWN),
    "404": (faults.Status(404), ReasonCode.STORE_NOT_FOUND),
    "wrong bytes": (faults.WrongBytes(100), ReasonCode.FILE_CHANGED),
    "shorter": (faults.BodyLength(-5), ReasonCode.STORE_PROTOCOL),
    "longer": (faults.BodyLength(5), ReasonCode.STORE_PROTOCOL),
    "endless": (faults.Endless(), ReasonCode.STORE_PROTOCOL),
    "compressed": (faults.Gzip(), ReasonCode.STORE_PROTOCOL),
    "another range": (faults.WrongContentRange(), ReasonCode.STORE_PROTOCOL),
    "no range": (faults.IgnoreRange(), ReasonCode.STORE_PROTOCOL),
    "another ETag": (faults.ChangingEtag(), ReasonCode.STORE_CHANGED),
}
GOT_OVER = {"500", "503", "429", "reset", "stall", "truncated", "truncated at once"}


@pytest.fixture(autouse=True)
def impatient(settings: dict[str, Any]) -> None:
    settings["limits"] |= {"read_seconds": 1, "retries": 1}


@pytest.fixture
def published(
    s3: SeaweedFS, s3_bucket: str, settings: dict[str, Any], key: Key
) -> tuple[SeaweedFS, str]:
    """A model in shards, so that ranges are asked for, without declared digests."""
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    for path, content in signed(key, shard_size=100_000).items():
        s3.put(s3_bucket, f"acme/m/{path}", content, checksum=False)
    return s3, f"s3://{s3_bucket}/acme/m"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(
    published: tuple[SeaweedFS, str], settings: dict[str, Any], to: Path, name: str
) -> None:
    store, reference = published
    fault, code = FAULTS[name]
    store.inject(fault, f"*{WEIGHTS}", method="GET", times=1)
    verdict = deliver(settings, reference, to)
    if name in GOT_OVER:
        assert verdict.admitted, verdict.reasons
        assert {*tree(to)} == {*models.FILES, "model.sig"}
        to = to.with_name("another")
        store.inject(fault, f"*{WEIGHTS}", method="GET")
        verdict = deliver(settings, reference, to)
    assert codes(verdict) == [code]
    assert verdict.undecided == code.undecided
    assert not to.exists()
    store.proxy.faults.clear()
    assert deliver(settings, reference, to).admitted
    assert (to / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_an_object_that_is_overwritten_meanwhile(
    published: tuple[SeaweedFS, str], settings: dict[str, Any], to: Path
) -> None:
    store, reference = published
    bucket = reference.split("/")[2]
    other = bytes(len(models.FILES[WEIGHTS]))
    store.inject(
        faults.CallBefore(lambda: store.put(bucket, f"acme/m/{WEIGHTS}", other)),
        f"*{WEIGHTS}",
        method="GET",
        times=1,
    )
    verdict = deliver(settings, reference, to)
    assert codes(verdict) == [ReasonCode.STORE_CHANGED]
    assert not to.exists()
    assert codes(deliver(settings, reference, to)) == [ReasonCode.FILE_CHANGED]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_tampered_file_never_has_its_name(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, in_place: bool
) -> None:
    """Of a validly signed model the store delivers other bytes; somebody watches all the while."""
    good = {**models.FILES, "other.safetensors": bytes(500_000)}
    hub.create("acme/m", files=signed(key, good))
    assert deliver(settings, "hf://acme/m", to).admitted
    before = tree(to)
    bad = b"tampered" * 400_000
    hub.commit("acme/m", signed(key, {**good, WEIGHTS: bytes(len(bad))}))
    hub.replace_under_commit("acme/m", WEIGHTS, bad)
    if in_place:
        (to / ".oms-gate-pull").mkdir()
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for folder, _, names in os.walk(to.parent):
                for name in names:
                    path = Path(folder, name)
                    try:
                        tampered = path.read_bytes()[:8] == bad[:8]
                    except OSError:
                        continue
                    if tampered:
                        seen.add(str(path.relative_to(to.parent)))

    watcher = threading.Thread(target=watch)
    hub.inject(faults.Slow(3_000_000), f"*{WEIGHTS}", origin="cdn")
    watcher.start()
    try:
        verdict = deliver(settings, "hf://acme/m", to)
    finally:
        ended.set()
        watcher.join()
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert tree(to) == before
    # It was under way, and called by a digest.
    stage = "model/.oms-gate-pull" if in_place else ".model.oms-gate-pull"
    assert {str(Path(path).parent) for path in seen} == {f"{stage}/partial"}
    assert list(to.parent.iterdir()) == [to]
