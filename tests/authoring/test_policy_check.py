"""What is the matter with a policy is said with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oms_gate.authoring.checking import Problem, check_policy
from tests.commands import oms_gate


@pytest.fixture(autouse=True)
def _no_regal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_a_misspelt_member_and_an_unformatted_file(folder: Path) -> None:
    (folder / "own.rego").write_text(
        "package oms_gate.admission\n\nimport data.acme\n\n"
        'warn contains {"code": "own.x", "msg": "x"} if   input.modle.name == "x"\n'
    )
    found = oms_gate("policy", "check", folder, "--json")
    assert found.returncode == 1, found.stderr
    told = json.loads(found.stdout)
    problems = {(p["by"], p["file"], p["line"]): p["message"] for p in told["problems"]}
    assert problems["opa check", "own.rego", 3] == "import data.acme unused"
    assert problems["opa check", "own.rego", 5] == "undefined ref: input.modle.name"
    assert "opa fmt -w" in problems["opa fmt", "own.rego", None]
    assert told["skipped"][0] == "regal is not on the PATH, so nothing was linted"
    shown = oms_gate("policy", "check", folder).stdout
    assert "own.rego:5: undefined ref: input.modle.name [opa check]" in shown


def test_a_file_that_cannot_be_read_as_rego(folder: Path) -> None:
    (folder / "own.rego").write_text("package oms_gate.admission\ndeny contains {\n")
    problems = check_policy(folder).problems
    assert {(p.by, p.file) for p in problems} == {("opa check", "own.rego")}


def test_hidden_files_are_no_part_of_it(folder: Path) -> None:
    hidden = folder / ".old"
    hidden.mkdir()
    (hidden / "old.rego").write_text("package nothing nothing")
    assert check_policy(folder).problems == ()


def test_builtins_that_only_a_server_has_are_named_where_they_are(folder: Path) -> None:
    (folder / "late.rego").write_text(
        "package oms_gate.admission\n\n"
        'warn contains {"code": "own.late", "msg": "late"} if time.now_ns() > 5\n\n'
        'warn contains {"code": "own.far", "msg": "far"} if http.send({}).status_code == 200\n'
    )
    problems = check_policy(folder).problems
    assert {(p.by, p.file, p.line) for p in problems} == {
        ("oms-gate", "late.rego", 3),
        ("oms-gate", "late.rego", 5),
    }
    assert "input.now" in next(p.message for p in problems if p.line == 3)


def test_a_policy_without_a_decision(folder: Path) -> None:
    (folder / "admission.rego").write_text("package oms_gate.other\n")
    (problem,) = check_policy(folder).problems
    assert problem.by == "opa build"
    assert "oms_gate/admission/decision" in problem.message


def test_regal_is_asked_where_there_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in, which answers as regal 0.39 does."""
    violation = {
        "title": "todo-comment",
        "description": "Avoid TODO comments",
        "location": {"file": "own.rego", "row": 3, "col": 1},
    }
    program = folder.parent / "regal"
    program.write_text(
        f"#!/bin/sh\ncat <<'E'\n{json.dumps({'violations': [violation]})}\nE\nexit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder.parent}:/usr/bin:/bin")
    assert check_policy(folder).problems == (
        Problem("regal", "Avoid TODO comments (todo-comment)", "own.rego", 3),
    )
    program.write_text("#!/bin/sh\necho it broke\n")
    assert check_policy(folder).problems == (Problem("regal", "it broke (failed)"),)


def test_a_configuration_is_checked_with_its_rules(folder: Path) -> None:
    config = folder.parent / "gate.yaml"
    rule = "{name: A, models: ['a/*'], signers: [{method: sigstore, identity: x, issuer: 'https://x'}]}"
    config.write_text(f"publishers: [{rule}]\npolicy: {{rego: policy}}\n")
    assert check_policy(config).problems == ()
    data = oms_gate("config", "data", config).stdout
    own = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps({**own, **json.loads(data)}))
    assert check_policy(config).problems == ()
    (folder / "data.json").write_text(json.dumps({**own, "oms_gate": {"publishers": [{}]}}))
    (problem,) = check_policy(config).problems
    assert "keep them in one place" in problem.message
    config.write_text("policy: {server: {url: 'http://localhost:8181'}}\n")
    refused = oms_gate("policy", "check", config)
    assert refused.returncode == 2
    assert "an OPA server decides" in refused.stderr


def test_without_opa_it_says_what_to_install(folder: Path) -> None:
    refused = oms_gate("policy", "check", folder, OMS_GATE_OPA="/no/such/opa")
    assert refused.returncode == 2
    assert "install OPA" in refused.stderr
