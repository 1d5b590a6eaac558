"""Notifications of S3: one decision for many, tags for what was decided, and no loops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode
from oms_gate.reference import RELEASES
from oms_gate.stores.s3_releases import POINTER
from tests import models
from tests.delivery.pulling import codes, signed
from tests.events.receiving import outcomes, put_all, receiving, records, tags
from tests.peers.faults import Slow, Status
from tests.publish.on_s3 import PREFIX, Place
from tests.publish.test_s3_releases import FIRST, pointer

ADMITTED = dict.fromkeys((*models.FILES, "model.sig"), "admitted")
MOVED = "quarantine"


def config_of(place: Place, secret: Path, **events: Any) -> dict[str, Any]:
    s3 = {"token_files": [str(secret)], "models": [f"s3://{place.bucket}/acme/*"]}
    given = {"annotate": True, "retry_seconds": 0.05, "workers": 2, **events}
    given["s3"] = {**s3, "settle_seconds": 0.05, **events.get("s3", {})}
    return {**place.settings, "events": given}


def keys(*paths: str) -> list[str]:
    return [f"{PREFIX}/{path}" for path in paths]


def test_a_flood_is_one_decision_and_its_tags_cause_no_other(
    place: Place, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    put_all(place, signed(key))
    config = config_of(place, secret, s3={"settle_seconds": 0.3})

    async def scenario() -> None:
        async with receiving(config, place.gate) as receiver:
            events = [records(path, bucket=place.bucket) for path in keys(*ADMITTED)]
            answers = await asyncio.gather(*(receiver.s3(event) for event in events * 25))
            assert {answer.status for answer in answers} == {202}
            await receiver.idle()
            assert [verdict.admitted for verdict in receiver.verdicts] == [True]
            assert outcomes(place) == ADMITTED
            # As MinIO and SeaweedFS would report the tags.
            await receiver.s3(records(*keys(*ADMITTED), bucket=place.bucket))
            await receiver.idle()
            assert len(receiver.verdicts) == 1
            # The same bytes again take the tags away.
            place.put("config.json", models.FILES["config.json"])
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.idle()
            assert len(receiver.verdicts) == 2
            assert outcomes(place) == ADMITTED
            place.put("config.json", b'{"evil": 1}')
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.idle()
            assert codes(receiver.verdicts[-1]) == [ReasonCode.FILE_CHANGED]
            assert set(outcomes(place).values()) == {"denied"}

    asyncio.run(scenario())


def test_without_tags_a_listing_is_enough(
    versioned: Place, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    put_all(versioned, signed(key))

    async def scenario() -> None:
        config = config_of(versioned, secret, annotate=False)
        async with receiving(config, versioned.gate) as receiver:
            for _ in range(2):
                await receiver.s3(records(*keys("config.json"), bucket=versioned.bucket))
                await receiver.idle()
            assert len(receiver.verdicts) == 1
            assert set(outcomes(versioned).values()) == {None}

    asyncio.run(scenario())


def test_what_is_not_there_any_more_needs_no_verdict(place: Place, secret: Path) -> None:
    async def scenario() -> None:
        async with receiving(config_of(place, secret), place.gate) as receiver:
            event = records(*keys("x"), bucket=place.bucket, event="ObjectRemoved:Delete")
            assert (await receiver.s3(event)).status == 202
            await receiver.idle()
            assert receiver.verdicts == []

    asyncio.run(scenario())


def test_a_store_that_is_down_is_asked_again(
    place: Place, key: ec.EllipticCurvePrivateKey, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_all(place, signed(key))
    place.s3.inject(Status(500), times=2)

    async def scenario() -> None:
        async with receiving(config_of(place, secret), place.gate) as receiver:
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.until(lambda: bool(receiver.verdicts))
            await receiver.idle()
            assert outcomes(place) == ADMITTED
            # Without an end it is given up on, and the next event begins anew.
            place.put("config.json", models.FILES["config.json"])
            place.s3.inject(Status(500))
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.until(lambda: "given up on" in caplog.text)

    asyncio.run(scenario())


def test_full(place: Place, secret: Path) -> None:
    async def scenario() -> None:
        config = config_of(place, secret, waiting=1, s3={"settle_seconds": 60})
        async with receiving(config, place.gate) as receiver:
            event = records(*keys("x"), bucket=place.bucket)
            assert (await receiver.s3(event)).status == 202
            assert (await receiver.s3(event)).status == 202
            answer = await receiver.s3(records("acme/other/x", bucket=place.bucket))
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "30"
            assert len(receiver.worker) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("kept", ["place", "versioned"])
def test_quarantine(
    kept: str, request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    place: Place = request.getfixturevalue(kept)
    bad = {**signed(key), "config.json": b'{"evil": 1}'}
    put_all(place, bad)
    client = place.s3.client()
    # It was admitted once.
    client.put_object_tagging(
        Bucket=place.bucket,
        Key=f"{PREFIX}/README.md",
        Tagging={"TagSet": [{"Key": "oms-gate", "Value": "admitted"}]},
    )
    prefix = f"s3://{place.bucket}/{MOVED}"
    config = config_of(place, secret, quarantine={"action": "move", "prefix": prefix})

    async def scenario() -> None:
        async with receiving(config, place.gate) as receiver:
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.idle()
            moved = client.list_objects_v2(Bucket=place.bucket, Prefix=MOVED)["Contents"]
            names = [entry["Key"] for entry in moved]
            root = f"{MOVED}/{place.bucket}/{PREFIX}/"
            assert {name.removeprefix(root).partition("/")[2] for name in names} == {*bad}
            for name in names:
                found = client.get_object_tagging(Bucket=place.bucket, Key=name)["TagSet"]
                told = {tag["Key"]: tag["Value"] for tag in found}
                assert told["oms-gate"] == "denied"
                content = client.get_object(Bucket=place.bucket, Key=name)["Body"].read()
                path = name.removeprefix(root).partition("/")[2]
                assert content == bad[path]
            assert place.objects() == {}
            # Of what happens there nobody hears.
            assert (await receiver.s3(records(*names, bucket=place.bucket))).status == 200
            gone = records(*keys(*bad), bucket=place.bucket, event="ObjectRemoved:Delete")
            await receiver.s3(gone)
            await receiver.idle()
            assert len(receiver.verdicts) == 1
            # One that is signed stays where it is.
            put_all(place, signed(key))
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.idle()
            assert outcomes(place) == ADMITTED

    asyncio.run(scenario())


def test_a_release_is_tagged_and_never_moved(
    place: Place, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    """Whoever may write the pointer alone could have all releases moved; one by one."""
    files = {**signed(key), "config.json": b'{"evil": 1}'}
    put_all(place, {f"{RELEASES}/{FIRST}/{path}": content for path, content in files.items()})
    place.put(POINTER, pointer())
    # Without the pointer this would be the model.
    put_all(place, signed(key))
    prefix = f"s3://{place.bucket}/{MOVED}"
    config = config_of(
        place, secret, annotate=False, quarantine={"action": "move", "prefix": prefix}
    )

    async def scenario() -> None:
        async with receiving(config, place.gate) as receiver:
            await receiver.s3(records(*keys(POINTER), bucket=place.bucket))
            await receiver.idle()
            assert not receiver.verdicts[0].admitted

    before = place.objects()
    asyncio.run(scenario())
    assert place.objects() == before
    assert tags(place, POINTER)["oms-gate"] == "denied"
    assert tags(place, f"{RELEASES}/{FIRST}/config.json")["oms-gate"] == "denied"
    assert tags(place, "config.json") == {}


def test_quarantine_by_tags(place: Place, key: ec.EllipticCurvePrivateKey, secret: Path) -> None:
    config = config_of(place, secret, annotate=False, quarantine={"action": "tag"})

    async def scenario() -> None:
        async with receiving(config, place.gate) as receiver:
            for files, expected in ((signed(key), None), (signed(models.new_key()), "denied")):
                put_all(place, files)
                await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
                await receiver.idle()
                assert set(outcomes(place).values()) == {expected}

    asyncio.run(scenario())


def test_in_mode_annotate_nothing_is_moved(
    place: Place, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    put_all(place, signed(models.new_key()))
    prefix = f"s3://{place.bucket}/{MOVED}"
    config = config_of(place, secret, quarantine={"action": "move", "prefix": prefix})
    gate = place.gate
    gate.mode = "annotate"

    async def scenario() -> None:
        async with receiving(config, gate) as receiver:
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.idle()

    asyncio.run(scenario())
    assert set(outcomes(place).values()) == {"denied"}


def test_the_end_does_not_wait_for_a_long_check(
    place: Place, key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    put_all(place, signed(key))
    place.s3.inject(Slow(20_000), "*.safetensors", method="GET")

    async def scenario() -> None:
        async with receiving(config_of(place, secret), place.gate) as receiver:
            await receiver.s3(records(*keys("config.json"), bucket=place.bucket))
            await receiver.until(lambda: receiver.worker.at_work > 0)
            await asyncio.sleep(0.3)
            started = asyncio.get_running_loop().time()
            await receiver.worker.stop()
            assert asyncio.get_running_loop().time() - started < 3
            assert receiver.verdicts == []

    asyncio.run(scenario())
    assert set(outcomes(place).values()) == {None}
