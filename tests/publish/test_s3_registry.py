"""Publishing to a real S3 server: readers see one whole release or another, whatever happens."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, ReasonCode, UsageError
from oms_gate.errors import MeasureError, StepError, StoreError
from oms_gate.limits import Limits
from oms_gate.oms.manifest import Resource
from oms_gate.publish import sync
from oms_gate.publish.publication import judge
from oms_gate.publish.registry import open_registry
from oms_gate.publish.release import Upload, release_folder
from oms_gate.publish.rollback import statement_digest
from oms_gate.reference import RELEASES
from oms_gate.signing.model import ModelSigner
from oms_gate.stores import StoredFile, s3_uploading
from oms_gate.stores.s3_releases import POINTER
from oms_gate.streaming.hashing import Progress
from tests import models
from tests.delivery.pulling import codes, signed, tree
from tests.peers import faults
from tests.peers.seaweedfs import SeaweedFS
from tests.peers.wire import Request, Response
from tests.publish.on_s3 import PREFIX, Place

PART = 5 << 20  # the least that S3 takes
LARGE = bytes(range(256)) * (PART // 256) + b"end"


def another(folder: Path, key: ec.EllipticCurvePrivateKey, content: bytes = b"2") -> Path:
    """The next version of a model, beside it."""
    files = {**models.FILES, "config.json": content}
    return models.write(folder.parent / content.hex(), signed(key, files))  # type: ignore[arg-type]


def refused(place: Place, folder: Path, code: ReasonCode, **options: Any) -> StepError:
    """Assert that publishing fails, and leaves all as it was; the error."""
    before = place.objects()
    with pytest.raises(StepError) as caught:
        sync(folder, place.url, gate=options.pop("gate", place.gate), **options)
    assert caught.value.reason.code is code, caught.value
    assert place.objects() == before
    return caught.value


@pytest.mark.parametrize("versioned", [False, True])
def test_what_is_published_is_what_was_signed(
    s3: SeaweedFS, settings: dict[str, Any], folder: Path, versioned: bool
) -> None:
    place = Place(s3, s3.create_bucket(versioned=versioned), settings)
    told: list[Progress] = []
    published = sync(folder, place.url, gate=place.gate, on_progress=told.append)
    assert place.release() is not None
    assert published.url == f"{place.url}/{RELEASES}/{place.release()}"
    # Of the release a plain client reads the model, with the checksums that S3 has verified.
    assert place.current() == tree(folder)
    for path, content in tree(folder).items():
        key = f"{PREFIX}/{RELEASES}/{place.release()}/{path}"
        head = s3.client().head_object(Bucket=place.bucket, Key=key, ChecksumMode="ENABLED")
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert head["ChecksumSHA256"] == digest
    assert place.verdict().admitted
    assert place.gate.check(published.url).admitted
    assert told[-1].bytes_done == told[-1].bytes_total
    assert told[-1].files_done == told[-1].files_total
    place.put(f"{RELEASES}/{place.release()}/config.json", b"tampered")
    assert codes(place.verdict()) == [ReasonCode.FILE_CHANGED]


def test_everything_is_written_where_nothing_is_and_the_pointer_last(
    place: Place, folder: Path
) -> None:
    place.s3.clear()
    sync(folder, place.url, gate=place.gate)
    written = [record for record in place.s3.requests if record.method == "PUT"]
    assert all(record.headers["if-none-match"] == "*" for record in written)
    names = [(record.file or "").rpartition("/")[2] for record in written]
    assert set(names[:-2]) == models.FILES.keys()
    assert names[-2:] == ["model.sig", POINTER]


def test_what_the_release_before_has_is_copied(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    sync(folder, place.url, gate=place.gate)
    first = place.release()
    place.s3.clear()
    sync(another(folder, key), place.url, gate=place.gate)
    sent = [
        (record.file or "").rpartition("/")[2]
        for record in place.s3.requests
        if record.method == "PUT" and "x-amz-copy-source" not in record.headers
    ]
    assert sorted(sent) == ["config.json", "model.sig", POINTER]
    assert place.verdict().admitted
    assert place.current() == tree(another(folder, key))
    # The one before stays as it was.
    assert place.objects(f"{RELEASES}/{first}/") == tree(folder)
    assert place.releases() == {first, place.release()}


def test_a_copy_that_the_store_declares_otherwise_is_not_used(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """It may have changed after it was listed, or the store says nothing of the copy."""
    sync(folder, place.url, gate=place.gate)
    first = place.release()
    registry = open_registry(place.target, place.gate)
    place.put(f"{RELEASES}/{first}/model.safetensors", b"swapped")
    release_folder(place.gate, registry, Upload(another(folder, key)))
    registry.close()
    assert place.current() == tree(another(folder, key))
    no_checksum = faults.SetHeaders({"x-amz-checksum-sha256": None})
    registry = open_registry(place.target, place.gate)
    place.s3.inject(no_checksum, "*/README.md", method="HEAD", times=1)
    release_folder(place.gate, registry, Upload(another(folder, key, b"3")))
    registry.close()
    assert place.current() == tree(another(folder, key, b"3"))


def test_from_a_flat_model_to_a_release(place: Place, folder: Path) -> None:
    for path, content in tree(folder).items():
        place.put(path, content)
    states: list[bool] = []
    look = faults.CallBefore(lambda: states.append(place.verdict().admitted))
    place.s3.inject(look, f"*{RELEASES}/*", method="PUT")
    sync(folder, place.url, gate=place.gate)
    assert states == [True] * len(tree(folder))
    assert place.verdict().model.url == f"{place.url}/{RELEASES}/{place.release()}"
    # What was there before stays, for who reads it without the gate.
    assert place.objects().keys() >= tree(folder).keys()


def test_unsigned_denied_or_at_no_place(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    (folder / "config.json").write_bytes(b"changed")
    with pytest.raises(AdmissionDenied) as caught:
        sync(folder, place.url, gate=place.gate)
    assert codes(caught.value.verdict) == [ReasonCode.FILE_CHANGED]
    assert place.objects() == {}
    signer = ModelSigner.by_key(key)
    published = sync(folder, place.url, gate=place.gate, signer=signer)
    assert place.verdict().admitted
    for target in ("hf://acme/model", str(folder), published.url):
        with pytest.raises(UsageError):
            sync(folder, target, gate=place.gate)
    place.s3.put(place.bucket, "acme/file", b"1")
    with pytest.raises(UsageError):
        sync(folder, f"s3://{place.bucket}/acme/file", gate=place.gate)


def test_nothing_unsigned_even_where_the_gate_only_annotates(place: Place, folder: Path) -> None:
    gate = place.gate
    gate.mode = "annotate"
    stranger = models.signature(models.FILES, models.new_key())
    for signature in (stranger, None):
        (folder / "model.sig").unlink()
        if signature is not None:
            (folder / "model.sig").write_bytes(signature)
        with pytest.raises(AdmissionDenied):
            sync(folder, place.url, gate=gate)
    assert place.objects() == {}


SIGNED: dict[str, dict[str, Any]] = {
    "sha256": {},
    "blake2b": {"hash_type": "blake2b"},
    "shards": {"shard_size": 1_000_000},
}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than a mebibyte goes to S3 in small parts."""
    monkeypatch.setattr(s3_uploading, "SINGLE_REQUEST_BYTES", 1 << 20)
    monkeypatch.setattr(s3_uploading, "_PART_BYTES", PART)


