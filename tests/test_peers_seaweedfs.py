"""The S3 server and its proxy as s3fs and botocore see them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import s3fs
from botocore.exceptions import ClientError

from tests.peers.faults import CallDuring, ChangingEtag, IgnoreRange, Truncate, WrongBytes
from tests.peers.seaweedfs import SeaweedFS, User

WEIGHTS = bytes(range(256)) * 400


def file_system(s3: SeaweedFS, user: User | None = None, **options: Any) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(**s3.storage_options(user), skip_instance_cache=True, **options)


def proxied(s3: SeaweedFS) -> Any:
    """A botocore client that goes through the proxy."""
    return s3.client(through_proxy=True)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_s3fs_reads_and_writes(s3: SeaweedFS, s3_bucket: str) -> None:
    fs = file_system(s3)
    fs.pipe_file(f"{s3_bucket}/model/model.bin", WEIGHTS)
    assert fs.cat_file(f"{s3_bucket}/model/model.bin") == WEIGHTS
    assert fs.find(s3_bucket) == [f"{s3_bucket}/model/model.bin"]
    with fs.open(f"{s3_bucket}/model/large.bin", "wb") as file:
        file.write(bytes(12 * 1024 * 1024))
    assert fs.size(f"{s3_bucket}/model/large.bin") == 12 * 1024 * 1024


def test_ranges(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    fs = file_system(s3)
    part = fs.cat_file(f"{s3_bucket}/model.bin", start=1000, end=1010)
    assert part == WEIGHTS[1000:1010]
    last = s3.requests[-1]
    assert (last.method, last.file, last.range) == ("GET", "model.bin", "bytes=1000-1009")
    assert (last.status, last.sent, last.authorized) == (206, 10, True)
    with pytest.raises(ClientError) as beyond:
        proxied(s3).get_object(Bucket=s3_bucket, Key="model.bin", Range="bytes=999999-")
    assert code(beyond) == "InvalidRange"


def test_the_log_shows_what_was_not_asked_for(s3: SeaweedFS, s3_bucket: str) -> None:
    for name in ("config.json", "model.safetensors", "model.sig"):
        s3.put(s3_bucket, f"model/{name}", WEIGHTS)
    assert s3.requests == []
    fs = file_system(s3)
    fs.find(f"{s3_bucket}/model")
    fs.cat_file(f"{s3_bucket}/model/model.sig")
    assert {record.file for record in s3.requests} <= {"model/model.sig", None}
    assert sum(record.sent for record in s3.requests if record.file) == len(WEIGHTS)
    s3.clear()
    assert s3.requests == []


def test_versions(s3: SeaweedFS, s3_versioned_bucket: str) -> None:
    first = s3.put(s3_versioned_bucket, "model.bin", b"first")
    second = s3.put(s3_versioned_bucket, "model.bin", b"second")
    assert first
    assert second
    assert first != second
    fs = file_system(s3, version_aware=True)
    path = f"{s3_versioned_bucket}/model.bin"
    assert fs.info(path)["VersionId"] == second
    assert fs.cat_file(path, version_id=first) == b"first"
    assert s3.requests[-1].query["versionId"] == first
    assert [version["VersionId"] for version in fs.object_version_info(path)] == [second, first]


def test_an_object_that_is_overwritten_keeps_its_pinned_version(
    s3: SeaweedFS, s3_versioned_bucket: str
) -> None:
    s3.put(s3_versioned_bucket, "model.bin", WEIGHTS)
    fs = file_system(s3, version_aware=True)
    with fs.open(f"{s3_versioned_bucket}/model.bin", block_size=1000) as file:
        assert file.read(10) == WEIGHTS[:10]
        s3.put(s3_versioned_bucket, "model.bin", WEIGHTS[::-1])
        file.seek(50_000)
        assert file.read(10) == WEIGHTS[50_000:50_010]


def test_without_versions_there_is_no_version(s3: SeaweedFS, s3_bucket: str) -> None:
    assert s3.put(s3_bucket, "model.bin", WEIGHTS) is None


def test_if_match(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    client = proxied(s3)
    where = {"Bucket": s3_bucket, "Key": "model.bin"}
    etag = client.head_object(**where)["ETag"]
    assert client.get_object(**where, IfMatch=etag)["Body"].read() == WEIGHTS
    s3.put(s3_bucket, "model.bin", WEIGHTS[::-1])
    with pytest.raises(ClientError) as changed:
        client.get_object(**where, IfMatch=etag)
    assert code(changed) == "PreconditionFailed"
    assert (s3.requests[-1].status, s3.requests[-1].if_match) == (412, etag)


def test_checksums(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "declared.bin", WEIGHTS)
    s3.put(s3_bucket, "silent.bin", WEIGHTS, checksum=False)
    s3.put_multipart(s3_bucket, "parts.bin", [bytes(5 * 1024 * 1024), b"end"])
    client = proxied(s3)

    def declared(key: str) -> dict[str, Any]:
        head: dict[str, Any] = client.head_object(Bucket=s3_bucket, Key=key, ChecksumMode="ENABLED")
        return head

    digest = base64.b64encode(hashlib.sha256(WEIGHTS).digest()).decode()
    assert declared("declared.bin")["ChecksumSHA256"] == digest
    assert "ChecksumSHA256" not in declared("silent.bin")
    composite = declared("parts.bin")
    assert composite["ChecksumType"] == "COMPOSITE"
    assert composite["ChecksumSHA256"].endswith("-2")
    with pytest.raises(ClientError) as wrong:
        client.put_object(Bucket=s3_bucket, Key="wrong.bin", Body=b"other", ChecksumSHA256=digest)
    assert code(wrong) in ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch")


def test_users(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    path = f"{s3_bucket}/model.bin"
    reading = file_system(s3, s3.reader)
    assert reading.cat_file(path) == WEIGHTS
    with pytest.raises(PermissionError):
        reading.pipe_file(path, b"other")
    for nobody in (s3.stranger, User("impostor", (), key=s3.key), User("unknown", ())):
        with pytest.raises(PermissionError):
            file_system(s3, nobody).cat_file(path)
    assert s3.requests[-1].status == 403


def test_environment(s3: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    assert fs.cat_file(f"{s3_bucket}/model.bin") == WEIGHTS
    assert s3.requests


def test_a_whole_object_instead_of_a_range(s3: SeaweedFS, s3_versioned_bucket: str) -> None:
    first = s3.put(s3_versioned_bucket, "a model.bin", WEIGHTS)
    s3.put(s3_versioned_bucket, "a model.bin", b"second")
    s3.inject(IgnoreRange(), "a model.bin", times=1)
    where = {"Bucket": s3_versioned_bucket, "Key": "a model.bin", "VersionId": first}
    got = proxied(s3).get_object(**where, Range="bytes=10-19")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == WEIGHTS
    got = proxied(s3).get_object(**where, Range="bytes=10-19")
    assert got["Body"].read() == WEIGHTS[10:20]


def test_faults_are_those_of_the_hub(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    where = {"Bucket": s3_bucket, "Key": "model.bin"}
    client = proxied(s3)
    s3.inject(WrongBytes(after=15), times=1)
    got = client.get_object(**where, Range="bytes=10-19")["Body"].read()
    assert got[:5] == WEIGHTS[10:15]
    assert got[5:] != WEIGHTS[15:20]
    s3.inject(Truncate(100), times=1)
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken"):
        client.get_object(**where)["Body"].read()
    s3.inject(ChangingEtag(), "model.bin", times=2)
    etags = {client.head_object(**where)["ETag"] for _ in range(3)}
    assert len(etags) == 3


def test_an_object_is_overwritten_in_the_middle_of_a_read(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    overwrite = CallDuring(lambda: s3.put(s3_bucket, "model.bin", WEIGHTS[::-1]))
    s3.inject(overwrite, "model.bin", method="GET", times=1)
    fs = file_system(s3)
    with fs.open(f"{s3_bucket}/model.bin", block_size=5 * 1024) as file:
        assert file.read(10) == WEIGHTS[:10]
        file.seek(50_000)
        with pytest.raises(s3fs.utils.FileExpired):
            file.read(10)
    assert 412 in {record.status for record in s3.requests}


def test_a_bucket_policy_denies(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", '
        f'"Action": "s3:GetObject", "Resource": "arn:aws:s3:::{s3_bucket}/*"}}]}}'
    )
    assert file_system(s3, s3.reader).cat_file(f"{s3_bucket}/model.bin") == WEIGHTS
    s3.client().put_bucket_policy(Bucket=s3_bucket, Policy=policy)
    with pytest.raises(PermissionError):
        file_system(s3, s3.reader).cat_file(f"{s3_bucket}/model.bin")


def test_reset_forgets(s3: SeaweedFS, s3_bucket: str) -> None:
    s3.inject(WrongBytes())
    s3.put(s3_bucket, "model.bin", WEIGHTS)
    s3.reset()
    # Another test's, whose requests were cut off, may have come to be again since.
    names = [bucket["Name"] for bucket in s3.client().list_buckets().get("Buckets", [])]
    assert s3_bucket not in names
    again = s3.create_bucket()
    s3.put(again, "model.bin", WEIGHTS)
    assert file_system(s3).cat_file(f"{again}/model.bin") == WEIGHTS


def test_without_a_server_the_proxy_hangs_up() -> None:
    import http.client

    from tests.peers.s3_proxy import S3Proxy

    proxy = S3Proxy("http://127.0.0.1:9", lambda *_: "")
    proxy.origin.start()
    try:
        connection = http.client.HTTPConnection(proxy.origin.url.removeprefix("http://"))
        connection.request("GET", "/bucket/key")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()
    finally:
        proxy.origin.stop()
