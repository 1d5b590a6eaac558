"""Relying on another gate's summary: each one that must not count is validly signed, or nearly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from oms_gate import Gate
from oms_gate.annotation.examination import examine
from oms_gate.config import GateConfig
from oms_gate.errors import EvidenceError
from oms_gate.evidence.accepting import check_policy
from oms_gate.evidence.summary import EXTENSION, PREDICATE_TYPE, Summary
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.verdict import Assurance, PolicyUsed, Verdict
from tests import attesting, models
from tests.evidence.summarising import (
    GATE,
    GATE_SIGNER,
    MODEL,
    PUBLISHER,
    STRANGER,
    VERIFIER,
    Gates,
    statement_of,
    weight_bytes,
)
from tests.oms import forge
from tests.oms.forge import Json
from tests.peers.content import size_of
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

WEIGHTS = size_of(models.FILES["model.safetensors"])
NAME = "hf://acme/m"
MALFORMED, UNTRUSTED = ReasonCode.SUMMARY_MALFORMED, ReasonCode.SUMMARY_UNTRUSTED
OTHER_MODEL, OTHER_POLICY = ReasonCode.SUMMARY_OTHER_MODEL, ReasonCode.SUMMARY_OTHER_POLICY
EXPIRED, INSUFFICIENT = ReasonCode.SUMMARY_EXPIRED, ReasonCode.SUMMARY_INSUFFICIENT


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates.at(tmp_path)


@pytest.fixture
def hub_gates(gates: Gates, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> Gates:
    """Where the first has verified a model of the Hub."""
    hub.create("acme/m", files=MODEL)
    base = {**gates.base, "stores": {"options": {"hf": {"endpoint": hub.endpoint}}}}
    gates = Gates(base, gates.signer, gates.summaries)
    assert gates.summarise(NAME).assurance is Assurance.BYTES
    hub.clear()
    return gates


def warned(verdict: Verdict) -> list[ReasonCode]:
    return [warning.code for warning in verdict.warnings]


def test_a_summary_spares_hashing(hub_gates: Gates, hub: HubStandIn) -> None:
    verdict = hub_gates.rely(NAME)
    assert verdict.admitted, verdict.reasons
    assert verdict.warnings == ()
    # The weights' declared digests were compared, and the rest was small enough to read.
    assert verdict.assurance is Assurance.DECLARED
    assert weight_bytes(hub) == 0
    found = verdict.summary
    assert found is not None
    assert found.verifier == VERIFIER
    assert found.signer.root.name == "gate"
    assert found.levels == ("OMS_BYTES",)
    content = hub_gates.the_file().read_bytes()
    assert found.sha256 == attesting.sha256(content)
    assert found.location == str(hub_gates.the_file())
    stated = statement_of(content)["predicate"]["timeVerified"]
    assert found.verified_at == datetime.fromisoformat(stated)
    assert "summary" in verdict.timings
    # The whole of it is in the document.
    assert json.loads(verdict.to_json())["summary"]["verifier"] == VERIFIER


@pytest.mark.parametrize("signing", [{}, {"hash_type": "blake3"}, {"shard_size": 100_000}], ids=str)
def test_what_an_earlier_pull_left_says_nothing_of_the_store(
    gates: Gates, hub: HubStandIn, tmp_path: Path, signing: dict[str, Any]
) -> None:
    """Somebody has put other weights there since: nobody has read them, whatever is here."""
    signature = models.signature(models.FILES, PUBLISHER, **signing)
    hub.create("acme/m", files={**models.FILES, "model.sig": signature})
    base = {**gates.base, "stores": {"options": {"hf": {"endpoint": hub.endpoint}}}}
    gates = Gates(base, gates.signer, gates.summaries)
    made = {"verifier": VERIFIER, "folder": gates.summaries}
    evidence = {"evidence": {"signer": gates.signer, "summaries": made}}
    config = GateConfig.model_validate({**base, **evidence})
    with Gate.from_config(config) as first:
        fresh = first.deliver(NAME, tmp_path / "pulled")
        assert fresh.delivery is not None
        assert fresh.delivery.reused_bytes == 0
        before = gates.files("bytes")
        assert len(before) == 1
        weights = models.FILES["model.safetensors"]
        hub.commit("acme/m", {"model.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})
        again = first.deliver(NAME, tmp_path / "pulled")
    if again.admitted:  # Where the store declares no digest of the signed kind.
        assert again.delivery is not None
        assert again.delivery.reused_bytes > 0
    assert gates.files("bytes") == before
    relying = gates.rely(NAME)
    assert [reason.code for reason in relying.reasons] == [ReasonCode.FILE_CHANGED]


def test_without_what_the_store_declares_the_signature_is_what_was_proven(
    hub_gates: Gates, hub: HubStandIn
) -> None:
    strict = {"limits": {**hub_gates.base["limits"], "small_file_bytes": 0}}
    verdict = hub_gates.rely(NAME, strict)
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.SIGNATURE
    assert verdict.summary is not None
    assert verdict.coverage is not None
    assert verdict.coverage.measured == 0


def test_a_policy_that_requires_bytes_is_content(hub_gates: Gates, hub: HubStandIn) -> None:
    (publisher,) = hub_gates.base["publishers"]
    changes: Json = {
        "assurance": "signature",
        "publishers": [{**publisher, "assurance": "bytes"}],
    }
    assert hub_gates.summarise(NAME, changes).assurance is Assurance.BYTES
    hub.clear()
    verdict = hub_gates.rely(NAME, changes)
    assert verdict.admitted
    assert verdict.summary is not None
    assert weight_bytes(hub) == 0


def test_who_accepts_nobody_hashes(hub_gates: Gates, hub: HubStandIn) -> None:
    verdict = hub_gates._check(NAME, {})
    assert verdict.assurance is Assurance.BYTES
    assert verdict.summary is None
    assert weight_bytes(hub) >= WEIGHTS


def later(**change: float) -> Callable[[Json], object]:
    time = datetime.now(UTC) + timedelta(**change)
    return lambda stated: stated["predicate"].update(timeVerified=time.isoformat())


def predicate(**change: object) -> Callable[[Json], object]:
    return lambda stated: stated["predicate"].update(change)


def own(**change: object) -> Callable[[Json], object]:
    return lambda stated: stated["predicate"][EXTENSION].update(change)


def without(*path: str) -> Callable[[Json], object]:
    def take(stated: Json) -> None:
        holder = stated["predicate"]
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]

    return take


def nothing(_: Json) -> None:
    """As it was made."""


def other_root(stated: Json) -> None:
    stated["subject"][0]["digest"]["sha256"] = "00" * 32


def other_file(stated: Json) -> None:
    stated["subject"][1]["digest"]["sha256"] = "00" * 32


REFUSED: dict[str, tuple[Callable[[Json], object], Any, ReasonCode]] = {
    "signed by nobody who is known": (nothing, STRANGER, UNTRUSTED),
    "signed by a publisher": (nothing, PUBLISHER, UNTRUSTED),
    "by another verifier": (predicate(verifier={"id": VERIFIER + "x"}), GATE, UNTRUSTED),
    "of another root digest": (other_root, GATE, OTHER_MODEL),
    "of another file": (other_file, GATE, OTHER_MODEL),
    "of fewer files": (lambda stated: stated["subject"].pop(), GATE, OTHER_MODEL),
    "of more files": (
        lambda stated: stated["subject"].append({"name": "x", "digest": {"sha256": "11" * 32}}),
        GATE,
        OTHER_MODEL,
    ),
    "of another signature": (
        predicate(inputAttestations=[{"digest": {"sha256": "00" * 32}}]),
        GATE,
        OTHER_MODEL,
    ),
    "of no signature": (predicate(inputAttestations=[]), GATE, OTHER_MODEL),
    "of another name": (
        lambda stated: stated["predicate"].update(
            resourceUri=stated["predicate"]["resourceUri"].replace("acme/m", "acme/n")
        ),
        GATE,
        OTHER_MODEL,
    ),
    "of another revision": (own(revision="0" * 40), GATE, OTHER_MODEL),
    "of another policy": (
        own(policy={"engine": "wasm", "revision": "sha256:" + "00" * 32}),
        GATE,
        OTHER_POLICY,
    ),
    "of another engine": (
        lambda stated: stated["predicate"][EXTENSION]["policy"].update(engine="server"),
        GATE,
        OTHER_POLICY,
    ),
    "too old": (later(days=-1, seconds=-5), GATE, EXPIRED),
    "from the future": (later(days=1), GATE, EXPIRED),
    "of the year one": (predicate(timeVerified="0001-01-01T00:00:00+14:00"), GATE, EXPIRED),
    "that failed": (predicate(verificationResult="FAILED"), GATE, INSUFFICIENT),
    "that neither passed nor failed": (
        predicate(verificationResult="passed"),
        GATE,
        INSUFFICIENT,
    ),
    "of a lower level": (predicate(verifiedLevels=["OMS_DECLARED"]), GATE, INSUFFICIENT),
    "of no level": (predicate(verifiedLevels=[]), GATE, INSUFFICIENT),
    "of another predicate type": (
        lambda stated: stated.update(predicateType=PREDICATE_TYPE + ".1"),
        GATE,
        MALFORMED,
    ),
    "without a time": (without("timeVerified"), GATE, MALFORMED),
    "with a time that is none": (predicate(timeVerified="2026-02-30T00:00:00Z"), GATE, MALFORMED),
    "without a revision": (without(EXTENSION, "revision"), GATE, MALFORMED),
    "of another tool": (without(EXTENSION), GATE, MALFORMED),
    "whose levels are no list": (predicate(verifiedLevels="OMS_BYTES"), GATE, MALFORMED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_summary_does_not_count(hub_gates: Gates, hub: HubStandIn, name: str) -> None:
    change, key, code = REFUSED[name]
    hub_gates.replace(change, key)
    refused(hub_gates.rely(NAME), hub, code)


def refused(verdict: Verdict, server: HubStandIn | SeaweedFS, code: ReasonCode) -> None:
    """Nothing of it is relied on: every byte was hashed here."""
    assert warned(verdict) == [code], verdict.warnings
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.BYTES
    assert verdict.summary is None
    assert weight_bytes(server) >= WEIGHTS


def test_a_summary_that_is_signed_again_counts(hub_gates: Gates, hub: HubStandIn) -> None:
    """What the table above changes is what its refusals come from."""
    hub_gates.replace(later(hours=-23))
    assert hub_gates.rely(NAME).summary is not None
    hub_gates.replace(later(seconds=30))
    # And whatever we do not know does not matter (in-toto, parsing rules).
    hub_gates.replace(predicate(**{"https://other.example/field": [1]}))
    assert hub_gates.rely(NAME).summary is not None
    assert weight_bytes(hub) == 0


def tampered(content: bytes) -> bytes:
    bundle = json.loads(content)
    stated = statement_of(content)
    later(seconds=-1)(stated)
    bundle["dsseEnvelope"]["payload"] = forge.b64(forge.encode(stated))
    return json.dumps(bundle).encode()


def twice_signed(content: bytes) -> bytes:
    bundle = json.loads(content)
    bundle["dsseEnvelope"]["signatures"] *= 2
    return json.dumps(bundle).encode()


def with_a_key_twice(content: bytes) -> bytes:
    payload = forge.encode(statement_of(content))
    twin = payload.replace(
        b'"verificationResult"', b'"verificationResult":"FAILED","verificationResult"'
    )
    return json.dumps(forge.key_bundle(twin, GATE)).encode()


SPOILED: dict[str, tuple[Callable[[bytes], bytes], ReasonCode]] = {
    "tampered with": (tampered, UNTRUSTED),
    "with two signatures": (twice_signed, MALFORMED),
    "with a key twice": (with_a_key_twice, MALFORMED),
    "huge": (lambda content: content + b" " * (16 * 1024 * 1024), MALFORMED),
    "empty": (lambda _: b"", MALFORMED),
    "a model's signature": (lambda _: MODEL["model.sig"], MALFORMED),
    "a bare statement": (lambda content: forge.encode(statement_of(content)), MALFORMED),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_file_does_not_count(hub_gates: Gates, hub: HubStandIn, name: str) -> None:
    spoil, code = SPOILED[name]
    file = hub_gates.the_file()
    file.write_bytes(spoil(file.read_bytes()))
    refused(hub_gates.rely(NAME), hub, code)


def test_no_summary_is_there(hub_gates: Gates, hub: HubStandIn, tmp_path: Path) -> None:
    verdict = hub_gates.rely(NAME, folder=str(tmp_path))
    refused(verdict, hub, ReasonCode.SUMMARY_UNAVAILABLE)
    hub.clear()
    file = hub_gates.the_file()
    file.unlink()
    models.write(file, {"x": b""})
    refused(hub_gates.rely(NAME), hub, ReasonCode.SUMMARY_UNAVAILABLE)


def test_a_single_file(hub_gates: Gates, hub: HubStandIn) -> None:
    """With the signature beside it."""
    weights = {"model.safetensors": models.FILES["model.safetensors"]}
    signature = models.signature(weights, PUBLISHER)
    hub.commit("acme/m", {"model.safetensors.sig": signature})
    name = f"{NAME}/model.safetensors"
    assert hub_gates.summarise(name).assurance is Assurance.BYTES
    hub.clear()
    verdict = hub_gates.rely(name)
    assert verdict.summary is not None
    assert verdict.warnings == ()
    assert weight_bytes(hub) == 0


def test_another_policy_is_asked_here(hub_gates: Gates, hub: HubStandIn) -> None:
    """Of this gate, which allows more than that one did."""
    (publisher,) = hub_gates.base["publishers"]
    changes = {"publishers": [{**publisher, "allow_unsigned": ["*.md"]}]}
    refused(hub_gates.rely(NAME, changes), hub, OTHER_POLICY)


def test_another_commit_needs_another_summary(hub_gates: Gates, hub: HubStandIn) -> None:
    hub.commit("acme/m", {".gitattributes": b"x"})
    refused(hub_gates.rely(NAME), hub, ReasonCode.SUMMARY_UNAVAILABLE)
    hub.clear()
    # Even under the name that would be looked for.
    refused(hub_gates.rely(NAME, folder=str(hub_gates.the_file())), hub, OTHER_MODEL)


def test_the_same_model_under_another_name_needs_another_summary(
    hub_gates: Gates, hub: HubStandIn
) -> None:
    hub.create("acme/copy", files=MODEL)
    verdict = hub_gates.rely("hf://acme/copy", folder=str(hub_gates.the_file()))
    refused(verdict, hub, OTHER_MODEL)


def test_the_first_that_counts_is_taken(hub_gates: Gates, hub: HubStandIn) -> None:
    place = str(hub_gates.summaries)
    strangers = {"verifier": "https://other.example/", "signers": [GATE_SIGNER], "folder": place}
    known = {"verifier": VERIFIER, "signers": [GATE_SIGNER], "folder": place}
    nowhere = {"verifier": "https://nowhere.example/", "signers": [GATE_SIGNER]}
    verdict = hub_gates._check(
        NAME, {"evidence": {"accept_summaries": [nowhere, strangers, known]}}
    )
    assert verdict.summary is not None
    assert verdict.summary.verifier == VERIFIER
    assert warned(verdict) == [UNTRUSTED]


def test_what_is_denied_here_stays_denied(hub_gates: Gates, hub: HubStandIn) -> None:
    verdict = hub_gates.rely(NAME, {"publishers": []})
    assert [reason.code for reason in verdict.reasons] == [ReasonCode.PUBLISHER_UNKNOWN]
    assert verdict.summary is None


def test_a_changed_declared_digest_denies(hub_gates: Gates, hub: HubStandIn) -> None:
    """A summary is about bytes; what the listing alone contradicts is denied before."""
    other = models.safetensors(256_000)[:-1] + b"\xff"
    hub.commit("acme/m", {"model.safetensors": other})
    verdict = hub_gates.rely(NAME, folder=str(hub_gates.the_file()))
    assert [reason.code for reason in verdict.reasons] == [ReasonCode.FILE_CHANGED]


def test_a_local_folder_can_be_changed_by_anybody(gates: Gates, tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", MODEL)
    assert gates.summarise(str(folder)).admitted
    verdict = gates.rely(str(folder))
    assert warned(verdict) == [ReasonCode.SUMMARY_MUTABLE]
    assert verdict.assurance is Assurance.BYTES
    assert verdict.summary is None


def test_no_renewal(hub_gates: Gates, tmp_path: Path) -> None:
    """What another gate says is not said again as what was hashed here."""
    hub = hub_gates
    accepted = {"verifier": VERIFIER, "signers": [GATE_SIGNER], "folder": str(hub.summaries)}
    second = tmp_path / "second"
    evidence = {
        "signer": hub.signer,
        "summaries": {"verifier": "https://second.example/", "folder": second},
        "accept_summaries": [accepted],
    }
    verdict = hub._check(NAME, {"evidence": evidence})
    assert verdict.summary is not None
    (file,) = second.iterdir()
    stated = statement_of(file.read_bytes())["predicate"]
    assert stated["verifiedLevels"] == ["OMS_DECLARED"]
    assert verdict.summary.sha256 in [
        one["digest"]["sha256"] for one in stated["inputAttestations"]
    ]
    # And so the second is no help to a third.
    third = hub.rely(NAME, verifier="https://second.example/", folder=str(file))
    assert warned(third) == [INSUFFICIENT]


def test_a_pull_hashes_all_the_same(hub_gates: Gates, hub: HubStandIn, tmp_path: Path) -> None:
    entry = {"verifier": VERIFIER, "signers": [GATE_SIGNER], "folder": str(hub_gates.summaries)}
    config = {**hub_gates.base, "evidence": {"accept_summaries": [entry]}}
    with Gate.from_config(GateConfig.model_validate(config)) as gate:
        verdict = gate.deliver(NAME, tmp_path / "pulled")
    assert verdict.assurance is Assurance.BYTES
    assert verdict.summary is None
    assert weight_bytes(hub) >= WEIGHTS


def test_who_tags_models_hashes_all_the_same(hub_gates: Gates, hub: HubStandIn) -> None:
    """The tag is for those who ask nobody else."""
    entry = {"verifier": VERIFIER, "signers": [GATE_SIGNER], "folder": str(hub_gates.summaries)}
    config = {**hub_gates.base, "evidence": {"accept_summaries": [entry]}}
    with Gate.from_config(GateConfig.model_validate(config)) as gate:
        examined = examine(gate, Reference.parse(NAME))
    assert examined.verdict.summary is None
    assert examined.vouched >= set(models.FILES)
    assert weight_bytes(hub) >= WEIGHTS


def test_an_opa_server_without_revisions_may_have_another_policy_by_now() -> None:
    place = "http://127.0.0.1:8181/v1/data/oms_gate/admission/decision"
    summary = Summary(VERIFIER, 0, NAME, "0", "server", place, frozenset(), frozenset(), "", ())
    with pytest.raises(EvidenceError, match="bundles with revisions"):
        check_policy(summary, PolicyUsed(engine="server", revision=place))
    named = replace(summary, policy="models@7")
    check_policy(named, PolicyUsed(engine="server", revision="models@7"))
    with pytest.raises(EvidenceError, match="'models@7'"):
        check_policy(named, PolicyUsed(engine="server", revision="models@8"))


def test_the_epoch_says_whose_summaries_count(gates: Gates) -> None:
    entry = {"verifier": VERIFIER, "signers": [GATE_SIGNER]}
    epochs = set()
    for accepted in ([], [entry], [{**entry, "max_age_seconds": 5}]):
        config = {**gates.base, "evidence": {"accept_summaries": accepted}}
        with Gate.from_config(GateConfig.model_validate(config)) as gate:
            epochs.add(gate.epoch)
    assert len(epochs) == 3


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"signers": [{"method": "key", "key": "other"}]}, "the key trust root 'other'"),
        ({"signers": []}, "at least 1"),
        (
            {
                "signers": [
                    {
                        "method": "sigstore",
                        "root": "public-good",
                        "issuer": "https://a.example",
                        "identity_pattern": ".*",
                    }
                ]
            },
            "no pattern",
        ),
        ({"verifier": "gate"}, "pattern"),
        ({"folder": "s3://a::b"}, "chains file systems"),
        ({"max_age_seconds": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant(gates: Gates, entry: Json, said: str) -> None:
    accepted = {"verifier": VERIFIER, "signers": [GATE_SIGNER], **entry}
    config = {**gates.base, "evidence": {"accept_summaries": [accepted]}}
    with pytest.raises(ValidationError, match=said):
        GateConfig.model_validate(config)


@pytest.mark.parametrize("versioned", [True, False])
def test_s3(s3: SeaweedFS, gates: Gates, versioned: bool) -> None:
    """Where objects have versions or declared digests; and the summaries are in S3, too."""
    bucket = s3.create_bucket(versioned=versioned)
    place = f"s3://{bucket}/acme/m"
    for path, content in MODEL.items():
        s3.put(bucket, f"acme/m/{path}", content, checksum=not versioned)
    base = {**gates.base, "stores": {"options": {"s3": s3.storage_options()}}}
    gates = Gates(base, gates.signer, gates.summaries)
    assert gates.summarise(place).admitted
    file = gates.the_file()
    s3.put(bucket, f"evidence/{file.name}", file.read_bytes())
    s3.clear()
    verdict = gates.rely(place, folder=f"s3://{bucket}/evidence/")
    assert verdict.admitted, verdict.reasons
    assert verdict.warnings == ()
    assert verdict.summary is not None
    assert verdict.assurance is (Assurance.SIGNATURE if versioned else Assurance.DECLARED)
    assert weight_bytes(s3) == 0
    # The same bytes again are another version, and another listing.
    if versioned:
        s3.put(bucket, "acme/m/README.md", MODEL["README.md"], checksum=False)
        verdict = gates.rely(place, folder=f"s3://{bucket}/evidence/{file.name}")
        refused(verdict, s3, OTHER_MODEL)


def test_s3_by_entity_tags_alone(s3: SeaweedFS, s3_bucket: str, gates: Gates) -> None:
    for path, content in MODEL.items():
        s3.put(s3_bucket, f"acme/m/{path}", content, checksum=False)
    base = {**gates.base, "stores": {"options": {"s3": s3.storage_options()}}}
    gates = Gates(base, gates.signer, gates.summaries)
    place = f"s3://{s3_bucket}/acme/m"
    assert gates.summarise(place).admitted
    s3.clear()
    refused(gates.rely(place), s3, ReasonCode.SUMMARY_MUTABLE)


def test_a_revision_is_made_of_the_digests_that_are_declared() -> None:
    """An entity tag may be an MD5, of which there are two contents for one."""

    def revision(sha256: str | None) -> str:
        file = StoredFile("w", 1, sha256=sha256, version="the MD5 of both")
        reference = Reference.parse("s3://bucket/m")
        return Snapshot(reference, {"w": file}, False, lambda *_: iter(())).revision

    assert len({revision(None), revision("0" * 64), revision("1" * 64)}) == 3
