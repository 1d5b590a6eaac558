"""The summaries that a gate makes: what they state, who can verify them, when there are none."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from pydantic import ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import EvidenceError
from oms_gate.evidence import summary as summaries
from oms_gate.evidence.summary import EXTENSION, PREDICATE_TYPE, Summary, proven, read_summary
from oms_gate.oms.attestation import VerifiedAttestation
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Signer, TrustRoot
from tests import attesting, models
from tests.commands import oms_gate
from tests.evidence.summarising import (
    GATE,
    GATE_SIGNER,
    LIMITS,
    MODEL,
    PUBLISHER,
    SIGNATURE,
    STRANGER,
    VERIFIER,
    Gates,
    statement_of,
)
from tests.oms.forge import Json, encode
from tests.peers.hub import HubStandIn
from tests.sigstore.server import SigstoreServer

UNWRITTEN = [ReasonCode.EVIDENCE_UNWRITTEN]


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates.at(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(models.write(tmp_path / "m", MODEL))


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def gate(gates: Gates, **changes: Any) -> Gate:
    """The first gate, for what else it does than to check."""
    made = {"verifier": VERIFIER, "folder": gates.summaries}
    evidence = {"signer": gates.signer, "summaries": made}
    return Gate.from_config(
        GateConfig.model_validate({**gates.base, "evidence": evidence, **changes})
    )


def test_what_a_summary_states(gates: Gates, model: str) -> None:
    verdict = gates.summarise(model)
    stated = statement_of(gates.the_file().read_bytes())
    assert set(stated) == {"_type", "subject", "predicateType", "predicate"}
    root, *files = stated["subject"]
    assert root == {
        "name": verdict.model.url,
        "digest": {"sha256": attesting.root_digest(SIGNATURE)},
    }
    assert {one["name"]: one["digest"] for one in files} == {
        path: {"sha256": attesting.sha256(content)} for path, content in models.FILES.items()
    }
    predicate = stated["predicate"]
    assert verdict.policy is not None
    assert verdict.signer is not None
    own = predicate.pop(EXTENSION)
    assert own.pop("signer")["key_sha256"] == verdict.signer.key_sha256
    assert own == {
        "revision": verdict.model.revision,
        "policy": {"engine": "wasm", "revision": verdict.policy.revision},
    }
    time = datetime.fromisoformat(predicate.pop("timeVerified"))
    assert time == verdict.checked_at
    assert time.tzinfo == UTC
    assert predicate == {
        "verifier": {"id": VERIFIER, "version": {"oms-gate": verdict.gate_version}},
        "resourceUri": verdict.model.url,
        "policy": {
            "uri": f"urn:oms-gate:policy:{verdict.policy.revision}",
            "digest": {"sha256": verdict.policy.revision.removeprefix("sha256:")},
        },
        "inputAttestations": [
            {
                "uri": f"{verdict.model.url}/model.sig",
                "digest": {"sha256": attesting.sha256(SIGNATURE)},
            }
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": ["OMS_BYTES"],
        "slsaVersion": "1.1",
    }


def test_in_toto_reads_it(gates: Gates, model: str) -> None:
    """By the published Protobuf types of the statement and of the predicate."""
    gates.summarise(model, policy_uri="https://policy.example.com/models")
    bundle = json.loads(gates.the_file().read_bytes())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    found = json_format.Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    assert found.predicate_type == PREDICATE_TYPE
    for subject in found.subject:
        ResourceDescriptor.copy_from_pb(subject).validate()
    stated = json_format.MessageToDict(found.predicate)
    # A list by the specification, and one text by this type.
    assert stated.pop("verifiedLevels") == ["OMS_BYTES"]
    predicate = json_format.ParseDict(
        stated,
        VerificationSummary(),
        ignore_unknown_fields=True,  # As its parsing rules demand.
    )
    assert predicate.verifier.id == VERIFIER
    assert predicate.verification_result == "PASSED"
    assert predicate.policy.uri == "https://policy.example.com/models"
    assert set(predicate.policy.digest) == {"sha256"}
    assert predicate.input_attestations[0].digest["sha256"] == attesting.sha256(SIGNATURE)


def test_securesystemslib_verifies_it(gates: Gates, model: str) -> None:
    """The envelope, with the gate's public key and no other."""
    gates.summarise(model)

    def verified_by(key: Any, **changes: str) -> bytes:
        envelope = json.loads(gates.the_file().read_bytes())["dsseEnvelope"] | changes
        # They match keys and signatures by a name, which DSSE leaves open and we leave out.
        envelope["signatures"][0]["keyid"] = "gate"
        parsed = Envelope.from_dict(envelope)
        parsed.verify([SSlibKey.from_crypto(key.public_key(), keyid="gate")], threshold=1)
        return parsed.payload

    assert json.loads(verified_by(GATE))["predicateType"] == PREDICATE_TYPE
    with pytest.raises(VerificationError):
        verified_by(STRANGER)
    with pytest.raises(VerificationError):
        verified_by(GATE, payload=base64.b64encode(encode(statement_of(SIGNATURE))).decode())