@pytest.mark.parametrize("how", SIGNED)
@pytest.mark.usefixtures("small_parts")
def test_however_it_is_signed_and_sent(
    place: Place, tmp_path: Path, key: ec.EllipticCurvePrivateKey, how: str
) -> None:
    files = {"large.safetensors": LARGE, "small.json": b"{}" * 100_000}
    if how != "shards":
        files["empty.json"] = b""
    content = signed(key, files, **SIGNED[how])
    folder = models.write(tmp_path / "m", content)  # type: ignore[arg-type]
    place.s3.inject(faults.Status(503), "*large.safetensors", method="PUT", skip=1, times=1)
    sync(folder, place.url, gate=place.gate)
    assert place.current() == content
    assert place.verdict().admitted


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ("sha256", "large.safetensors"),
        ("shards", "large.safetensors"),
        ("sha256", "small.json"),
        ("blake2b", "small.json"),
        ("shards", "small.json"),
        ("blake2b", "empty.json"),
    ],
)
@pytest.mark.usefixtures("small_parts")
def test_bytes_that_were_not_judged_are_never_an_object(
    place: Place, tmp_path: Path, key: ec.EllipticCurvePrivateKey, how: str, path: str
) -> None:
    """The signed bytes were there when they were judged, and other ones when they were sent."""
    files = {path: {"large": LARGE, "small": b"{}", "empty": b""}[path.partition(".")[0]]}
    folder = models.write(tmp_path / "m", signed(key, files, **SIGNED[how]))  # type: ignore[arg-type]
    registry = open_registry(place.target, place.gate)
    publication, _ = Upload(folder).publication(registry, place.gate)
    judgement = judge(place.gate, publication)
    assert judgement.verdict.admitted, judgement.verdict
    honest = publication.result.read_range

    def read_range(file: StoredFile, start: int, end: int | None, memory: memoryview) -> Any:
        for chunk in honest(file, start, end, memory):
            # The very last byte of all.
            last = file.path == path and end == file.size
            yield bytes(chunk[:-1]) + bytes([chunk[-1] ^ last])

    parts = dict(judgement.signed)
    if path == "empty.json":  # Of which there are no other bytes: something else was signed.
        digest = "0" * len(parts[path][0].digest)
        parts[path] = (Resource(path, digest),)
    place.s3.clear()
    with pytest.raises(MeasureError) as caught:
        registry.publish(
            replace(publication, result=replace(publication.result, read_range=read_range)),
            replace(judgement, signed=parts),
            message="",
        )
    registry.close()
    assert caught.value.reason.code is ReasonCode.FILE_CHANGED
    # It was broken off, or not even begun.
    sent = [
        record.status
        for record in place.s3.requests
        if record.method == "PUT" and (record.file or "").endswith(path)
    ]
    assert sent[-1:] == ([] if path == "empty.json" else [0])
    # This server may keep the start of it, and only after all else was removed.
    assert place.release() is None
    assert all(len(left) < len(files[path]) for left in place.objects().values())


