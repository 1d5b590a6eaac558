"""S3 on a real server: pins, declared digests, and objects that change while they are read."""

from __future__ import annotations

import base64
import hashlib

import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.stores.s3 import S3Store
from tests.peers import faults
from tests.peers.content import sha256_of
from tests.peers.seaweedfs import SeaweedFS, User

WEIGHTS = bytes(range(256)) * 8000
LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=2, minimum_bytes_per_second=1000)


def snapshot(
    s3: SeaweedFS, place: str, user: User | None = None, *, limits: Limits = LIMITS
) -> Snapshot:
    settings = StoreSettings(options={"s3": s3.storage_options(user)})
    return S3Store(settings, limits).snapshot(Reference.parse(f"s3://{place}"))


def read(of: Snapshot, path: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path, start, end))


def test_lists_and_reads_a_prefix(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "models/x/config.json", b"{}", checksum=False)
    s3.put(s3_bucket, "models/x/sub/w ä+%.safetensors", WEIGHTS, checksum=True)
    s3.put(s3_bucket, "models/x/empty", b"")
    s3.put(s3_bucket, "models/xy/other", b"1")
    listing = snapshot(s3, f"{s3_bucket}/models/x/")
    assert set(listing.files) == {"config.json", "sub/w ä+%.safetensors", "empty"}
    assert listing.files["sub/w ä+%.safetensors"].sha256 == sha256_of(WEIGHTS)
    assert listing.files["config.json"].sha256 is None
    assert not listing.single
    assert read(listing, "sub/w ä+%.safetensors") == WEIGHTS
    assert read(listing, "sub/w ä+%.safetensors", 1000, 5000) == WEIGHTS[1000:5000]
    assert read(listing, "empty") == b""


def test_a_whole_bucket_and_a_single_object(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "a.gguf", b"abc")
    assert read(snapshot(s3, s3_bucket), "a.gguf") == b"abc"
    single = snapshot(s3, f"{s3_bucket}/a.gguf")
    assert single.single
    assert read(single, "a.gguf") == b"abc"


def test_a_multipart_upload_declares_no_digest(s3: SeaweedFS, s3_bucket: str) -> None:
    """Its composite checksum and its entity tag are not digests of the content."""
    content = bytes(5 * 1024 * 1024) + b"tail"
    s3.put_multipart(s3_bucket, "m/w.bin", [content[: 5 * 1024 * 1024], b"tail"])
    listing = snapshot(s3, f"{s3_bucket}/m")
    assert listing.files["w.bin"].sha256 is None
    assert read(listing, "w.bin") == content


FULL = base64.b64encode(hashlib.sha256(WEIGHTS).digest()).decode()


@pytest.mark.parametrize(
    ("checksum", "kind", "declared"),
    [
        (FULL, "FULL_OBJECT", sha256_of(WEIGHTS)),
        (FULL, None, sha256_of(WEIGHTS)),
        (FULL, "COMPOSITE", None),
        (f"{FULL}-2", None, None),
        (f"!{FULL}", "FULL_OBJECT", None),
        (base64.b64encode(b"short").decode(), "FULL_OBJECT", None),
        ("", "FULL_OBJECT", None),
    ],
)
def test_only_a_whole_checksum_is_a_declared_digest(
    s3: SeaweedFS, s3_bucket: str, checksum: str, kind: str | None, declared: str | None
) -> None:
    s3.put(s3_bucket, "m/w", WEIGHTS, checksum=False)
    headers = {"x-amz-checksum-sha256": checksum, "x-amz-checksum-type": kind}
    s3.inject(faults.SetHeaders(headers), "m/w", method="HEAD")
    assert snapshot(s3, f"{s3_bucket}/m").files["w"].sha256 == declared


def test_s3a_is_s3(s3: SeaweedFS, s3_bucket: str) -> None:
    """The same store, with the same options and digests."""
    s3.put(s3_bucket, "m/w", WEIGHTS, checksum=True)
    reference = Reference.parse(f"s3a://{s3_bucket}/m")
    settings = StoreSettings(options={"s3": s3.storage_options()})
    listing = open_store(reference, settings, LIMITS).snapshot(reference)
    assert listing.files["w"].sha256 == sha256_of(WEIGHTS)
    assert read(listing, "w") == WEIGHTS