def test_sigstore_verifies_one_by_an_identity(
    gates: Gates, hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a gate relies on it that expects this identity, and on no other."""
    identity = "https://ci.example.com/gate"
    hub.create("acme/m", files=MODEL)
    with SigstoreServer() as server:
        root, config = tmp_path / "trusted_root.json", tmp_path / "signing_config.json"
        root.write_bytes(encode(server.sigstore.trusted_root()))
        config.write_bytes(encode(server.signing_config([1])))
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", server.identity_token(identity))
        signer = {"sigstore": "private", "trusted_root": root, "signing_config": config}
        trust = {**gates.base["trust"], "sigstore": {"private": root}}
        stores = {"options": {"hf": {"endpoint": hub.endpoint}}}
        gates = Gates({**gates.base, "trust": trust, "stores": stores}, signer, gates.summaries)
        assert gates.summarise("hf://acme/m").admitted
        content = gates.the_file().read_bytes()
        policy = Identity(identity=identity, issuer=server.url)
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
        kind, payload = verifier.verify_dsse(Bundle.from_json(content), policy)
        assert kind == "application/vnd.in-toto+json"
        assert json.loads(payload) == statement_of(content)
        known = {"method": "sigstore", "root": "private", "issuer": server.url}
        verdict = gates.rely("hf://acme/m", signers=[{**known, "identity": identity}])
        assert verdict.summary is not None
        assert verdict.summary.signer.identity == identity
        other = gates.rely("hf://acme/m", signers=[{**known, "identity": f"{identity}s"}])
        assert other.summary is None
        assert [one.code for one in other.warnings] == [ReasonCode.SUMMARY_UNTRUSTED]


@pytest.mark.parametrize(
    ("options", "names"),
    [({"hash_type": "blake2b"}, {"blake2b"}), ({"shard_size": 100_000}, set())],
)
def test_subjects_by_other_hash_functions(
    gates: Gates, tmp_path: Path, options: Json, names: set[str]
) -> None:
    signature = models.signature(models.FILES, PUBLISHER, **options)
    model = models.write(tmp_path / "m", {**models.FILES, "model.sig": signature})
    gates.summarise(str(model))
    _, *files = statement_of(gates.the_file().read_bytes())["subject"]
    assert {name for one in files for name in one["digest"]} == names
    assert len(files) == (len(models.FILES) if names else 0)


def test_of_many_files_the_root_digest_speaks(
    gates: Gates, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "MOST_FILES", len(models.FILES) - 1)
    gates.summarise(model)
    assert len(statement_of(gates.the_file().read_bytes())["subject"]) == 1


def test_attestations_are_among_the_inputs(gates: Gates, model: str) -> None:
    content = attesting.signed(attesting.statement([attesting.root_digest(SIGNATURE)]), GATE)
    models.write(Path(model), {"a.intoto.jsonl": content})
    verdict = gates.summarise(model, {"attestations": {"provenance": "*.intoto.jsonl"}})
    assert verdict.admitted, verdict.reasons
    _, attestation = statement_of(gates.the_file().read_bytes())["predicate"]["inputAttestations"]
    assert attestation == {
        "uri": f"{verdict.model.url}/a.intoto.jsonl",
        "digest": {"sha256": attesting.sha256(content)},
    }


def test_each_level_has_a_file_of_its_own(gates: Gates, model: str) -> None:
    """A mere admission to load does not take the place of what was hashed."""
    gates.summarise(model)
    before = gates.the_file("bytes").read_bytes()
    with gate(gates) as first:
        first.admit(model).snapshot.close()
    assert gates.the_file("bytes").read_bytes() == before
    stated = statement_of(gates.the_file("signature").read_bytes())
    assert stated["predicate"]["verifiedLevels"] == ["OMS_SIGNATURE"]
    # The newest takes the place of the one before.
    gates.summarise(model)
    assert gates.the_file("bytes").read_bytes() != before


def test_only_from_the_least_assurance_on(gates: Gates, model: str) -> None:
    assert gates.summarise(model, {"assurance": "signature"}, assurance="declared").admitted
    assert gates.files() == []
    assert gates.summarise(model, assurance="declared").admitted
    assert len(gates.files()) == 1


def test_some_of_the_files_are_not_all_of_the_bytes(
    gates: Gates, model: str, tmp_path: Path
) -> None:
    with gate(gates) as first:
        verdict = first.deliver(model, tmp_path / "some", include=["*.json"])
        assert verdict.assurance is Assurance.BYTES
        assert [file.name.split(".")[1] for file in gates.files()] == ["signature"]
        first.deliver(model, tmp_path / "all")
    assert len(gates.files("bytes")) == 1


def test_a_file_that_is_missing_was_not_hashed(gates: Gates, model: str) -> None:
    """Whatever policy admits that: the root digest stands for all of the files."""
    verdict = gates.summarise(model)
    assert proven(verdict) is Assurance.BYTES
    assert verdict.coverage is not None
    less = verdict.coverage.model_copy(update={"missing": ("config.json",)})
    assert proven(verdict.model_copy(update={"coverage": less})) is Assurance.SIGNATURE


def test_nothing_is_summarised_that_was_not_admitted_here(
    gates: Gates, model: str, tmp_path: Path
) -> None:
    nobody: Json = {"publishers": [], "mode": "annotate"}
    verdict = gates.summarise(model, nobody)
    assert not verdict.admitted
    assert verdict.lets_through
    with gate(gates, publishers=[]) as nobodys:
        # Although every byte is as it was signed.
        denied = nobodys.check(model, report_all=True)
    assert denied.assurance is Assurance.BYTES
    assert proven(denied) is None
    with gate(gates) as first:
        pinned = first.deliver(
            model, tmp_path / "pulled", pinned_signature=attesting.sha256(SIGNATURE)
        )
    assert pinned.admitted
    models.write(Path(model), {"config.json": b"{}"})
    assert not gates.summarise(model).admitted
    assert gates.files() == []


@pytest.mark.parametrize("unwritten", ["deny", "warn"])
@pytest.mark.parametrize("what", ["folder", "key"])
def test_what_cannot_be_kept(gates: Gates, model: str, unwritten: str, what: str) -> None:
    made = {"verifier": VERIFIER, "folder": gates.summaries, "unwritten": unwritten}
    with gate(gates, evidence={"signer": gates.signer, "summaries": made}) as first:
        if what == "folder":
            gates.summaries.write_bytes(b"a file")
        else:
            Path(gates.signer["key"]).unlink()
        verdict = first.check(model)
    told = verdict.reasons if unwritten == "deny" else verdict.warnings
    assert [one.code for one in told] == UNWRITTEN
    assert ("let the gate's user write there" in told[0].message) == (what == "folder")
    assert verdict.admitted == (unwritten == "warn")
    assert verdict.undecided == (unwritten == "deny")


def test_a_link_in_the_way_is_not_followed(gates: Gates, model: str, tmp_path: Path) -> None:
    gates.summarise(model)
    file = gates.the_file()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert codes(gates.summarise(model)) == UNWRITTEN
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_log_could_not_keep_is_not_summarised(
    gates: Gates, model: str, tmp_path: Path
) -> None:
    made = {"verifier": VERIFIER, "folder": gates.summaries}
    log = {"file": tmp_path}  # A folder, which nobody can append to.
    evidence = {"signer": gates.signer, "summaries": made, "audit_log": log}
    verdict = gates.summarise(model, {"evidence": evidence})
    assert codes(verdict) == UNWRITTEN
    assert gates.files() == []


def test_the_log_has_the_verdict_that_is_given(gates: Gates, model: str, tmp_path: Path) -> None:
    gates.summaries.write_bytes(b"a file")
    made = {"verifier": VERIFIER, "folder": gates.summaries}
    log = tmp_path / "audit.jsonl"
    evidence = {"signer": gates.signer, "summaries": made, "audit_log": {"file": log}}
    assert codes(gates.summarise(model, {"evidence": evidence})) == UNWRITTEN
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    told = [one["verdict"]["outcome"] for one in entries if one["kind"] == "verdict"]
    assert told == ["admitted", "denied"]


def test_summaries_need_a_signer(gates: Gates) -> None:
    evidence = {"summaries": {"verifier": VERIFIER, "folder": "x"}}
    with pytest.raises(ValidationError, match="under 'signer'"):
        GateConfig.model_validate({**gates.base, "evidence": evidence})


def test_paths_start_at_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(
        "trust: {keys: {gate: gate.pub}}\n"
        "evidence:\n"
        "  signer: {key: gate.key}\n"
        f"  summaries: {{verifier: '{VERIFIER}', folder: out}}\n"
        "  accept_summaries:\n"
        f"    - {{verifier: '{VERIFIER}', signers: [{{method: key, key: gate}}], folder: in/}}\n"
        f"    - {{verifier: '{VERIFIER}', signers: [{{method: key, key: gate}}],"
        " folder: 's3://a/b'}\n"
    )
    evidence = load_config(tmp_path / "gate.yaml").evidence
    assert evidence.summaries is not None
    assert evidence.summaries.folder == tmp_path / "out"
    assert [one.folder for one in evidence.accept_summaries] == [str(tmp_path / "in"), "s3://a/b"]


def test_the_command(gates: Gates, hub: HubStandIn, tmp_path: Path) -> None:
    """One gate writes a summary to a file, and another relies on it."""
    hub.create("acme/m", files=MODEL)
    config = json.dumps(
        {
            **gates.base,
            "stores": {"options": {"hf": {"endpoint": hub.endpoint}}},
            "limits": LIMITS,
            "evidence": {
                "signer": gates.signer,
                "summaries": {"verifier": VERIFIER, "folder": str(tmp_path / "unused")},
                "accept_summaries": [{"verifier": VERIFIER, "signers": [GATE_SIGNER]}],
            },
        },
        default=str,
    )
    (tmp_path / "gate.yaml").write_text(config)
    verify = ("verify", "hf://acme/m", "--config", tmp_path / "gate.yaml")
    file = tmp_path / "m.vsa.json"
    made = oms_gate(*verify, "--vsa", file)
    assert made.returncode == 0, made.stderr
    assert "relied on" not in made.stdout
    assert statement_of(file.read_bytes())["predicate"]["verifiedLevels"] == ["OMS_BYTES"]
    assert not (tmp_path / "unused").exists()
    accepted = oms_gate(*verify, "--accept-vsa", file)
    assert accepted.returncode == 0, accepted.stderr
    assert f"relied on {VERIFIER}, which hashed every signed byte at 20" in accepted.stdout
    assert "key 'gate'" in accepted.stdout
    assert "assurance declared" in accepted.stdout
    again = oms_gate(*verify, "--vsa", file)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    lower = oms_gate(*verify, "--vsa", tmp_path / "low.json", "--assurance", "signature")
    assert lower.returncode == 0
    stated = statement_of((tmp_path / "low.json").read_bytes())
    assert stated["predicate"]["verifiedLevels"] == ["OMS_SIGNATURE"]
    nothing = oms_gate(*verify, "--accept-vsa", tmp_path)
    assert nothing.returncode == 0
    assert "[summary.unavailable]" in nothing.stdout
    assert "assurance bytes" in nothing.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--vsa", "x.json"], "evidence: {signer"),
        (["--accept-vsa", "x.json"], "evidence: {accept_summaries"),
    ],
)
def test_the_command_needs_a_configuration(
    gates: Gates, model: str, tmp_path: Path, options: list[str], said: str
) -> None:
    public = gates.base["trust"]["keys"]["acme"]
    done = oms_gate("verify", model, "--public-key", public, *options)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_the_command_writes_one_file(gates: Gates, model: str, tmp_path: Path) -> None:
    made = {"verifier": VERIFIER, "folder": "out"}
    config = {**gates.base, "evidence": {"signer": gates.signer, "summaries": made}}
    (tmp_path / "gate.yaml").write_text(json.dumps(config, default=str))
    done = oms_gate("verify", model, "--config", tmp_path / "gate.yaml", "--vsa", tmp_path / "out")
    assert done.returncode == 2
    assert ".json" in done.stderr


SIGNER = Signer(
    method="key", identity="sha256:00", key_sha256="00", root=TrustRoot(name="gate", sha256="00")
)
VALID: Json = {
    "verifier": {"id": VERIFIER},
    "timeVerified": "2026-01-01T00:00:00Z",
    "resourceUri": "hf://acme/m@0",
    "policy": {"uri": "urn:x"},
    "inputAttestations": [{"uri": "x", "digest": {"sha256": "00" * 32}}],
    "verificationResult": "PASSED",
    "verifiedLevels": ["OMS_BYTES"],
    EXTENSION: {"revision": "0", "policy": {"engine": "wasm", "revision": "sha256:00"}},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def attested(predicate: Json) -> VerifiedAttestation:
    return VerifiedAttestation(SIGNER, PREDICATE_TYPE, predicate, frozenset(), (), None)


@given(st.data(), VALUES)
def test_any_predicate_is_read_or_refused(data: st.DataObject, value: object) -> None:
    """Whatever takes the place of a part of one: never anything but a typed refusal."""
    predicate = json.loads(json.dumps(VALID))
    holder: Any = predicate
    while True:
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(holder[key], (dict, list)) or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = value
    try:
        found = read_summary(attested(predicate))
    except EvidenceError as error:
        assert error.reason.code is ReasonCode.SUMMARY_MALFORMED
        return
    assert isinstance(found, Summary)
    assert all(isinstance(level, str) for level in found.levels)
    assert abs(found.time) < timedelta.max.total_seconds()


@given(st.dictionaries(st.sampled_from([*VALID, "x"]), VALUES))
def test_strange_predicates_are_refused(predicate: Json) -> None:
    with pytest.raises(EvidenceError, match="the predicate"):
        read_summary(attested(predicate))
