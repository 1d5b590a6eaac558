"""The bucket policies of the examples, as far as the server that is here enforces them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.annotation.annotate import annotate
from oms_gate.annotation.examination import examine
from tests.delivery.pulling import signed
from tests.events.receiving import put_all
from tests.publish.on_s3 import PREFIX, Place

EXAMPLES = Path(__file__).parents[2] / "examples" / "s3"


def allowed(request: Callable[[], Any]) -> bool:
    try:
        request()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        return False
    return True


def policy(place: Place, name: str) -> dict[str, Any]:
    """The example for this bucket, whose owner is the gate here."""
    text = (EXAMPLES / name).read_text().replace("EXAMPLE-MODELS/models", place.bucket)
    return json.loads(text.replace('"aws:username": "oms-gate"', '"aws:username": "owner"'))  # type: ignore[no-any-return]


@pytest.fixture
def guarded(place: Place, key: ec.EllipticCurvePrivateKey) -> Iterator[Place]:
    put_all(place, signed(key))
    gate = place.gate
    annotate(gate, examine(gate, place.target), 20)
    yield place
    place.s3.client().delete_bucket_policy(Bucket=place.bucket)


def enforce(place: Place, document: dict[str, Any], probe: Callable[[], bool]) -> None:
    """Put the policy there, and wait until it is in force."""
    place.s3.client().put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(document))
    deadline = time.monotonic() + 10
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_denied_is_not_read(guarded: Place) -> None:
    """SeaweedFS: what is tagged denied is refused, to all but the gate, and only the gate tags."""
    s3 = guarded.s3
    reader, gate = s3.client(s3.reader), s3.client()
    where = {"Bucket": guarded.bucket, "Key": f"{PREFIX}/config.json"}
    denied = {"Bucket": guarded.bucket, "Key": f"{PREFIX}/evil.json"}
    s3.put(guarded.bucket, denied["Key"], b"{}")
    annotate_all(guarded)
    enforce(
        guarded,
        policy(guarded, "bucket-policy-seaweedfs.json"),
        lambda: not allowed(lambda: reader.get_object(**denied)),
    )
    assert allowed(lambda: gate.get_object(**denied))
    tagging = {"TagSet": [{"Key": "oms-gate", "Value": "admitted"}]}
    assert not allowed(lambda: reader.put_object_tagging(**denied, Tagging=tagging))
    assert not allowed(lambda: reader.delete_object_tagging(**denied))
    # Signed again as it should be, it is read again.
    gate.delete_object(**denied)
    annotate_all(guarded)
    assert allowed(lambda: reader.get_object(**where))


def annotate_all(place: Place) -> None:
    gate = place.gate
    annotate(gate, examine(gate, place.target), 20)


def test_the_policy_for_aws() -> None:
    """SeaweedFS does not look at tags before it refuses; this is what AWS is told."""
    document = json.loads((EXAMPLES / "bucket-policy.json").read_text())
    reads, tags, uploads = document["Statement"]
    assert {statement["Effect"] for statement in document["Statement"]} == {"Deny"}
    assert {statement["Principal"] for statement in document["Statement"]} == {"*"}
    assert reads["Condition"]["StringNotEquals"] == {"s3:ExistingObjectTag/oms-gate": "admitted"}
    assert {"s3:GetObject", "s3:GetObjectVersion"} == set(reads["Action"])
    # A copy with its tags needs the right to tag, too.
    assert {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"} < set(tags["Action"])
    assert uploads["Action"] == "s3:PutObject"
    assert "s3:RequestObjectTag/oms-gate" in uploads["Condition"]["StringLike"]


def test_seaweedfs_refuses_everything_under_the_policy_for_aws(guarded: Place) -> None:
    """As docs/events.md says: it is closed for all, which is safe and of no use."""
    s3 = guarded.s3
    reader = s3.client(s3.reader)
    document = policy(guarded, "bucket-policy.json")
    first = document["Statement"][0]
    del first["Condition"]["ArnNotLike"]  # Which it does not know.
    document["Statement"] = [first]
    where = {"Bucket": guarded.bucket, "Key": f"{PREFIX}/config.json"}
    enforce(guarded, document, lambda: not allowed(lambda: reader.get_object(**where)))