def test_a_store_sees_what_is_new(s3: SeaweedFS, s3_bucket: str) -> None:
    """No listing is remembered, in which a file that was added would be missing."""
    s3.put(s3_bucket, "m/w", b"1")
    store = S3Store(StoreSettings(options={"s3": s3.storage_options()}), LIMITS)
    reference = Reference.parse(f"s3://{s3_bucket}/m")
    assert set(store.snapshot(reference).files) == {"w"}
    s3.put(s3_bucket, "m/code.py", b"1")
    assert set(store.snapshot(reference).files) == {"w", "code.py"}


def test_more_objects_than_allowed(s3: SeaweedFS, s3_bucket: str) -> None:
    for name in "abc":
        s3.put(s3_bucket, f"m/{name}", b"1")
    enough, few = (LIMITS.model_copy(update={"files": files}) for files in (3, 2))
    assert len(snapshot(s3, f"{s3_bucket}/m", limits=enough).files) == 3
    with pytest.raises(StoreError) as caught:
        snapshot(s3, f"{s3_bucket}/m", limits=few)
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


def test_the_environment_is_enough(
    s3: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(s3_bucket, "m/a", b"abc")
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    listing = S3Store(StoreSettings(), LIMITS).snapshot(Reference.parse(f"s3://{s3_bucket}/m"))
    assert read(listing, "a") == b"abc"


def test_a_versioned_object_is_read_as_it_was_listed(
    s3: SeaweedFS, s3_versioned_bucket: str
) -> None:
    s3.put(s3_versioned_bucket, "m/w", WEIGHTS)
    listing = snapshot(s3, f"{s3_versioned_bucket}/m")
    s3.put(s3_versioned_bucket, "m/w", bytes(len(WEIGHTS)))
    assert read(listing, "w") == WEIGHTS


def test_an_object_that_is_older_than_the_versions_of_its_bucket_is_pinned(
    s3: SeaweedFS, s3_bucket: str
) -> None:
    """Its version is called null, and so is that of what overwrites it while versions are off."""
    s3.put(s3_bucket, "m/w", WEIGHTS)
    s3.client().put_bucket_versioning(
        Bucket=s3_bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    s3.client().put_bucket_versioning(
        Bucket=s3_bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    s3.inject(faults.SetHeaders({"x-amz-version-id": "null"}), "m/w", method="HEAD")
    listing = snapshot(s3, f"{s3_bucket}/m")
    assert read(listing, "w") == WEIGHTS
    s3.put(s3_bucket, "m/w", bytes(len(WEIGHTS)))
    with pytest.raises(StoreError) as caught:
        read(listing, "w")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_an_overwritten_object_is_refused(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", WEIGHTS)
    listing = snapshot(s3, f"{s3_bucket}/m")
    s3.put(s3_bucket, "m/w", bytes(len(WEIGHTS)))
    with pytest.raises(StoreError) as caught:
        read(listing, "w")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_an_overwritten_object_is_refused_by_a_store_that_tells_no_tags(
    s3: SeaweedFS, s3_bucket: str
) -> None:
    """It was asked for the object with the tag that was listed, and says that it has none."""
    s3.put(s3_bucket, "m/w", WEIGHTS)
    listing = snapshot(s3, f"{s3_bucket}/m")
    s3.inject(faults.SetHeaders({"ETag": None}), "m/w", method="GET")
    assert read(listing, "w") == WEIGHTS
    s3.put(s3_bucket, "m/w", bytes(len(WEIGHTS)))
    with pytest.raises(StoreError) as caught:
        read(listing, "w")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_an_object_overwritten_while_it_is_read_is_refused(s3: SeaweedFS, s3_bucket: str) -> None:
    """The transfer breaks, the object is replaced, and the rest would be of another one."""
    s3.put(s3_bucket, "m/w", WEIGHTS)
    listing = snapshot(s3, f"{s3_bucket}/m")
    s3.inject(faults.Truncate(100_000), "m/w", times=1)
    chunks = listing.chunks("w")
    next(chunks)
    s3.put(s3_bucket, "m/w", bytes(len(WEIGHTS)))
    with pytest.raises(StoreError) as caught:
        list(chunks)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.IgnoreRange(), ReasonCode.STORE_PROTOCOL),
        (faults.WrongContentRange(), ReasonCode.STORE_PROTOCOL),
        (
            faults.SetHeaders({"Content-Range": "bytes 10-99999/2048001"}),
            ReasonCode.STORE_CHANGED,
        ),
        (faults.Gzip(), ReasonCode.STORE_PROTOCOL),
        (faults.Drop(), ReasonCode.STORE_UNAVAILABLE),
        (faults.Slow(20), ReasonCode.STORE_TOO_SLOW),
        (faults.Redirect("http://169.254.169.254/"), ReasonCode.STORE_REDIRECT_REFUSED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_hostile_server_is_refused(
    s3: SeaweedFS, s3_bucket: str, fault: faults.Fault, code: ReasonCode
) -> None:
    s3.put(s3_bucket, "m/w", WEIGHTS)
    listing = snapshot(s3, f"{s3_bucket}/m")
    assert read(listing, "w", 10, 100_000) == WEIGHTS[10:100_000]
    s3.inject(fault, "m/w", method="GET")
    with pytest.raises(StoreError) as caught:
        read(listing, "w", 10, 100_000)
    assert caught.value.reason.code is code, caught.value


def test_a_redirect_to_a_private_host_needs_permission(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", WEIGHTS)
    elsewhere = s3.endpoint_url.replace("127.0.0.1", "localhost") + "/elsewhere"
    s3.inject(faults.Redirect(elsewhere), "m/w", method="GET")
    with pytest.raises(StoreError) as caught:
        read(snapshot(s3, f"{s3_bucket}/m"), "w")
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED
    settings = StoreSettings(private_hosts=("localhost",), options={"s3": s3.storage_options()})
    allowed = S3Store(settings, LIMITS).snapshot(Reference.parse(f"s3://{s3_bucket}/m"))
    with pytest.raises(StoreError) as caught:
        read(allowed, "w")
    assert caught.value.reason.code is not ReasonCode.STORE_REDIRECT_REFUSED


def test_transfers_can_be_aborted(s3: SeaweedFS, s3_bucket: str) -> None:
    """What breaks after that is not taken up again."""
    s3.put(s3_bucket, "m/w", WEIGHTS)
    for aborted in (False, True):
        s3.inject(faults.Truncate(100_000), "m/w", method="GET", times=1)
        listing = snapshot(s3, f"{s3_bucket}/m")
        chunks = listing.chunks("w")
        first = next(chunks)
        if not aborted:
            assert len(first) + sum(map(len, chunks)) == len(WEIGHTS)
            continue
        listing.abort()
        with pytest.raises(StoreError) as caught:
            list(chunks)
        assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_a_server_that_does_not_answer(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", b"1")
    limits = Limits(listing_seconds=0.5)
    assert snapshot(s3, f"{s3_bucket}/m").files
    s3.inject(faults.Stall(5), f"/{s3_bucket}*")
    with pytest.raises(StoreError) as caught:
        snapshot(s3, f"{s3_bucket}/m", limits=limits)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_what_is_not_there(s3: SeaweedFS, s3_bucket: str) -> None:
    for place in (f"{s3_bucket}/none", "no-such-bucket-here/x"):
        with pytest.raises(StoreError) as caught:
            snapshot(s3, place)
        assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND


def test_wrong_credentials(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", b"1")
    wrong = {**s3.storage_options(), "secret": "wrong"}
    with pytest.raises(StoreError) as caught:
        S3Store(StoreSettings(options={"s3": wrong}), LIMITS).snapshot(
            Reference.parse(f"s3://{s3_bucket}/m")
        )
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN


def test_no_credentials(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/w", b"1")
    options = {"endpoint_url": s3.endpoint_url}
    with pytest.raises(StoreError) as caught:
        S3Store(StoreSettings(options={"s3": options}), LIMITS).snapshot(
            Reference.parse(f"s3://{s3_bucket}/m")
        )
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN


def test_a_server_that_is_down(s3: SeaweedFS) -> None:
    options = {"key": s3.key, "secret": s3.secret, "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(StoreError) as caught:
        S3Store(StoreSettings(options={"s3": options}), Limits(retries=0)).snapshot(
            Reference.parse("s3://bucket/m")
        )
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_a_key_that_leads_elsewhere_is_refused(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "m/a\nb", b"1")
    with pytest.raises(StoreError) as caught:
        snapshot(s3, f"{s3_bucket}/m")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE
