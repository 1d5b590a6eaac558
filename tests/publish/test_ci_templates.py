"""The GitHub Action and the GitLab template: their own scripts, against a registry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.models import FILES
from tests.peers.hub import HubStandIn
from tests.publish.ci import Action, load, shell
from tests.publish.on_hub import there
from tests.sigstore.server import SigstoreServer

GITLAB = "examples/gitlab/oms-gate.gitlab-ci.yml"
WORKFLOW = "examples/github/publish-model.yml"
IDENTITY = "https://gitlab.com/acme/llama//.gitlab-ci.yml@refs/heads/main"
TARGET = "hf://acme/llama"


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    if "runs" in document:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", ["action.yml", WORKFLOW])
def test_no_expression_is_pasted_into_a_script(path: str) -> None:
    """What an input says is a value of a variable, and never a part of a script."""
    for step in steps(load(path)):
        assert "${{" not in step.get("run", "")
        for name in step.get("env", {}) if "run" in step else ():
            assert f'"${name}"' in step["run"], f"{name} is not used, or not quoted"


def test_every_input_is_used_and_every_action_pinned() -> None:
    action = load("action.yml")
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(action["runs"])))
    assert used == set(action["inputs"])
    for step in steps(action):
        assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


def test_the_workflow_gives_what_the_action_asks_for() -> None:
    inputs = load("action.yml")["inputs"]
    workflow = load(WORKFLOW)
    job = workflow["jobs"]["publish"]
    (step,) = (step for step in job["steps"] if step.get("id") == "publish")
    assert set(step["with"]) <= set(inputs)
    assert {name for name, about in inputs.items() if about.get("required")} <= set(step["with"])
    assert workflow["permissions"] == {}
    assert job["permissions"].items() >= {"contents": "read", "id-token": "write"}.items()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, key: ec.EllipticCurvePrivateKey, public_key: Path) -> Path:
    """A checkout: an unsigned model, a key, and a gate.yaml that trusts it."""
    models.write(tmp_path / "model", FILES)
    private = tmp_path / "release.key"
    private.touch(0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    configure(tmp_path, {"keys": {"ours": str(public_key)}}, {"method": "key", "key": "ours"})
    return tmp_path


def configure(place: Path, trust: dict[str, Any], signer: dict[str, str]) -> None:
    publisher = {"name": "Acme", "models": ["acme/*"], "signers": [signer]}
    document = {"trust": {**trust, "public_good": False}, "publishers": [publisher]}
    (place / "gate.yaml").write_text(json.dumps(document))


@pytest.fixture
def sigstore(place: Path) -> Iterator[dict[str, str]]:
    """The environment of a job with an identity, and a gate.yaml that trusts that."""
    with SigstoreServer() as server:
        root, config = server.sigstore.trusted_root(), server.signing_config()
        (place / "trusted_root.json").write_text(json.dumps(root))
        (place / "signing_config.json").write_text(json.dumps(config))
        signer = {
            "method": "sigstore",
            "root": "ours",
            "issuer": server.url,
            "identity": IDENTITY,
        }
        configure(place, {"sigstore": {"ours": "trusted_root.json"}}, signer)
        yield {"SIGSTORE_ID_TOKEN": server.identity_token(IDENTITY)}


@pytest.fixture
def action(place: Path, hub: HubStandIn) -> Action:
    return Action(place, {"HF_TOKEN": hub.token})


def test_a_model_is_published_without_a_key(
    action: Action, hub: HubStandIn, sigstore: dict[str, str]
) -> None:
    action.environment = {**action.environment, **sigstore}
    status = action.run(
        path="model",
        to=TARGET,
        config="gate.yaml",
        sign="private",
        trusted_root="trusted_root.json",
        signing_config="signing_config.json",
    )
    assert status == 0, action.log
    outputs = action.outputs["action"]
    assert outputs["url"] == f"{TARGET}@{hub.head('acme/llama')}"
    assert outputs["pull-request"] == ""
    verdict = json.loads(Path(outputs["verdict"]).read_text())
    assert verdict["verdict"]["signer"]["identity"] == IDENTITY
    assert json.loads(Path(outputs["sarif"]).read_text())["runs"][0]["results"] == []
    # The last step looked at what is there now.
    assert f"admitted  {outputs['url']}" in action.log


def test_a_pull_request_of_some_files_with_a_key(
    action: Action, hub: HubStandIn, place: Path
) -> None:
    models.write(place / "model", {"notes.txt": b"1", "logs/a b.txt": b"2"})
    before = hub.create("acme/llama", files={"old.json": b"{}"})
    status = action.run(
        path="model",
        to=TARGET,
        config="gate.yaml",
        sign="key",
        key="release.key",
        exclude="notes.txt\n\nlogs/a b*\n",
        delete="old.json",
        message="Release 'one' & more",
        pull_request="true",
        verify="false",
    )
    assert status == 0, action.log
    outputs = action.outputs["action"]
    assert "/discussions/1" in outputs["pull-request"]
    assert hub.head("acme/llama") == before
    proposed = outputs["url"].removeprefix(f"{TARGET}@")
    assert there(hub, proposed, "acme/llama").keys() == {*FILES, "model.sig"}
    assert "verify" not in action.outputs


def test_what_is_denied_is_not_published_and_said_why(
    action: Action, hub: HubStandIn, place: Path
) -> None:
    models.write(place / "model", {"model.pkl": b"\x80\x04N."})
    status = action.run(path="model", to=TARGET, config="gate.yaml", sign="key", key="release.key")
    assert status == 1, action.log
    assert "error: " in action.log
    assert "model.pkl" in action.log
    assert "publish" not in action.outputs
    results = json.loads(Path(action.outputs["action"]["sarif"]).read_text())["runs"][0]["results"]
    assert ReasonCode.PUBLISH_FORMAT in {result["ruleId"] for result in results}
    assert not [record for record in hub.requests if record.method == "POST"]


def test_inputs_are_values_and_no_scripts(action: Action, place: Path) -> None:
    evil = '$(touch pwned) `touch pwned` "; touch pwned; "'
    inputs = {"path": "model", "to": TARGET, "config": "gate.yaml"}
    assert action.run(**inputs, sign=evil) == 2
    evils = dict.fromkeys(("path", "to", "config", "key", "include", "exclude", "delete"), evil)
    assert action.run(**evils, sign="key") == 2, action.log
    assert not (place / "pwned").exists()


def job(name: str, place: Path, environment: dict[str, str], **variables: str) -> tuple[int, str]:
    """Run a job of GitLab's; exit status and log."""
    document = load(GITLAB)
    script = "\n".join(document[name]["script"])
    done = shell(script, place, {**document["variables"], **environment, **variables})
    return done.returncode, done.stdout + done.stderr


def test_gitlab_judges_a_merge_request_without_any_secret(place: Path, hub: HubStandIn) -> None:
    status, log = job("oms-gate pre-publish", place, {}, OMS_GATE_TO=TARGET)
    assert status == 0, log
    assert not [record for record in hub.requests if record.method == "POST"]


def test_gitlab_publishes_by_the_identity_of_its_pipeline(
    place: Path, hub: HubStandIn, sigstore: dict[str, str]
) -> None:
    assert load(GITLAB)["oms-gate publish"]["id_tokens"] == {
        "SIGSTORE_ID_TOKEN": {"aud": "sigstore"}
    }
    private = "--sigstore private --trusted-root trusted_root.json"
    status, log = job(
        "oms-gate publish",
        place,
        {**sigstore, "HF_TOKEN": hub.token},
        OMS_GATE_TO=TARGET,
        OMS_GATE_SIGN=f"{private} --signing-config signing_config.json",
    )
    assert status == 0, log
    assert f"admitted  {TARGET}@{hub.head('acme/llama')}" in log
