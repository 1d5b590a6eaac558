"""Tags of objects in S3: on what was verified, at the version that was; never on anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode
from oms_gate.annotation.annotate import Annotated, annotate, state
from oms_gate.annotation.examination import examine
from oms_gate.errors import StoreError, UsageError
from oms_gate.reference import RELEASES, Reference
from oms_gate.stores.s3_releases import POINTER
from oms_gate.verdict import Assurance
from tests import models
from tests.delivery.pulling import signed
from tests.events.receiving import outcomes, put_all, tags
from tests.history.remembering import gate_of, release
from tests.history.remembering import settings as settings_with_memory
from tests.peers.hub import HubStandIn
from tests.publish.on_s3 import PREFIX, Place

RELEASE = "20260101T000000Z-0123456789abcdef-00000001"
ADMITTED = dict.fromkeys((*models.FILES, "model.sig"), "admitted")


def annotated(place: Place) -> Annotated:
    gate = place.gate
    return annotate(gate, examine(gate, place.target), 20)


@pytest.mark.parametrize("kept", ["place", "versioned"])
def test_an_admitted_model(
    kept: str, request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey
) -> None:
    place: Place = request.getfixturevalue(kept)
    put_all(place, {**signed(key), "notes.md": b"nobody signed this"})
    assert annotated(place) == Annotated(admitted=4, denied=1)
    assert outcomes(place) == {**ADMITTED, "notes.md": "denied"}
    told = tags(place, "model.safetensors")
    verdict = place.verdict()
    assert verdict.signature is not None
    assert told["oms-gate-root"] == verdict.signature.root_digest
    assert told["oms-gate-signer"].startswith("sha256:")
    assert told["oms-gate-checked"].startswith("20")
    assert tags(place, "notes.md")["oms-gate-reason"] == "coverage.unsigned"
    # What comes later was checked by nobody.
    place.put("config.json", b"{}")
    assert tags(place, "config.json") == {}


@pytest.mark.parametrize("kept", ["place", "versioned"])
def test_a_denied_model(
    kept: str, request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey
) -> None:
    """Signed by a stranger; its twin, signed by Acme, passes in the test before."""
    place: Place = request.getfixturevalue(kept)
    put_all(place, signed(models.new_key()))
    annotated(place)
    assert set(outcomes(place).values()) == {"denied"}
    assert tags(place, "config.json")["oms-gate-reason"] == ReasonCode.KEY_UNTRUSTED
    put_all(place, signed(key))
    annotated(place)
    assert outcomes(place) == ADMITTED


@pytest.mark.parametrize("meanwhile", [True, False])
def test_of_a_denied_model_nothing_is_vouched_for(
    hub: HubStandIn, tmp_path: Path, meanwhile: bool
) -> None:
    """Though all its bytes are what was signed: somebody else was first to sign, meanwhile."""
    hub.create("acme/m", files=release(1))
    configured = settings_with_memory(tmp_path)
    reference = Reference.parse("hf://acme/m")
    with gate_of(configured) as gate, gate_of(configured) as other:

        def publish(_: object) -> None:
            if meanwhile and "other" not in said:
                said.append("other")
                hub.commit("acme/m", release(2, by="other"))
                assert other.check(reference).admitted

        said: list[str] = []
        examined = examine(gate, reference, on_progress=publish)
    assert examined.verdict.assurance is Assurance.BYTES
    assert examined.verdict.admitted is not meanwhile
    assert bool(examined.vouched) is not meanwhile


def test_of_versions_the_one_that_was_checked(
    versioned: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    put_all(versioned, signed(key))
    gate = versioned.gate
    examined = examine(gate, versioned.target)
    client = versioned.s3.client()
    checked = client.head_object(Bucket=versioned.bucket, Key=f"{PREFIX}/config.json")["VersionId"]
    versioned.put("config.json", b'{"evil": 1}')
    annotate(gate, examined, 20)
    assert tags(versioned, "config.json") == {}
    assert tags(versioned, "config.json", checked)["oms-gate"] == "admitted"


def test_without_versions_what_was_changed_is_not_tagged(
    place: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    put_all(place, signed(key))
    gate = place.gate
    examined = examine(gate, place.target)
    place.put("config.json", b'{"evil": 1}')
    with pytest.raises(StoreError) as caught:
        annotate(gate, examined, 20)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert tags(place, "config.json") == {}


def test_tags_of_others_stay(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    put_all(place, signed(key))
    client, name = place.s3.client(), f"{PREFIX}/config.json"

    def have(*others: str) -> None:
        given = [{"Key": other, "Value": "x"} for other in others]
        client.put_object_tagging(Bucket=place.bucket, Key=name, Tagging={"TagSet": given})

    # One who tags it himself is corrected.
    have("team", "oms-gate", "oms-gate-reason")
    annotated(place)
    told = tags(place, "config.json")
    assert told["team"] == "x"
    assert told["oms-gate"] == "admitted"
    assert "oms-gate-reason" not in told
    # S3 allows ten: what matters most stays.
    have(*map(str, range(9)))
    annotated(place)
    assert tags(place, "config.json") == {
        **dict.fromkeys(map(str, range(9)), "x"),
        "oms-gate": "admitted",
    }
    have(*map(str, range(10)))
    with pytest.raises(StoreError, match="10 tags of others"):
        annotated(place)
    assert "oms-gate" not in tags(place, "config.json")


def test_declared_is_enough_on_request_alone(
    place: Place, key: ec.EllipticCurvePrivateKey, settings: dict[str, Any]
) -> None:
    put_all(place, signed(key))
    settings["assurance"] = "signature"
    gate = Place(place.s3, place.bucket, settings).gate
    assert examine(gate, place.target).verdict.assurance is Assurance.BYTES
    place.s3.clear()
    examined = examine(gate, place.target, assurance=Assurance.DECLARED)
    assert examined.verdict.assurance is Assurance.DECLARED
    read = {record.file for record in place.s3.requests if record.method == "GET"}
    assert f"{PREFIX}/model.safetensors" not in read
    annotate(gate, examined, 20)
    assert outcomes(place) == ADMITTED


def test_where_nothing_was_decided_nothing_is_tagged(
    place: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    put_all(place, signed(key))
    gate = place.gate
    gate.limits = gate.limits.model_copy(update={"total_seconds": 1e-9})
    examined = examine(gate, place.target)
    assert examined.verdict.undecided
    assert annotate(gate, examined, 20) == Annotated()
    assert set(outcomes(place).values()) == {None}


def test_a_release_and_then_its_pointer(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    files = signed(key)
    put_all(place, {f"{RELEASES}/{RELEASE}/{path}": content for path, content in files.items()})
    place.put(POINTER, json.dumps({"schema": "oms-gate/release/v1", "release": RELEASE}).encode())
    place.put("beside.txt", b"of no release")
    gate = place.gate
    examined = examine(gate, place.target)
    assert annotate(gate, examined, 20).admitted == 4
    release = {f"{RELEASES}/{RELEASE}/{path}": "admitted" for path in files}
    assert outcomes(place) == {**release, POINTER: "admitted", "beside.txt": None}
    # It leads elsewhere by now.
    other = RELEASE.replace("20260101", "20260102")
    place.put(POINTER, json.dumps({"schema": "oms-gate/release/v1", "release": other}).encode())
    with pytest.raises(StoreError) as caught:
        annotate(gate, examined, 20)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert tags(place, POINTER) == {}


def test_a_state_is_what_a_model_was_left_as(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    put_all(place, {**signed(key), "notes.md": b"nobody signed this"})
    gate = place.gate
    examined = examine(gate, place.target)
    assert state(gate, place.target, tagged=False) == examined.state(tagged=False)
    assert state(gate, place.target, tagged=True) != examined.state(tagged=True)
    annotate(gate, examined, 20)
    assert state(gate, place.target, tagged=True) == examined.state(tagged=True)
    # The same bytes again: without versions they have the same entity tag, but no tags.
    place.put("config.json", models.FILES["config.json"])
    assert state(gate, place.target, tagged=False) == examined.state(tagged=False)
    assert state(gate, place.target, tagged=True) != examined.state(tagged=True)


def test_only_folders_in_s3(place: Place, key: ec.EllipticCurvePrivateKey, tmp_path: Any) -> None:
    models.write(tmp_path / "model", signed(key))  # type: ignore[arg-type]
    gate = place.gate
    local = Reference.parse(str(tmp_path / "model"))
    with pytest.raises(UsageError, match="not in S3"):
        annotate(gate, examine(gate, local), 20)
    put_all(place, {"model.gguf": b"1", "model.gguf.sig": b"{}"})
    single = Reference.parse(f"{place.url}/model.gguf")
    with pytest.raises(UsageError, match="one object"):
        annotate(gate, examine(gate, single), 20)
