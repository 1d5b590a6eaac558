"""Writing to S3 on a real server: one conditional request, and nothing of others is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, Written
from oms_gate.stores.s3 import S3Store
from tests.peers import faults
from tests.peers.seaweedfs import SeaweedFS, User
from tests.peers.wire import Response
from tests.stores.writing import refused, write

FILES = {"config.json": b"{}", "sub/a.gguf": b"weights"}
LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=1)


def snapshot(
    s3: SeaweedFS,
    place: str,
    user: User | None = None,
    *,
    limits: Limits = LIMITS,
    beside: str = ".sig",
) -> Snapshot:
    settings = StoreSettings(options={"s3": s3.storage_options(user)})
    return S3Store(settings, limits).snapshot(Reference.parse(f"s3://{place}"), beside)


def content(s3: SeaweedFS, bucket: str, key: str) -> bytes:
    body: bytes = s3.client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def keys(s3: SeaweedFS, bucket: str) -> set[str]:
    return {entry["Key"] for entry in s3.client().list_objects_v2(Bucket=bucket)["Contents"]}


@pytest.fixture(params=["plain", "versioned"])
def bucket(request: pytest.FixtureRequest, s3: SeaweedFS) -> str:
    """A bucket with a model at m/."""
    name = s3.create_bucket(versioned=request.param == "versioned")
    for path, file in FILES.items():
        s3.put(name, f"m/{path}", file)
    return name


def conditions(s3: SeaweedFS) -> list[tuple[str | None, bool]]:
    """Of each request that wrote: If-None-Match, and whether it has an If-Match."""
    return [
        (record.headers.get("if-none-match"), record.if_match is not None)
        for record in s3.requests
        if record.method == "PUT"
    ]


def test_a_new_object_and_one_in_its_place(s3: SeaweedFS, bucket: str) -> None:
    listing = snapshot(s3, f"{bucket}/m")
    s3.clear()
    assert write(listing, b"first") == Written(f"s3://{bucket}/m/model.sig")
    assert conditions(s3) == [("*", False)]
    assert content(s3, bucket, "m/model.sig") == b"first"
    assert "model.sig" not in listing.files
    again = snapshot(s3, f"{bucket}/m")
    s3.clear()
    write(again, b"second")
    assert conditions(s3) == [(None, True)]
    assert content(s3, bucket, "m/model.sig") == b"second"
    assert keys(s3, bucket) == {"m/config.json", "m/sub/a.gguf", "m/model.sig"}


def test_a_large_one_in_a_folder(s3: SeaweedFS, bucket: str) -> None:
    large = bytes(range(256)) * 45_000
    # A busy machine needs a moment for so much.
    write(snapshot(s3, f"{bucket}/m", limits=Limits()), large, "sub/a ä%.sig")
    assert content(s3, bucket, "m/sub/a ä%.sig") == large


def test_into_a_whole_bucket(s3: SeaweedFS, bucket: str) -> None:
    assert write(snapshot(s3, bucket)).url == f"s3://{bucket}/model.sig"
    assert content(s3, bucket, "model.sig") == b"bundle"


def test_beside_a_single_object(s3: SeaweedFS, bucket: str) -> None:
    s3.put(bucket, "top.gguf", b"weights")
    for place, key in [("m/sub/a.gguf", "m/sub/a.gguf.sig"), ("top.gguf", "top.gguf.sig")]:
        s3.put(bucket, f"{key}.old", b"a neighbour of another name")
        name = key.rpartition("/")[2]
        for bundle in (b"first", b"second"):
            listing = snapshot(s3, f"{bucket}/{place}")
            assert list(listing.files)[1:] == ([name] if bundle == b"second" else [])
            written = write(listing, bundle, name)
            assert written.url == f"s3://{bucket}/{key}"
            assert content(s3, bucket, key) == bundle


@pytest.mark.parametrize("beside", ["", ".sig"])
@pytest.mark.parametrize("signed", [False, True])
def test_what_comes_beside_a_single_object_while_it_is_hashed(
    s3: SeaweedFS, bucket: str, beside: str, signed: bool
) -> None:
    """Or was there, and nobody has looked at it."""
    if signed:
        s3.put(bucket, "m/sub/a.gguf.sig", b"earlier")
    listing = snapshot(s3, f"{bucket}/m/sub/a.gguf", beside=beside)
    s3.put(bucket, "m/sub/a.gguf.sig", b"another")
    refused(listing, ReasonCode.STORE_CHANGED, "a.gguf.sig")
    assert content(s3, bucket, "m/sub/a.gguf.sig") == b"another"


def test_a_pull_request_is_the_hubs(s3: SeaweedFS, bucket: str) -> None:
    with pytest.raises(UsageError):
        snapshot(s3, f"{bucket}/m").write("x", b"", message="Sign", pull_request=True)


Change = Callable[[SeaweedFS, str], object]
CHANGES: dict[str, Change] = {
    "weights": lambda s3, bucket: s3.put(bucket, "m/sub/a.gguf", b"WEIGHTS"),
    "added": lambda s3, bucket: s3.put(bucket, "m/code.py", b"1"),
    "removed": lambda s3, bucket: s3.client().delete_object(Bucket=bucket, Key="m/config.json"),
    "signed": lambda s3, bucket: s3.put(bucket, "m/model.sig", b"another"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_model_that_changed_since_is_left_alone(s3: SeaweedFS, bucket: str, name: str) -> None:
    listing = snapshot(s3, f"{bucket}/m")
    CHANGES[name](s3, bucket)
    before = keys(s3, bucket)
    s3.clear()
    refused(listing, ReasonCode.STORE_CHANGED)
    assert keys(s3, bucket) == before
    assert conditions(s3) == []
    write(snapshot(s3, f"{bucket}/m"))
    assert content(s3, bucket, "m/model.sig") == b"bundle"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("place", ["m", "m/sub/a.gguf"])
def test_a_signature_that_comes_in_between_is_left_alone(
    s3: SeaweedFS, bucket: str, place: str, signed: bool
) -> None:
    """After the last look at the model, which the condition is for."""
    name, key = ("model.sig", "m/model.sig") if place == "m" else ("a.gguf.sig", f"{place}.sig")
    if signed:
        s3.put(bucket, key, b"earlier")
    listing = snapshot(s3, f"{bucket}/{place}")
    between = faults.CallBefore(lambda: s3.put(bucket, key, b"another"))
    s3.inject(between, key, method="PUT", times=1)
    refused(listing, ReasonCode.STORE_CHANGED, name)
    assert content(s3, bucket, key) == b"another"


def test_a_signature_that_is_removed_in_between_stays_removed(s3: SeaweedFS, bucket: str) -> None:
    s3.put(bucket, "m/model.sig", b"earlier")
    listing = snapshot(s3, f"{bucket}/m")
    remove = faults.CallBefore(lambda: s3.client().delete_object(Bucket=bucket, Key="m/model.sig"))
    s3.inject(remove, "m/model.sig", method="PUT", times=1)
    refused(listing, ReasonCode.STORE_CHANGED)
    assert "m/model.sig" not in keys(s3, bucket)


def test_a_server_that_says_that_nothing_is_there_to_match(s3: SeaweedFS, s3_bucket: str) -> None:
    """As S3 itself does of an object that was removed."""
    s3.put(s3_bucket, "m/model.sig", b"earlier")
    listing = snapshot(s3, f"{s3_bucket}/m")
    answer = faults.Status(404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
    s3.inject(answer, "m/model.sig", method="PUT")
    refused(listing, ReasonCode.STORE_CHANGED)


def test_of_two_writers_one_wins(s3: SeaweedFS, bucket: str) -> None:
    start = threading.Barrier(2)
    outcomes: dict[bytes, ReasonCode | None] = {}

    def run(listing: Snapshot, bundle: bytes) -> None:
        start.wait()
        try:
            write(listing, bundle)
            outcomes[bundle] = None
        except StoreError as error:
            outcomes[bundle] = error.reason.code

    for attempt in range(2):
        outcomes.clear()
        threads = [
            threading.Thread(target=run, args=(snapshot(s3, f"{bucket}/m"), bundle))
            for bundle in (b"1 at %d" % attempt, b"2 at %d" % attempt)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(outcomes.values()) == {None, ReasonCode.STORE_CHANGED}, attempt
        assert outcomes[content(s3, bucket, "m/model.sig")] is None


def test_an_answer_that_was_lost(s3: SeaweedFS, s3_bucket: str) -> None:
    """The client tries again, and is told that the object is there already: it is its own."""
    s3.put(s3_bucket, "m/w", b"1")
    listing = snapshot(s3, f"{s3_bucket}/m")
    s3.inject(_Lost(), "m/model.sig", method="PUT", times=1)
    s3.clear()
    write(listing)
    assert [record.status for record in s3.requests if record.method == "PUT"][-1] == 412
    assert content(s3, s3_bucket, "m/model.sig") == b"bundle"


class _Lost(faults.AnswerFault):
    """What is asked is done, and then the server is said to have failed."""

    on_head = True

    def spoil(self, response: Response) -> None:
        response.status = 500


ANSWERS: dict[str, tuple[faults.Fault, ReasonCode]] = {
    "no conditions": (
        faults.Status(501, {}, b"<Error><Code>NotImplemented</Code></Error>"),
        ReasonCode.STORE_PROTOCOL,
    ),
    "at the same time": (
        faults.Status(409, {}, b"<Error><Code>ConditionalRequestConflict</Code></Error>"),
        ReasonCode.STORE_CHANGED,
    ),
    "no bucket": (
        faults.Status(404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"),
        ReasonCode.STORE_NOT_FOUND,
    ),
    "403": (
        faults.Status(403, {}, b"<Error><Code>AccessDenied</Code></Error>"),
        ReasonCode.STORE_FORBIDDEN,
    ),
    "503": (
        faults.Status(503, {}, b"<Error><Code>ServiceUnavailable</Code></Error>"),
        ReasonCode.STORE_UNAVAILABLE,
    ),
    "dropped": (faults.Drop(), ReasonCode.STORE_UNAVAILABLE),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_but_success_is_an_error(s3: SeaweedFS, s3_bucket: str, name: str) -> None:
    fault, code = ANSWERS[name]
    s3.put(s3_bucket, "m/w", b"1")
    listing = snapshot(s3, f"{s3_bucket}/m")
    s3.inject(fault, "m/model.sig", method="PUT")
    error = refused(listing, code)
    assert ("may have been written" in str(error)) == (code is ReasonCode.STORE_UNAVAILABLE)
    assert keys(s3, s3_bucket) == {"m/w"}


def test_who_may_only_read(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", b"1")
    error = refused(snapshot(s3, f"{s3_bucket}/m", s3.reader), ReasonCode.STORE_FORBIDDEN)
    assert "written" in str(error)
    write(snapshot(s3, f"{s3_bucket}/m", s3.owner))


def test_no_more_time_than_a_listing(s3: SeaweedFS, s3_bucket: str) -> None:
    limits = LIMITS.model_copy(update={"listing_seconds": 1.5, "read_seconds": 20})
    s3.put(s3_bucket, "m/w", b"1")
    listing = snapshot(s3, f"{s3_bucket}/m", limits=limits)
    s3.inject(faults.Hang(20), "m/model.sig", method="PUT")
    error = refused(listing, ReasonCode.STORE_UNAVAILABLE)
    assert "listing_seconds" in str(error)
