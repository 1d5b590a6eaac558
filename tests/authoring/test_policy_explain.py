"""Why a model is denied, by which lines, and what would admit it: shown to be so by doing it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import ROOT, oms_gate
from tests.oms import forge
from tests.policy.opa_process import run_opa
from tests.sigstore.instance import Sigstore


def by_key(folder: Path) -> tuple[bytes, dict[str, Any]]:
    key = models.new_key()
    (folder / "key.pub").write_bytes(models.public_pem(key))
    return models.signature(forge.FILES, key), {"keys": {"theirs": "key.pub"}}


def by_certificate(folder: Path, **differences: Any) -> tuple[bytes, dict[str, Any]]:
    now = datetime.now(UTC)
    validity: dict[str, Any] = {"start": now - timedelta(days=1), "end": now + timedelta(days=1)}
    root = forge.issue("Root CA", **validity)
    leaf = forge.issue_leaf("Publisher", root, **validity, **differences)
    (folder / "root.pem").write_bytes(root.pem)
    return forge.certified(leaf), {"certificates": {"ca": "root.pem"}}


def by_sigstore(folder: Path) -> tuple[bytes, dict[str, Any]]:
    instance = Sigstore()
    bundle = instance.sign(forge.encode(forge.statement()))
    (folder / "root.json").write_bytes(forge.encode(instance.trusted_root()))
    return forge.encode(bundle), {"sigstore": {"private": "root.json"}}


def written(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "gate.yaml"
    path.write_text(json.dumps(config, default=str))  # It is YAML too.
    return path


def with_change(config: dict[str, Any], change: str) -> dict[str, Any]:
    """As a person would copy it."""
    made: dict[str, Any] = json.loads(json.dumps(config))
    fragment = yaml.safe_load(change)
    for rule in fragment.get("publishers", ()):
        there = [one for one in made.setdefault("publishers", []) if one["name"] == rule["name"]]
        if there:
            for key in rule.keys() - {"name"}:
                there[0][key] = [*there[0].get(key, ()), *rule[key]]
        else:
            made["publishers"].append(rule)
    for exception in fragment.get("exceptions", ()):
        assert [key for key, value in exception.items() if value is None] == [
            "owner",
            "reason",
            "expires",
        ]
        until = (datetime.now(UTC) + timedelta(days=1)).date()
        filled = {"owner": "me", "reason": "because", "expires": until}
        made.setdefault("exceptions", []).append({**exception, **filled})
    return made


def explained(model: Path, config: Path, **environment: str) -> dict[str, Any]:
    result = oms_gate("policy", "explain", model, "--config", config, "--json", **environment)
    assert result.stdout, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == bool(told["reasons"])
    return told


@pytest.mark.parametrize(
    ("sign", "rule"),
    [(by_key, "none"), (by_key, "another"), (by_certificate, "none"), (by_sigstore, "another")],
)
def test_the_change_admits_the_model_of_each_kind_of_signer(
    tmp_path: Path, sign: Any, rule: str
) -> None:
    signature, trust = sign(tmp_path)
    model = models.write(tmp_path / "models" / "m", {**forge.FILES, "model.sig": signature})
    other = models.write(tmp_path / "models" / "n", {**forge.FILES, "model.sig": signature})
    (tmp_path / "we.pub").write_bytes(models.public_pem(models.new_key()))
    trust.setdefault("keys", {})["we"] = "we.pub"
    config: dict[str, Any] = {"trust": trust}
    if rule == "another":
        globs = [f"{tmp_path}/models/*", f"{tmp_path}/elsewhere/*"]
        we = {"name": "We", "models": globs, "signers": [{"method": "key", "key": "we"}]}
        all_of_it = {**we, "name": "All", "models": [f"{tmp_path}/**"]}
        config["publishers"] = [all_of_it, we]
    told = explained(model, written(tmp_path, config))
    change = told["change"]
    assert change["remaining"] == []
    assert "pattern" not in change["yaml"]
    assert told["input"]["signer"]["identity"] in change["means"]
    after = with_change(config, change["yaml"])
    assert after["publishers"][-1]["name"] == f"file://{model}"
    result = oms_gate("verify", model, "--config", written(tmp_path, after))
    assert result.returncode == 0, result.stdout + result.stderr
    # Also where a rule for more models was there, none of those has a part.
    assert oms_gate("verify", other, "--config", tmp_path / "gate.yaml").returncode == 1


def test_what_is_not_signed_and_what_is_required(tmp_path: Path) -> None:
    """The change has what helps, and what must be left to an exception."""
    signature, trust = by_key(tmp_path)
    files = {**forge.FILES, "model.sig": signature, "a.py": b"", "b.bin": b""}
    model = models.write(tmp_path / "m", files)
    rule = {
        "name": "A",
        "models": [f"{tmp_path}/*"],
        "signers": [{"method": "key", "key": "theirs"}],
    }
    config = {
        "trust": trust,
        "publishers": [rule],
        "requirements": [
            {"name": "timed", "proven_time": True},
            {"name": "code", "signed_kinds": ["code"]},
        ],
    }
    told = explained(model, written(tmp_path, config))
    fragment = yaml.safe_load(told["change"]["yaml"])
    alone = {"name": f"file://{model}", "models": [f"file://{model}"], "signers": rule["signers"]}
    assert fragment["publishers"] == [{**alone, "allow_unsigned": ["a.py", "b.bin"]}]
    codes = [exception["codes"] for exception in fragment["exceptions"]]
    assert sorted(codes) == [["coverage.unsigned"], ["requirement.time"]]
    assert "nobody vouches" in told["change"]["means"]
    after = written(tmp_path, with_change(config, told["change"]["yaml"]))
    result = oms_gate("verify", model, "--config", after)
    assert result.returncode == 0, result.stdout + result.stderr


def test_lines_are_those_that_decided(tmp_path: Path, folder: Path) -> None:
    (folder / "own.rego").write_text(
        "package oms_gate.admission\n\n"
        'deny contains {"code": "own.a", "msg": "a"} if data.own.largest_bytes > 1\n\n'
        'deny contains {"code": "own.b", "msg": "b"} if data.own.largest_bytes < 1\n\n'
        'warn contains {"code": "own.c", "msg": "c"} if {\n\tnot small\n}\n\n'
        "small if data.own.largest_bytes < 1\n"
    )
    signature, trust = by_key(tmp_path)
    model = models.write(tmp_path / "m", {**forge.FILES, "model.sig": signature})
    rule = {
        "name": "A",
        "models": [f"{tmp_path}/*"],
        "signers": [{"method": "key", "key": "theirs"}],
    }
    config = {"trust": trust, "publishers": [rule], "policy": {"rego": "policy"}}
    told = explained(model, written(tmp_path, config))
    own = [rule for rule in told["rules"] if rule["file"] == "own.rego"]
    assert [(rule["rule"], rule["line"]) for rule in own] == [
        ("data.oms_gate.admission.deny", 3),
        ("data.oms_gate.admission.warn", 7),
    ]
    trusting = next(r for r in told["rules"] if r["rule"].endswith("publishers.trusting"))
    text = (folder / trusting["file"]).read_text().splitlines()[trusting["line"] - 1]
    assert text.startswith("trusting contains rule if")
    assert told["change"] is None
    assert "no change of publishers or exceptions" in told["hint"]
    # Neither a bundle nor an OPA that is not there has lines.
    assert oms_gate("policy", "build", folder, "-o", tmp_path / "b.tar.gz").returncode == 0
    told = explained(model, written(tmp_path, {**config, "policy": {"rego": "b.tar.gz"}}))
    assert told["rules"] is None
    assert "a compiled bundle" in told["no_rules"]
    told = explained(
        model, written(tmp_path, {**config, "policy": {}}), OMS_GATE_OPA="/no/such/opa"
    )
    assert told["rules"] is None
    assert "install OPA" in told["no_rules"]
    assert told["decision"]["allow"]


def test_a_server_has_no_lines_and_is_not_changed(opa: Path, tmp_path: Path) -> None:
    signature, trust = by_key(tmp_path)
    model = models.write(tmp_path / "m", {**forge.FILES, "model.sig": signature})
    data: dict[str, Any] = {"oms_gate": {"publishers": [], "requirements": [], "exceptions": []}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    policies = ROOT / "policies"
    loaded = ("data.json", str(policies / "admission.rego"), str(policies / "lib"))
    with run_opa(opa, tmp_path, *loaded) as server:
        config = {"trust": trust, "policy": {"server": {"url": server.url}}}
        shown = oms_gate("policy", "explain", model, "--config", written(tmp_path, config))
    assert shown.returncode == 1, shown.stderr
    assert "an OPA server decided, which does not say by which lines" in shown.stdout
    assert "key: theirs" in shown.stdout
    assert "this was not tried" in shown.stdout
    # And where it gives no decision, no rules that did not hold are spoken of.
    away = oms_gate("policy", "explain", model, "--config", tmp_path / "gate.yaml")
    assert away.returncode == 3, away.stdout
    assert "policy.unreachable" in away.stdout
    assert "Rules that held" not in away.stdout


@pytest.mark.parametrize(
    ("attack", "code", "hint"),
    [
        ("tampered", ReasonCode.SIGNATURE_INVALID, "no change of publishers"),
        ("unsigned", ReasonCode.SIGNATURE_MISSING, "nobody signed it"),
        ("untrusted", ReasonCode.KEY_UNTRUSTED, "trust: {keys: {NAME: FILE.pub}}"),
    ],
)
def test_what_no_rule_can_help_against(
    tmp_path: Path, attack: str, code: ReasonCode, hint: str
) -> None:
    signature, trust = by_key(tmp_path)
    if attack == "tampered":
        bundle = json.loads(signature)
        payload = forge.b64(forge.encode(forge.statement({**forge.FILES, "evil.py": b""})))
        signature = forge.encode(
            {**bundle, "dsseEnvelope": {**bundle["dsseEnvelope"], "payload": payload}}
        )
    if attack == "untrusted":
        (tmp_path / "key.pub").write_bytes(models.public_pem(models.new_key()))
    files = dict(forge.FILES) if attack == "unsigned" else {**forge.FILES, "model.sig": signature}
    model = models.write(tmp_path / "m", files)
    told = explained(model, written(tmp_path, {"trust": trust}))
    assert told["reasons"][0]["code"] == code
    assert (told["input"], told["change"]) == (None, None)
    assert hint in told["hint"]


def test_bytes_that_are_not_read_are_not_vouched_for(tmp_path: Path) -> None:
    """And a memory is not added to by what only explains."""
    signature, trust = by_key(tmp_path)
    files = {**forge.FILES, "model.sig": signature}
    model = models.write(tmp_path / "m", files)
    name = next(iter(forge.FILES))
    (model / name).write_bytes(bytes(len(forge.FILES[name])))
    rule = {"name": "A", "models": [f"{tmp_path}/*"], "signers": [{"method": "first-use"}]}
    config = {"trust": trust, "publishers": [rule], "history": {"file": "history.db"}}
    shown = oms_gate("policy", "explain", model, "--config", written(tmp_path, config))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "as far as signature and policy go; no weight was read" in shown.stdout
    told = explained(model, tmp_path / "gate.yaml")
    assert told["input"]["history"]["pinned"] == []
    assert told["input"]["history"]["first_seen"] is None


def test_who_comes_second_is_not_advised_for_all_models(tmp_path: Path) -> None:
    """A rule for whoever signs first is about many models; the memory is about the one."""
    first, second = models.new_key(), models.new_key()
    for name, key in (("ann", first), ("eve", second)):
        (tmp_path / f"{name}.pub").write_bytes(models.public_pem(key))
    rule = {"name": "First", "models": [f"{tmp_path}/**"], "signers": [{"method": "first-use"}]}
    config = written(
        tmp_path,
        {
            "trust": {"keys": {"ann": "ann.pub", "eve": "eve.pub"}},
            "publishers": [rule],
            "history": {"file": "history.db"},
        },
    )
    files = {**forge.FILES, "model.sig": models.signature(forge.FILES, first)}
    model = models.write(tmp_path / "m", files)
    assert oms_gate("verify", model, "--config", config).returncode == 0
    (model / "model.sig").write_bytes(models.signature(forge.FILES, second))
    told = explained(model, config)
    assert [reason["code"] for reason in told["reasons"]] == [ReasonCode.HISTORY_SIGNER_CHANGED]
    assert told["change"] is None
    assert "oms-gate trust add" in told["hint"]
    assert oms_gate("trust", "add", model, "--yes", "--config", config).returncode == 0
    assert oms_gate("verify", model, "--config", config).returncode == 0


def test_a_long_list_is_cut_short_for_people_alone(tmp_path: Path) -> None:
    files = {f"{number}.txt": b"" for number in range(30)}
    key = models.new_key()
    (tmp_path / "key.pub").write_bytes(models.public_pem(key))
    model = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, key)})
    config = written(tmp_path, {"trust": {"keys": {"k": "key.pub"}}})
    shown = oms_gate("policy", "explain", model, "--config", config).stdout
    assert '"... 27 more"' in shown
    told = explained(model, config)
    assert sum(map(len, told["input"]["coverage"]["signed_files"].values())) == 30


def test_a_record_is_explained(tmp_path: Path) -> None:
    signature, trust = by_key(tmp_path)
    model = models.write(tmp_path / "m", {**forge.FILES, "model.sig": signature})
    log = tmp_path / "log.jsonl"
    rule = {"name": "A", "models": ["/x"], "signers": [{"method": "key", "key": "theirs"}]}
    config = written(tmp_path, {"trust": trust, "publishers": [rule]})
    assert oms_gate("verify", model, "--config", config, "--record", log).returncode == 1
    arguments = ["policy", "explain", "--recorded", log, "--config", config]
    told = json.loads(oms_gate(*arguments, "--json").stdout)
    assert told["reasons"][0]["code"] == ReasonCode.PUBLISHER_UNKNOWN
    assert told["input"]["model"]["name"] == f"file://{model}"
    assert told["change"]["remaining"] == []
    assert oms_gate(*arguments[:2], model, *arguments[2:]).returncode == 1
    unknown = oms_gate(*arguments[:2], tmp_path / "other", *arguments[2:])
    assert unknown.returncode == 2
    assert "holds no decision about file://" in unknown.stderr
    assert oms_gate("policy", "explain").returncode == 2


def test_a_name_that_cannot_be_written_exactly_is_not_written_otherwise(tmp_path: Path) -> None:
    """A rule's star would be about other models as well."""
    signature, trust = by_key(tmp_path)
    model = models.write(tmp_path / "m*[1]", {**forge.FILES, "model.sig": signature})
    told = explained(model, written(tmp_path, {"trust": trust}))
    assert told["change"] is None
    assert told["hint"]
