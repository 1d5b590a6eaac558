"""What a policy would change is told before it decides, and tests that fail are as well."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oms_gate.authoring.replay import replay
from oms_gate.authoring.testing import run_tests
from oms_gate.errors import ConfigError
from oms_gate.limits import Limits
from oms_gate.policy.decision import parse_decision
from oms_gate.policy.decision_log import append_event, event, read_events
from oms_gate.policy.wasm import WasmEngine
from tests import models
from tests.commands import oms_gate
from tests.policy.samples import document, sigstore

SIGNER = "{method: sigstore, identity: release@example.com, issuer: 'https://issuer.example'}"
RULES = f"publishers: [{{name: Example, models: ['example/*'], signers: [{SIGNER}]}}]\n"
ALLOWED: dict[str, Any] = {"allow": True, "annotations": {"publisher": "Example"}}


def record(file: Path, answer: dict[str, Any], **of: Any) -> None:
    made = event(
        document(**of),
        parse_decision(answer),
        revision="r1",
        decision_id="1",
        now=datetime(2026, 9, 1, tzinfo=UTC),
    )
    append_event(file, made)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    (tmp_path / "gate.yaml").write_text(RULES)
    return tmp_path / "gate.yaml"


def test_what_was_recorded_is_decided_anew(tmp_path: Path, gate: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    record(log, ALLOWED)
    arguments = ["policy", "test", "--config", gate, "--against", log]
    same = oms_gate(*arguments)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "nothing would change (1 decisions)" in same.stdout
    record(log, ALLOWED, signer=sigstore("mallory@example.com"))
    record(log, ALLOWED, signer=sigstore("mallory@example.com"))
    record(log, {"allow": False, "deny": [{"code": "own.x", "msg": "no"}]})
    record(log, {**ALLOWED, "require": "bytes"})
    record(log, {**ALLOWED, "warn": [{"code": "own.w", "msg": "w"}]})
    denied = {"allow": False, "deny": [{"code": "own.y", "msg": "never"}]}
    record(log, denied, signer=sigstore("eve@example.com"))
    changed = oms_gate(*arguments)
    assert changed.returncode == 1
    assert "6 of 7 decisions would change" in changed.stdout
    assert "newly denied  hf://example/model (2 times)" in changed.stdout
    assert "mallory@example.com by https://issuer.example" in changed.stdout
    assert "newly admitted  hf://example/model\n" in changed.stdout
    for line in ("deny no [own.x]", "warn w [own.w]", "deny never [own.y]", "require bytes"):
        assert f"    - {line}\n" in changed.stdout
    assert "    + require nothing\n" in changed.stdout
    told = json.loads(oms_gate(*arguments, "--json").stdout)
    assert told["replayed"] == 7
    effects = [change["effect"] for change in told["changes"]]
    assert effects == ["denied", "denied", "admitted", "changed", "changed", "changed"]
    (reason,) = told["changes"][0]["new"]["reasons"]
    assert reason["code"] == "publisher.wrong-signer"
    assert told["changes"][0]["recorded"]["place"] == f"{log}:2"
    assert told["changes"][0]["revision"] == "0" * 40


def test_a_folder_of_logs_and_a_policy_of_ones_own(
    tmp_path: Path, folder: Path, gate: Path
) -> None:
    logs = tmp_path / "recorded"
    logs.mkdir()
    record(logs / "a.jsonl", ALLOWED)
    (logs / "b.jsonl.gz").write_bytes(gzip.compress((logs / "a.jsonl").read_bytes()))
    arguments = ["policy", "test", folder, "--config", gate, "--against", logs, "--json"]
    # A size in the sample is not said, which the example of a rule denies.
    told = json.loads(oms_gate(*arguments).stdout)
    assert told["tests"]["passed"] == 4
    assert [change["new"]["reasons"][0]["policy_code"] for change in told["changes"]] == [
        "own.too-large"
    ] * 2


def test_what_a_policy_cannot_decide_is_denied(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    record(log, ALLOWED)
    line = json.loads(log.read_text())
    del line["result"]
    line["input"]["model"] = ["no model"]
    log.write_text(log.read_text() + json.dumps(line) + "\n")
    engine = WasmEngine.bundled({"oms_gate": {"publishers": []}}, Limits())
    first, second = replay(log, engine)
    engine.close()
    assert first.effect == "denied"
    # There was no decision, and there is none.
    assert not second.before.admitted
    assert not second.after.admitted
    assert second.model == "None"


def test_there_must_be_something_to_replay(tmp_path: Path, gate: Path) -> None:
    for arguments in (["policy", "test"], ["policy", "test", "--config", gate]):
        assert oms_gate(*arguments).returncode == 2
    missing = oms_gate("policy", "test", "--config", gate, "--against", tmp_path / "none")
    assert missing.returncode == 2
    gate.write_text("policy: {server: {url: 'http://localhost:8181'}}\n")
    (tmp_path / "log.jsonl").touch()
    server = oms_gate("policy", "test", "--config", gate, "--against", tmp_path / "log.jsonl")
    assert server.returncode == 2
    assert "an OPA server decides" in server.stderr


def test_a_test_that_fails_is_1_and_nothing_is_replayed(folder: Path, gate: Path) -> None:
    (folder / "more_test.rego").write_text(
        "package more_test\n\ntest_never if 1 == 2\n\ntodo_test_later if true\n"
    )
    log = folder.parent / "log.jsonl"
    record(log, {"allow": True})
    failed = oms_gate("policy", "test", folder, "--config", gate, "--against", log)
    assert failed.returncode == 1
    assert "4 passed, 1 failed, 1 to do" in failed.stdout
    assert "more_test.rego:3: more_test.test_never" in failed.stdout
    assert "change" not in failed.stdout


def test_what_no_test_evaluates_is_told(folder: Path) -> None:
    (folder / "more.rego").write_text(
        'package oms_gate.admission\n\nwarn contains {"code": "own.s3", "msg": "s3"} if {\n'
        '\tinput.model.scheme == "s3"\n\tinput.now > 5\n}\n'
    )
    tested = run_tests(folder)
    assert tested.coverage is not None
    assert 0 < tested.coverage < 100
    assert tested.not_covered == {"more.rego": [(3, 5)]}
    (folder / "lib/globs.rego").write_text(
        (folder / "lib/globs.rego").read_text() + "\nmine := 1\n"
    )
    assert "lib/globs.rego" in (run_tests(folder).not_covered or {})


def test_a_policy_without_tests_is_not_tested(folder: Path) -> None:
    (folder / "own_test.rego").unlink()
    result = oms_gate("policy", "test", folder)
    assert result.returncode == 1
    assert "there is no test" in result.stdout
    (folder / "own.rego").write_text("package oms_gate.admission\ndeny contains\n")
    with pytest.raises(ConfigError, match=r"OPA cannot run the tests .*own.rego:3"):
        run_tests(folder)


def test_verify_records_what_was_asked(tmp_path: Path, gate: Path) -> None:
    key = models.new_key()
    (tmp_path / "key.pub").write_bytes(models.public_pem(key))
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    model = models.write(tmp_path / "model", files)
    public = ("--public-key", tmp_path / "key.pub")
    recorded = tmp_path / "recorded"
    plain = oms_gate("verify", model, *public).stdout
    assert oms_gate("verify", model, *public, "--record", recorded).stdout == plain
    result = oms_gate("verify", model, *public, "--record", recorded, "--json")
    verdict = json.loads(result.stdout)
    first, second = read_events(recorded)
    assert first.place == f"{recorded}/decisions.jsonl:1"
    assert second.input["model"]["name"] == verdict["model"]["name"]
    assert second.decision_id == verdict["policy"]["decision_id"]
    assert parse_decision(second.result).allow
    file = tmp_path / "one.jsonl"
    assert oms_gate("verify", model, *public, "--record", file).returncode == 0
    assert len(list(read_events(file))) == 1
    # What cannot be recorded was not decided.
    denied = oms_gate("verify", model, *public, "--record", tmp_path / "no/where.jsonl")
    assert denied.returncode != 0
    assert "cannot be written to the decision log" in denied.stdout
