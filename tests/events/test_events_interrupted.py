"""Somebody else writes, or everything ends, at each single request: never a wrong tag, no loss."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.annotation.annotate import annotate
from oms_gate.annotation.examination import Examined, examine
from oms_gate.annotation.quarantine import quarantine
from oms_gate.errors import StoreError
from oms_gate.reference import Reference
from tests.delivery.pulling import signed
from tests.events.receiving import outcomes, put_all
from tests.peers.faults import AnswerFault, Fault, RequestFault, Status
from tests.peers.wire import Request, Response
from tests.publish.on_s3 import Place

FILES = {"config.json": b'{"model_type": "tiny"}\n'}
EVIL = b'{"evil": 1}'


@dataclass(frozen=True)
class Meanwhile(RequestFault):
    """Somebody does something just before the server sees the request."""

    act: Callable[[], object]

    def strike(self, _request: Request) -> None:
        self.act()


@dataclass(frozen=True)
class Unheard(AnswerFault):
    """The server does what it is asked for, and nobody hears of it; nor of anything after that."""

    statuses: ClassVar[Container[int]] = range(200, 300)
    on_head: ClassVar[bool] = True

    def spoil(self, response: Response) -> None:
        refused = Response.of(b"", 403)
        response.status, response.headers = refused.status, refused.headers
        response.blocks, response.length = refused.blocks, refused.length


# What s3fs does not try again.
ENDS = [Status(403), Unheard()]


def examined(place: Place) -> Examined:
    found = examine(place.gate, place.target)
    assert not found.verdict.undecided
    place.s3.clear()
    return found


def attempt(work: Callable[[], object]) -> bool:
    try:
        work()
    except StoreError:
        return False
    return True


def check_tags(place: Place, good: dict[str, bytes]) -> None:
    """What is tagged admitted is what was signed."""
    there = place.objects()
    for path, outcome in outcomes(place).items():
        assert outcome != "admitted" or there[path] == good[path], path


@pytest.mark.parametrize("kept", ["place", "versioned"])
def test_somebody_writes_while_objects_are_tagged(
    kept: str, request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey
) -> None:
    place: Place = request.getfixturevalue(kept)
    good: dict[str, bytes] = signed(key, FILES)  # type: ignore[assignment]
    put_all(place, good)
    found = examined(place)
    gate = place.gate
    assert attempt(lambda: annotate(gate, found, 20))
    count = sum(record.path.endswith("config.json") for record in place.s3.requests)
    assert count == (2 if kept == "versioned" else 4)
    for number in range(count):
        put_all(place, good)
        if kept == "versioned":  # Elsewhere it is the same again.
            found = examined(place)
        evil = Meanwhile(lambda: place.put("config.json", EVIL))
        place.s3.inject(evil, "*config.json", skip=number, times=1)
        attempt(lambda found=found: annotate(gate, found, 20))  # type: ignore[misc]
        place.s3.proxy.faults.clear()
        assert place.objects()["config.json"] == EVIL
        check_tags(place, good)


@pytest.mark.parametrize("fault", ENDS, ids=["refused", "unheard"])
def test_the_store_is_gone_while_objects_are_tagged(
    place: Place, key: ec.EllipticCurvePrivateKey, fault: Fault
) -> None:
    good: dict[str, bytes] = signed(key, FILES)  # type: ignore[assignment]
    put_all(place, {**good, "notes.md": b"nobody signed this"})
    gate = place.gate
    found = examined(place)
    number, done = 0, False
    while not done:
        place.s3.inject(fault, skip=number)
        done = attempt(lambda: annotate(gate, found, 20))
        place.s3.proxy.faults.clear()
        assert outcomes(place)["notes.md"] != "admitted"
        check_tags(place, good)
        put_all(place, good)
        number += 1
    assert number > 4


def everything(place: Place) -> list[bytes]:
    """The contents of all objects and versions in the bucket."""
    client = place.s3.client()
    listed = client.list_object_versions(Bucket=place.bucket).get("Versions", ())
    contents = []
    for entry in listed:
        pin = {} if entry["VersionId"] == "null" else {"VersionId": entry["VersionId"]}
        answer = client.get_object(Bucket=place.bucket, Key=entry["Key"], **pin)
        contents.append(answer["Body"].read())
    return contents


@pytest.mark.parametrize(
    ("kept", "end"),
    [("place", ENDS[0]), ("place", ENDS[1]), ("place", None), ("versioned", None)],
    ids=["refused", "unheard", "somebody writes", "somebody writes a version"],
)
def test_nothing_is_lost_on_the_way_to_the_quarantine(
    kept: str, request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey, end: Fault | None
) -> None:
    place: Place = request.getfixturevalue(kept)
    bad: dict[str, bytes] = {**signed(key, FILES), "added.py": b"import os\n"}  # type: ignore[dict-item]
    gate = place.gate
    put_all(place, bad)
    found = examined(place)
    number, done = 0, False
    while not done:
        if number:
            put_all(place, bad)
            found = examined(place) if kept == "versioned" else found
        place.s3.clear()
        prefix = Reference.parse(f"s3://{place.bucket}/quarantine/{number}")
        newer = b"%d" % number
        act = end or Meanwhile(lambda newer=newer: place.put("config.json", newer))  # type: ignore[misc]
        # A server need not be exact about who writes during a request for the same object.
        which = "*" if end else "*config.json"
        place.s3.inject(act, which, skip=number, times=None if end else 1)
        moved = attempt(lambda f=found, p=prefix: quarantine(gate, f, p, 20))  # type: ignore[misc]
        seen = [record for record in place.s3.requests if record.path.endswith("config.json")]
        done = moved if end else len(seen) <= number
        place.s3.proxy.faults.clear()
        contents = everything(place)
        for path, content in bad.items():
            # What somebody overwrites is theirs to lose.
            overwritten = end is None and kept == "place" and path == "config.json"
            assert overwritten or content in contents, (number, path)
        if end is None and not done:
            # What is newer than the check is where it was put.
            assert place.objects()["config.json"] == newer
        _empty(place)
        number += 1
    assert number > 4


def _empty(place: Place) -> None:
    client = place.s3.client()
    listed = client.list_object_versions(Bucket=place.bucket)
    for entry in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        pin = {} if entry["VersionId"] == "null" else {"VersionId": entry["VersionId"]}
        client.delete_object(Bucket=place.bucket, Key=entry["Key"], **pin)
