"""Whatever the gate decides is written down before anybody hears of it; or is not decided so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, Gate
from oms_gate.cache import Cache
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import ConfigError, UsageError
from oms_gate.evidence.evidence import Evidence
from oms_gate.evidence.reading import entries
from oms_gate.publish import upload_folder
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signing.keys import generate_key, write_key_pair
from oms_gate.verdict import VERDICT_FILE, Verdict
from tests import models
from tests.commands import oms_gate
from tests.evidence.logs import GateKey, lines_of, whole
from tests.peers.hub import HubStandIn

KEY: ec.EllipticCurvePrivateKey = models.new_key()
SIGNED: Mapping[str, bytes] = {**models.FILES, "model.sig": models.signature(models.FILES, KEY)}


@pytest.fixture
def settings(tmp_path: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A gate that trusts one key, and writes an audit log."""
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(KEY))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return {
        "stores": {"private_hosts": ["localhost"]},
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["/**", "hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "evidence": {"audit_log": {"file": tmp_path / "audit.jsonl", "sync": "never"}},
    }


def gate_of(settings: Mapping[str, Any], **evidence: Any) -> Gate:
    log = settings["evidence"]["audit_log"] | evidence
    return Gate.from_config(GateConfig.model_validate({**settings, "evidence": {"audit_log": log}}))


def model(folder: Path, files: Mapping[str, bytes] = SIGNED) -> Path:
    return models.write(folder / "model", files)


def verdicts(tmp_path: Path) -> list[tuple[str | None, str, list[str]]]:
    """Of each verdict that was written: what for, the outcome, and the reasons."""
    whole(tmp_path / "audit.jsonl")
    return [
        (entry.operation, entry.verdict.outcome, [reason.code for reason in entry.verdict.reasons])
        for _, entry in entries(tmp_path / "audit.jsonl")
        if entry.verdict is not None
    ]


def test_what_is_written_is_the_verdict_that_was_given(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with gate_of(settings) as gate:
        given = [gate.check(model(tmp_path)), gate.check(tmp_path / "nowhere")]
    lines = lines_of(tmp_path / "audit.jsonl")
    assert [Verdict.model_validate(line["verdict"]) for line in lines[1:]] == given
    assert verdicts(tmp_path) == [
        ("verify", "admitted", []),
        ("verify", "denied", ["store.not-found"]),
    ]


def test_each_way_to_a_verdict_leaves_one_line(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = model(tmp_path)
    with gate_of(settings) as gate:
        gate.check(folder, context={"operation": "admit", "namespace": "prod"})
        gate.admit(folder).snapshot.close()
        gate.pull(folder, tmp_path / "pulled")
        with pytest.raises(AdmissionDenied):
            gate.pull(model(tmp_path / "unsigned", models.FILES), tmp_path / "no")
        upload_folder(repo_id="acme/model", folder_path=folder, gate=gate)
    assert verdicts(tmp_path) == [
        ("admit", "admitted", []),
        ("load", "admitted", []),
        ("pull", "admitted", []),
        ("pull", "denied", ["signature.missing"]),
        ("publish", "admitted", []),
    ]
    lines = lines_of(tmp_path / "audit.jsonl")
    assert lines[1]["context"] == {"namespace": "prod"}
    assert lines[3]["verdict"] == json.loads((tmp_path / "pulled" / VERDICT_FILE).read_text())


def test_what_is_found_before_publishing_is_in_the_line(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    write_key_pair(tmp_path / "x.key", tmp_path / "x.pub", generate_key("P-256"), None)
    files = {**models.FILES, "notes.txt": (tmp_path / "x.key").read_bytes()}
    folder = model(tmp_path, {**files, "model.sig": models.signature(files, KEY)})
    with gate_of(settings) as gate, pytest.raises(AdmissionDenied):
        upload_folder(repo_id="acme/model", folder_path=folder, gate=gate)
    assert verdicts(tmp_path) == [("publish", "denied", ["publish.secret"])]


def test_what_turns_out_wrong_as_it_is_read_is_another_line(
    settings: dict[str, Any], tmp_path: Path, hub: HubStandIn
) -> None:
    hub.create("acme/model", files=SIGNED)
    spoilt = models.FILES["model.safetensors"][:-1] + b"\xff"
    hub.replace_under_commit("acme/model", "model.safetensors", spoilt)
    with gate_of(settings) as gate, Cache(gate, tmp_path / "cache") as cache:
        cached = cache.model(Reference.parse("hf://acme/model"))
        with pytest.raises(AdmissionDenied):
            cached.open("model.safetensors")
    assert verdicts(tmp_path) == [
        ("load", "admitted", []),
        ("load", "denied", ["file.changed"]),
    ]
    assert lines_of(tmp_path / "audit.jsonl")[2]["amends"] == 2


def test_a_verdict_that_cannot_be_written_is_a_denial(
    settings: dict[str, Any], tmp_path: Path, hub: HubStandIn
) -> None:
    with gate_of(settings, file=tmp_path / "acme.pub" / "audit.jsonl") as gate:
        verdict = gate.check(model(tmp_path))
        assert verdict.undecided
        assert [reason.code for reason in verdict.reasons] == [ReasonCode.EVIDENCE_UNWRITTEN]
        assert "cannot be written (Not a directory)" in verdict.reasons[0].message
        with pytest.raises(AdmissionDenied, match=r"evidence\.unwritten"):
            gate.admit(tmp_path / "model")
        with pytest.raises(AdmissionDenied, match=r"evidence\.unwritten"):
            gate.pull(tmp_path / "model", tmp_path / "pulled")
        with pytest.raises(AdmissionDenied, match=r"evidence\.unwritten"):
            upload_folder(repo_id="acme/model", folder_path=tmp_path / "model", gate=gate)
    assert not (tmp_path / "pulled").exists()
    assert not hub.state.repositories


def test_or_a_warning_where_the_operator_wants_it_so(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "acme.pub" / "audit.jsonl"
    with gate_of(settings, file=nowhere, unwritten="warn") as gate:
        verdict = gate.check(model(tmp_path))
        gate.pull(tmp_path / "model", tmp_path / "pulled")
        denied = gate.check(tmp_path / "nothing")
    assert verdict.admitted
    assert [warning.code for warning in verdict.warnings] == [ReasonCode.EVIDENCE_UNWRITTEN]
    assert "was not kept" in caplog.text
    given = json.loads((tmp_path / "pulled" / VERDICT_FILE).read_text())
    assert [warning["code"] for warning in given["warnings"]] == ["evidence.unwritten"]
    assert [reason.code for reason in denied.reasons] == [ReasonCode.STORE_NOT_FOUND]


@pytest.mark.parametrize("unwritten", ["deny", "warn"])
def test_what_a_receiver_does_not_take_is_in_the_file_as_it_was_given(
    settings: dict[str, Any], tmp_path: Path, unwritten: str
) -> None:
    """The line was there before; the last one is the one that counts."""
    syslog = {"address": "tcp://127.0.0.1:9"}
    with gate_of(settings, syslog=syslog, unwritten=unwritten) as gate:
        given = gate.check(model(tmp_path))
    lines = lines_of(tmp_path / "audit.jsonl")
    assert [line["kind"] for line in lines] == ["start", "verdict", "verdict"]
    assert Verdict.model_validate(lines[-1]["verdict"]) == given
    assert [line.get("amends") for line in lines] == [None, None, 2]
    assert given.admitted == (unwritten == "warn")


def test_a_denial_that_cannot_be_written_says_so_as_well(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with gate_of(settings, file=tmp_path / "acme.pub" / "audit.jsonl") as gate:
        verdict = gate.check(model(tmp_path, models.FILES))
    assert [reason.code for reason in verdict.reasons] == [
        ReasonCode.SIGNATURE_MISSING,
        ReasonCode.EVIDENCE_UNWRITTEN,
    ]
    assert not verdict.undecided


def test_a_denied_model_that_is_let_through_is_written_as_denied(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = model(tmp_path, models.FILES)
    with gate_of({**settings, "mode": "annotate"}) as gate:
        gate.pull(folder, tmp_path / "pulled")
    (line,) = lines_of(tmp_path / "audit.jsonl")[1:]
    assert (line["verdict"]["outcome"], line["verdict"]["mode"]) == ("denied", "annotate")


def test_a_pull_that_fails_in_the_end_leaves_a_line_that_says_so(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of its admission was there before, as nobody knew that it would."""
    folder = model(tmp_path)
    target = tmp_path / "pulled"
    with gate_of(settings) as gate:
        # Somebody makes the folder after the last look at it.
        keep = gate.evidence.keep  # type: ignore[union-attr]

        def late(verdict: Verdict, *rest: Any) -> Verdict:
            if verdict.admitted:
                models.write(target, {"IMPORTANT": b"x"})
            return keep(verdict, *rest)

        monkeypatch.setattr(gate.evidence, "keep", late)
        with pytest.raises(UsageError, match="holds IMPORTANT"):
            gate.deliver(folder, target)
    assert [outcome for _, outcome, _ in verdicts(tmp_path)] == ["admitted", "denied"]
    assert [line.get("amends") for line in lines_of(tmp_path / "audit.jsonl")] == [None, None, 2]
    assert [path.name for path in target.iterdir()] == ["IMPORTANT"]


def test_the_configuration_names_files_by_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(
        "evidence:\n"
        "  signer: {key: gate.key, certificate: gate.pem, certificate_chain: [ca.pem]}\n"
        "  audit_log: {file: audit.jsonl}\n"
    )
    found = load_config(tmp_path / "gate.yaml").evidence
    assert found.signer is not None
    assert found.audit_log is not None
    assert found.signer.key == str(tmp_path / "gate.key")
    assert found.signer.certificate == tmp_path / "gate.pem"
    assert found.signer.certificate_chain == (tmp_path / "ca.pem",)
    assert found.audit_log.file == tmp_path / "audit.jsonl"
    (tmp_path / "gate.yaml").write_text(
        "evidence: {signer: {key: 'pkcs11:token=x', certificate: token}}\n"
    )
    found = load_config(tmp_path / "gate.yaml").evidence
    assert found.signer is not None
    assert (found.signer.key, found.signer.certificate) == ("pkcs11:token=x", "token")
    (tmp_path / "gate.yaml").write_text("evidence: {signer: {key: 'PKCS11:token=x'}}\n")
    found = load_config(tmp_path / "gate.yaml").evidence
    assert found.signer is not None
    assert found.signer.key == "PKCS11:token=x"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("signer: {}", "give one of 'key' and 'sigstore'"),
        ("signer: {key: a, sigstore: public}", "give one of 'key' and 'sigstore'"),
        ("signer: {sigstore: public, certificate: a}", "has a key, certificate and timestamps"),
        ("signer: {key: a, certificate_chain: [b]}", "follows 'certificate'"),
        ("signer: {sigstore: private, trusted_root: a}", "and no other, has 'trusted_root'"),
        ("signer: {sigstore: public, signing_config: a}", "and no other, has 'trusted_root'"),
        ("audit_log: {}", "name where it goes"),
        ("audit_log: {file: a, sync: often}", "'always' or 'never'"),
        ("audit_log: {syslog: {address: 'http://x:1'}}", "pattern"),
        ("audit_log: {fil: a}", "did you mean 'file'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, section: str, says: str) -> None:
    (tmp_path / "gate.yaml").write_text(f"evidence:\n  {section}\n")
    with pytest.raises(ConfigError, match=says):
        load_config(tmp_path / "gate.yaml")


def test_the_command_says_whether_a_log_is_whole(settings: dict[str, Any], tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    with gate_of(settings) as gate:
        gate.check(model(tmp_path))
    config = tmp_path / "gate.yaml"
    config.write_text("evidence: {signer: {key: gate.key}, audit_log: {file: audit.jsonl}}\n")
    log = tmp_path / "audit.jsonl"
    assert oms_gate("audit-log", "verify", "-c", config).returncode == 1  # Nothing is signed.
    plain = oms_gate("audit-log", "verify", log)
    assert plain.returncode == 0, plain.stderr
    assert "not looked at" in plain.stdout
    signed = oms_gate("audit-log", "checkpoint", "-c", config)
    assert signed.stdout.startswith("signed up to line 2: ")
    for options in (("-c", config), (log, "--public-key", key.public)):
        done = oms_gate("audit-log", "verify", *options)
        assert done.returncode == 0, done.stdout
        assert "up to line 2, at " in done.stdout
    head = json.loads(oms_gate("audit-log", "verify", log, "--json").stdout)["last_hash"]
    assert oms_gate("audit-log", "verify", log, "--head", head.upper(), "-q").returncode == 0
    assert oms_gate("audit-log", "verify", log, "--head", head[::-1], "-q").returncode == 1
    log.write_bytes(log.read_bytes().replace(b'"admitted"', b'"denied"'))
    done = oms_gate("audit-log", "verify", "-c", config, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"][0]["line"] == 2
    done = oms_gate("audit-log", "verify", log)
    assert "audit.jsonl:2: line 2 of the log was changed" in done.stdout


def test_a_pull_of_what_was_decided_elsewhere_is_written_as_well(tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text("evidence: {audit_log: {file: audit.jsonl}}\n")
    pin = hashlib.sha256(SIGNED["model.sig"]).hexdigest()
    command = ["pull", model(tmp_path), tmp_path / "to", "-c", config, "--pinned-signature", pin]
    done = oms_gate(*command)
    assert done.returncode == 0, done.stderr
    assert verdicts(tmp_path) == [("pull", "admitted", [])]


def test_a_gate_without_its_key_does_not_begin(settings: dict[str, Any], tmp_path: Path) -> None:
    """Else nobody would notice before a checkpoint is due."""
    signer = {"key": str(tmp_path / "nothere.key")}
    evidence = settings["evidence"] | {"signer": signer}
    with pytest.raises(ConfigError, match=r"nothere\.key cannot be read"):
        Gate.from_config(GateConfig.model_validate(settings | {"evidence": evidence}))


def test_evidence_is_closed_by_whoever_made_it(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of gates that share it, one may end before the others."""
    closed = []
    monkeypatch.setattr(Evidence, "close", lambda self: closed.append(self))
    gate = gate_of(settings)
    shared = Gate(trust=gate.trust, policy=gate.policy, evidence=gate.evidence)
    shared.close()
    assert closed == []
    gate.close()
    assert closed == [gate.evidence]


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    cases: dict[str, tuple[list[object], str]] = {
        "{}": (["verify", "-c", config], "writes no audit log"),
        "evidence: {audit_log: {file: a}}": (["checkpoint", "-c", config], "nothing to sign with"),
        "evidence: {signer: {sigstore: public}, audit_log: {file: a}}": (
            ["verify", "-c", config],
            "say by which identity",
        ),
    }
    for text, (command, says) in cases.items():
        config.write_text(text)
        done = oms_gate("audit-log", *command)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    lacking: list[tuple[list[object], str]] = [
        (["verify"], "where the audit log is"),
        (["verify", tmp_path / "none.jsonl"], "there is no audit log"),
        (["verify", config, "--json", "--quiet"], "give one of them"),
        (["verify", config, "--issuer", "https://x"], "belong together"),
        (["verify", config, "--head", "66b65503b4a2..."], "64 hexadecimal digits"),
    ]
    for command, says in lacking:
        done = oms_gate("audit-log", *command)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
