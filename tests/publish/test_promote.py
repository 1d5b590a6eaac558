"""From one registry to another: what is admitted arrives as it was signed, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, Assurance, Gate, ReasonCode, UsageError
from oms_gate.errors import MeasureError, StepError
from oms_gate.publish import sync
from oms_gate.publish.promotion import Promotion, promote
from oms_gate.reference import RELEASES
from oms_gate.stores.s3_releases import POINTER
from tests import models
from tests.commands import oms_gate
from tests.delivery.pulling import codes, gate_of, tree
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.publish import on_hub
from tests.publish.on_s3 import Place
from tests.publish.test_s3_registry import another

ATTESTATION = {"scan.sigstore": b"{}"}


@pytest.fixture
def staging(place: Place, folder: Path) -> Place:
    """A place with the model, and beside it what else is in its folder there."""
    elsewhere = Place(place.s3, place.s3.create_bucket(), place.settings)
    sync(folder, elsewhere.url, gate=elsewhere.gate)
    return elsewhere


def promoted(source: str, place: Place, gate: Gate | None = None) -> Promotion:
    promotion = promote(source, place.url, gate=gate or place.gate)
    assert promotion.verdict.admitted
    assert place.verdict().admitted
    return promotion


def denied(source: str, place: Place, code: ReasonCode, gate: Gate | None = None) -> None:
    before = place.objects()
    with pytest.raises(AdmissionDenied) as caught:
        promote(source, place.url, gate=gate or place.gate)
    assert set(codes(caught.value.verdict)) == {code}
    assert place.objects() == before


def failed(source: str, place: Place, code: ReasonCode) -> None:
    before = place.objects()
    with pytest.raises(StepError) as caught:
        promote(source, place.url, gate=place.gate)
    assert caught.value.reason.code is code, caught.value
    assert place.objects() == before


def local(place: Place) -> Place:
    """The same, where Acme's models may also lie in folders."""
    (rule,) = place.settings["publishers"]
    rules = [{**rule, "models": [*rule["models"], "/**", "memory://**"]}]
    return Place(place.s3, place.bucket, {**place.settings, "publishers": rules})


def test_from_s3_to_s3_the_store_copies(place: Place, staging: Place, folder: Path) -> None:
    place.s3.clear()
    promotion = promoted(staging.url, place)
    assert place.current() == tree(folder)
    assert promotion.left_out == 0
    assert promotion.published.url == f"{place.url}/{RELEASES}/{place.release()}"
    coverage = promotion.verdict.coverage
    assert coverage is not None
    assert promotion.verdict.assurance is Assurance.DECLARED
    assert (coverage.declared, coverage.measured) == (coverage.signed, 0)
    sent = [
        (record.file or "").rpartition("/")[2]
        for record in place.s3.requests
        if record.method == "PUT" and "x-amz-copy-source" not in record.headers
    ]
    assert sent == ["model.sig", POINTER]