def test_a_file_that_changes_while_it_is_sent(place: Place, folder: Path) -> None:
    swap = faults.CallBefore(
        lambda: (folder / "config.json").write_bytes(b'{"model_type": "evil"}\n')
    )
    place.s3.inject(swap, "*model.safetensors", method="PUT", times=1)
    gate = place.gate_as(None, connections=1)
    refused(place, folder, ReasonCode.STORE_CHANGED, gate=gate)


def test_no_longer_than_the_whole_may_take(place: Place, folder: Path) -> None:
    place.s3.inject(faults.Hang(3), "*README.md", method="PUT")
    gate = place.gate_as(None, total_seconds=0.5, read_seconds=20)
    start = time.monotonic()
    refused(place, folder, ReasonCode.DEADLINE_EXCEEDED, gate=gate)
    assert time.monotonic() - start < 3


def test_who_may_only_read(place: Place, folder: Path) -> None:
    gate = place.gate_as(place.s3.reader)
    refused(place, folder, ReasonCode.STORE_FORBIDDEN, gate=gate)


def test_an_older_release_does_not_come_back(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    first = sync(folder, place.url, gate=place.gate)
    before = place.objects()
    # The present one may be put there again, which changes nothing.
    assert sync(folder, place.url, gate=place.gate) == first
    assert place.objects() == before
    sync(another(folder, key), place.url, gate=place.gate)
    with pytest.raises(AdmissionDenied) as caught:
        sync(folder, place.url, gate=place.gate)
    assert codes(caught.value.verdict) == [ReasonCode.PUBLISH_ROLLBACK]


def test_a_release_that_never_was_one_is_not_older(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """What somebody who was interrupted had sent does not keep them from doing so again."""
    sync(folder, place.url, gate=place.gate)
    digest = statement_digest(tree(another(folder, key))["model.sig"], Limits())
    assert digest is not None
    place.put(f"{RELEASES}/20200101T000000Z-{digest[:16]}-00000000/config.json", b"2")
    place.put(f"{RELEASES}/20990101T000000Z-{digest[:16]}-00000000/model.sig", b"later")
    sync(another(folder, key), place.url, gate=place.gate)
    assert place.current() == tree(another(folder, key))


def test_somebody_else_was_first(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """Also between the last look and the last request."""
    sync(folder, place.url, gate=place.gate)
    registry = open_registry(place.target, place.gate)
    sync(another(folder, key), place.url, gate=place.gate)
    before = place.objects()
    with pytest.raises(StoreError) as caught:
        release_folder(place.gate, registry, Upload(another(folder, key, b"3")))
    registry.close()
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert "somebody else" in str(caught.value)
    assert place.objects() == before
    # Where nothing was published when it was begun, too.
    elsewhere = Place(place.s3, place.s3.create_bucket(), place.settings)
    first = faults.CallBefore(lambda: sync(folder, elsewhere.url, gate=elsewhere.gate))
    place.s3.inject(first, f"/{elsewhere.bucket}/*{POINTER}", method="PUT", times=1)
    with pytest.raises(StoreError):
        sync(another(folder, key), elsewhere.url, gate=elsewhere.gate)
    assert elsewhere.current() == tree(folder)


class _Lost(faults.AnswerFault):
    """What is asked is done, and then the server is said to have failed."""

    on_head = True

    def spoil(self, response: Response) -> None:
        response.status = 500


def test_answers_that_were_lost(place: Place, folder: Path) -> None:
    for lost in ("config.json", "model.sig", POINTER):
        place.s3.inject(_Lost(), f"*{lost}", method="PUT", times=1)
    sync(folder, place.url, gate=place.gate)
    assert place.current() == tree(folder)


def test_where_nobody_knows_whether_it_was_published_all_stays(place: Place, folder: Path) -> None:
    """It may have been, and then readers need it."""
    place.s3.inject(_Lost(), f"*{POINTER}", method="PUT", times=1)
    place.s3.inject(faults.Status(503), f"*{POINTER}", method="PUT", skip=1)
    with pytest.raises(StoreError) as caught:
        sync(folder, place.url, gate=place.gate)
    assert "look first" in str(caught.value)
    assert place.verdict().admitted


def test_what_was_refused_only_when_it_was_done_stays(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """The first answer was lost, and by the second the credentials had expired."""
    sync(folder, place.url, gate=place.gate)
    place.s3.inject(_Lost(), f"*{POINTER}", method="PUT", times=1)
    place.s3.inject(faults.Status(403), f"*{POINTER}", method="PUT", skip=1)
    published = sync(another(folder, key), place.url, gate=place.gate)
    assert published.url.endswith(place.release() or "none")
    assert place.current() == tree(another(folder, key))
    assert place.verdict().admitted


def test_where_it_cannot_be_read_whether_it_was_done_all_stays(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    sync(folder, place.url, gate=place.gate)
    registry = open_registry(place.target, place.gate)
    place.s3.inject(_Lost(), f"*{POINTER}", method="PUT", times=1)
    place.s3.inject(faults.Status(403), f"*{POINTER}", method="PUT", skip=1)
    place.s3.inject(faults.Status(403), f"*{POINTER}", method="GET")
    with pytest.raises(StoreError, match="nothing was removed: look first") as caught:
        release_folder(place.gate, registry, Upload(another(folder, key)))
    registry.close()
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN
    place.s3.clear()
    assert place.current() == tree(another(folder, key))


def test_what_was_refused_goes_again(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    sync(folder, place.url, gate=place.gate)
    place.s3.inject(faults.Status(403), f"*{POINTER}", method="PUT")
    refused(place, another(folder, key), ReasonCode.STORE_FORBIDDEN)


def test_a_release_that_is_gone_is_replaced(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """Readers are refused meanwhile, and no older release comes back for that."""
    sync(folder, place.url, gate=place.gate)
    new = another(folder, key)
    sync(new, place.url, gate=place.gate)
    lost = f"{PREFIX}/{RELEASES}/{place.release()}"
    for path in place.current():
        place.s3.client().delete_object(Bucket=place.bucket, Key=f"{lost}/{path}")
    assert codes(place.verdict()) == [ReasonCode.STORE_PROTOCOL]
    with pytest.raises(AdmissionDenied) as caught:
        sync(folder, place.url, gate=place.gate)
    assert codes(caught.value.verdict) == [ReasonCode.PUBLISH_ROLLBACK]
    sync(new, place.url, gate=place.gate)
    assert place.verdict().admitted
    assert place.current() == tree(new)


ANSWERS: dict[str, tuple[faults.Fault, ReasonCode]] = {
    "400": (faults.Status(400), ReasonCode.STORE_PROTOCOL),
    "403": (faults.Status(403), ReasonCode.STORE_FORBIDDEN),
    "412": (faults.Status(412), ReasonCode.STORE_CHANGED),
    "503": (faults.Status(503), ReasonCode.STORE_UNAVAILABLE),
    "elsewhere": (faults.Redirect("http://127.0.0.1:9/"), ReasonCode.STORE_REDIRECT_REFUSED),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_object_that_is_refused(place: Place, folder: Path, name: str) -> None:
    fault, code = ANSWERS[name]
    place.s3.inject(fault, "*/README.md", method="PUT")
    refused(place, folder, code, gate=place.gate_as(None, retries=0))


def test_of_many_publishers_one_wins_and_readers_see_whole_releases(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    sync(folder, place.url, gate=place.gate)
    folders = [another(folder, key, b"%02d" % number) for number in range(6)]
    seen: list[str] = []
    ended = threading.Event()
    outcomes: dict[Path, ReasonCode | None] = {}

    def read() -> None:
        while not ended.is_set():
            verdict = place.verdict()
            seen.append(verdict.model.url if verdict.admitted else str(verdict.reasons))

    def publish(of: Path, registry: Any) -> None:
        try:
            release_folder(place.gate, registry, Upload(of))
            outcomes[of] = None
        except StepError as error:
            outcomes[of] = error.reason.code
        finally:
            registry.close()

    reader = threading.Thread(target=read)
    reader.start()
    threads = [
        threading.Thread(target=publish, args=(of, open_registry(place.target, place.gate)))
        for of in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    reader.join()
    (winner,) = [of for of, outcome in outcomes.items() if outcome is None]
    assert set(outcomes.values()) == {None, ReasonCode.STORE_CHANGED}
    assert place.current() == tree(winner)
    assert len(place.releases()) == 2
    assert {url.rpartition("/")[2] for url in seen} <= place.releases()


class Dead(faults.RequestFault):
    """From the `step`-th request on that would write something nothing is done any more."""

    def __init__(self, step: int) -> None:
        self.step = step

    def strike(self, request: Request) -> Response | None:
        self.step -= request.record.method in ("PUT", "POST", "DELETE")
        if self.step <= 0:
            return faults.Status(403).strike(request)
        return None


def test_killed_before_each_request_that_writes(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """What is not asked for any more is not cleaned up either."""
    sync(folder, place.url, gate=place.gate)
    gate = place.gate_as(None, connections=1, retries=0)
    new = another(folder, key)
    for step in count(1):
        place.s3.inject(Dead(step))
        try:
            sync(new, place.url, gate=gate)
            break
        except StoreError:
            place.s3.proxy.faults.clear()
        assert place.verdict().admitted
        assert place.current() == tree(folder)
    place.s3.proxy.faults.clear()
    assert place.current() == tree(new)
    assert place.verdict().admitted
    # Each file, the signature, and the pointer.
    assert step == len(tree(new)) + 2