def test_from_the_hub_to_s3_and_back(
    hub: HubStandIn,
    place: Place,
    tmp_path: Path,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    """And to a repository whose other files go."""
    release = on_hub.release(tmp_path, key)
    hub.create(on_hub.REPOSITORY, files=tree(release))
    gate = place.gate.with_store_options("hf", {"token": hub.token})
    verdict = promoted(on_hub.TARGET, place, gate).verdict
    assert verdict.assurance is Assurance.BYTES
    assert verdict.coverage is not None
    assert verdict.coverage.measured_bytes == verdict.coverage.signed_bytes
    assert place.current() == tree(release)
    hub.create("acme/copy", files={"old.bin": b"old", "README.md": b"old"})
    promotion = promote(place.url, "hf://acme/copy", gate=gate)
    assert promotion.verdict.admitted
    assert promotion.published.url.startswith("hf://acme/copy@")
    assert on_hub.there(hub, repository="acme/copy") == tree(release)


def test_only_what_was_signed_and_what_vouches_for_it(
    place: Place, folder: Path, tmp_path: Path
) -> None:
    models.write(folder, {**ATTESTATION, "notes.md": b"unsigned", "sub/x.sig": b"elsewhere"})
    promotion = promoted(str(folder), local(place))
    assert place.current().keys() == {*models.FILES, "model.sig", *ATTESTATION}
    assert promotion.left_out == 2


def test_from_any_file_system(place: Place, folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path, content in tree(folder).items():
        memory.pipe(f"/acme/{path}", content)
    try:
        promoted("memory://acme", local(place))
    finally:
        memory.rm("/acme", recursive=True)
    assert place.current() == tree(folder)


def test_the_source_is_judged_by_its_own_name(place: Place, staging: Place, folder: Path) -> None:
    (rule,) = place.settings["publishers"]
    here = [{**rule, "models": [f"s3://{place.bucket}/**"]}]
    there = [{**rule, "models": [f"s3://{staging.bucket}/**"]}]
    for publishers in (here, there):
        gate = Place(place.s3, "", {**place.settings, "publishers": publishers}).gate
        denied(staging.url, place, ReasonCode.PUBLISHER_UNKNOWN, gate)
    # Nor where the gate would let everything through.
    gate.mode = "annotate"
    denied(staging.url, place, ReasonCode.PUBLISHER_UNKNOWN, gate)


def test_a_source_that_is_not_as_it_was_signed(place: Place, staging: Place) -> None:
    staging.put(f"{RELEASES}/{staging.release()}/config.json", b"tampered", checksum=True)
    denied(staging.url, place, ReasonCode.FILE_CHANGED)
    # Of which the store says nothing, so it shows when it is read.
    staging.put(f"{RELEASES}/{staging.release()}/config.json", b"tampered", checksum=False)
    failed(staging.url, place, ReasonCode.FILE_CHANGED)


def test_a_source_that_changes_on_the_way(place: Place, staging: Place) -> None:
    """S3 itself says that it is no longer what was listed, and so does who reads it then."""
    key = f"{RELEASES}/{staging.release()}/config.json"
    swap = faults.CallBefore(lambda: staging.put(key, b"swapped"))
    place.s3.inject(swap, f"/{place.bucket}/*config.json", method="PUT", times=1)
    failed(staging.url, place, ReasonCode.STORE_CHANGED)


def test_a_copy_with_other_bytes(place: Place, staging: Place) -> None:
    """The store says that it has copied the file, and declares another digest of the copy."""
    wrong = faults.SetHeaders({"x-amz-checksum-sha256": "A" * 43 + "="})
    place.s3.inject(wrong, f"/{place.bucket}/*config.json", method="HEAD", times=1)
    place.s3.clear()
    promoted(staging.url, place)
    ways = [
        "x-amz-copy-source" in record.headers
        for record in place.s3.requests
        if record.method == "PUT" and (record.file or "").endswith("config.json")
    ]
    assert ways == [True, False]


def test_who_is_overtaken(
    place: Place, staging: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    newer = another(folder, key)
    first = faults.CallBefore(lambda: sync(newer, place.url, gate=place.gate))
    place.s3.inject(first, f"/{place.bucket}/*{POINTER}", method="PUT", times=1)
    with pytest.raises(StepError) as caught:
        promote(staging.url, place.url, gate=place.gate)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert place.current() == tree(newer)
    assert place.releases() == {place.release()}


def test_an_older_release_of_the_same_place(
    place: Place, folder: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    old = sync(folder, place.url, gate=place.gate)
    sync(another(folder, key), place.url, gate=place.gate)
    denied(old.url, place, ReasonCode.PUBLISH_ROLLBACK)


def test_a_place_that_is_no_registry(place: Place, staging: Place, folder: Path) -> None:
    for target in (str(folder), "memory://acme", f"{staging.url}/{RELEASES}/{staging.release()}"):
        with pytest.raises(UsageError):
            promote(staging.url, target, gate=place.gate)


def test_a_flat_model_becomes_a_release(place: Place, folder: Path) -> None:
    for path, content in tree(folder).items():
        place.put(path, content)
    promoted(place.url, place)
    assert place.current() == tree(folder)


def test_a_source_is_read_although_the_right_bytes_are_there(
    place: Place, staging: Place, folder: Path
) -> None:
    rule = place.settings["publishers"][0]
    local = {**rule, "models": [*rule["models"], "/**"]}
    settings = {**place.settings, "publishers": [local], "publish": {"allow_formats": ["**"]}}
    gate = gate_of(settings).with_store_options("s3", place.s3.storage_options())
    promoted(staging.url, place, gate)
    content = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(content.replace(b"tiny", b"huge"))
    with pytest.raises(MeasureError) as caught:
        promote(str(folder), place.url, gate=gate)
    assert caught.value.reason.code is ReasonCode.FILE_CHANGED


def test_the_command(
    place: Place, staging: Place, folder: Path, public_key: Path, tmp_path: Path
) -> None:
    config = tmp_path / "gate.yaml"
    stores = {"options": {"s3": place.s3.storage_options()}}
    publish = {"allow_formats": ["**"]}
    config.write_text(yaml.safe_dump({"stores": stores, "publish": publish}))
    options = ["--config", str(config), "--public-key", str(public_key)]
    staging.put(f"{RELEASES}/{staging.release()}/notes.md", b"unsigned")
    done = oms_gate("promote", staging.url, place.url, *options)
    assert done.returncode == 0, done.stderr
    assert f"published {place.url}/{RELEASES}/{place.release()}" in done.stdout
    assert "1 that nobody signed" in done.stdout
    # Although the right bytes are there already.
    (folder / "config.json").write_bytes(b"changed")
    done = oms_gate("promote", folder, place.url, "--json", *options)
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["verdict"]["reasons"][0]["code"] == ReasonCode.FILE_CHANGED
    assert (document["published"], document["left_out"]) == (None, 0)
    assert oms_gate("promote", f"{staging.url}/none", place.url, "-q", *options).returncode == 3
