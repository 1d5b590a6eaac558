"""``oms-gate pre-publish`` and ``oms-gate publish``, as a publisher runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import oms_gate as run
from tests.delivery.pulling import SCHEMA, signed
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

TARGET = "hf://acme/model"


@pytest.fixture
def folder(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """A model that Acme has signed."""
    return models.write(tmp_path / "model", signed(key))  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path, public_key: Path) -> Path:
    """Acme's key signs Acme's models."""
    path = tmp_path / "gate.yaml"
    settings: dict[str, Any] = {
        "trust": {"public_good": False, "keys": {"acme": str(public_key)}},
        "publishers": [
            {
                "name": "Acme",
                "models": ["acme/*", "s3://*/acme/**"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
    }
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture
def private_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path = tmp_path / "acme.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def member(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> HubStandIn:
    """The Hub, to whom may write there."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def test_from_an_unsigned_folder_to_a_verified_revision(
    member: HubStandIn, folder: Path, config: Path, private_key: Path
) -> None:
    (folder / "model.sig").unlink()
    options = (folder, "--to", TARGET, "--config", config)
    unsigned = run("pre-publish", *options)
    assert unsigned.returncode == 1
    assert f"denied  {TARGET}" in unsigned.stdout
    assert "[signature.missing]" in unsigned.stdout
    went = run("publish", *options, "--sign", "--key", private_key, "--message", "First release")
    assert went.returncode == 0, went
    assert went.stderr == ""
    commit = member.head("acme/model")
    assert f"published hf://acme/model@{commit}" in went.stdout
    assert (folder / "model.sig").exists()
    assert run("verify", f"{TARGET}@{commit}", "-c", config).returncode == 0


def test_to_say_that_it_may_go_out_sends_nothing(
    member: HubStandIn, folder: Path, config: Path, private_key: Path
) -> None:
    before = (folder / "model.sig").read_bytes()
    for more in ((), ("--sign", "--key", private_key)):
        said = run("pre-publish", folder, "--to", TARGET, "--config", config, *more)
        assert said.returncode == 0, said
        assert "admitted" in said.stdout
        assert "published" not in said.stdout
    assert (folder / "model.sig").read_bytes() != before  # it is signed first
    assert {record.method for record in member.requests} <= {"GET", "HEAD"}
    with pytest.raises(KeyError):
        member.head("acme/model")


def test_json_is_the_verdict_and_where_it_is(
    member: HubStandIn, folder: Path, config: Path
) -> None:
    options = (folder, "--to", TARGET, "--config", config, "--json")
    verdict = json.loads(run("pre-publish", *options).stdout)
    jsonschema.validate(verdict, SCHEMA)
    assert verdict["model"]["name"] == TARGET
    came = json.loads(run("publish", *options).stdout)
    jsonschema.validate(came["verdict"], SCHEMA)
    url = f"hf://acme/model@{member.head('acme/model')}"
    assert came["published"] == {"url": url, "pull_request": None}
    (folder / "README.md").write_bytes(b"# A modal\n")
    denied = run("publish", *options)
    assert denied.returncode == 1
    came = json.loads(denied.stdout)
    assert came["published"] is None
    assert [reason["code"] for reason in came["verdict"]["reasons"]] == [ReasonCode.FILE_CHANGED]


def test_sarif_names_file_and_line(member: HubStandIn, folder: Path, config: Path) -> None:
    key = models.new_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "notes.md").write_bytes(b"# Notes\n\n" + key)
    found = run("pre-publish", folder, "--to", TARGET, "--config", config, "--sarif")
    assert found.returncode == 1
    (report,) = json.loads(found.stdout)["runs"]
    (result,) = [each for each in report["results"] if each["ruleId"] == "publish.secret"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("notes.md")
    assert place["region"]["startLine"] == 3
    assert b"".join(key.splitlines()[1:-1]).decode() not in found.stdout.replace("\n", "")


def test_to_s3(s3: SeaweedFS, s3_bucket: str, folder: Path, config: Path) -> None:
    settings = json.loads(config.read_text())
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    config.write_text(json.dumps(settings))
    target = f"s3://{s3_bucket}/acme/model"
    went = run("publish", folder, "--to", target, "-c", config)
    assert went.returncode == 0, went
    (url,) = re.findall(rf"published ({re.escape(target)}/\S+)", went.stdout)
    for place in (target, url):
        assert run("verify", place, "-c", config).returncode == 0
    denied = run("publish", folder, "--to", f"s3://{s3_bucket}/other", "-c", config)
    assert denied.returncode == 1
    assert "[publisher.unknown]" in denied.stdout


def test_a_pull_request_is_proposed(member: HubStandIn, folder: Path, config: Path) -> None:
    first = member.create("acme/model", files={"README.md": b"# A model\n"})
    went = run("publish", folder, "--to", TARGET, "-c", config, "--pull-request")
    assert went.returncode == 0, went
    assert "/acme/model/discussions/1" in went.stdout
    assert member.head("acme/model") == first


def test_what_is_deleted_and_left_out(member: HubStandIn, folder: Path, config: Path) -> None:
    member.create("acme/model", files={"old/model.py": b"import os\n"})
    (folder / "train.py").write_text("import os\n")
    options = (folder, "--to", TARGET, "-c", config)
    denied = run("publish", *options)
    assert denied.returncode == 1
    assert denied.stdout.count("[coverage.unsigned]") == 1
    assert "[publish.left-behind]" in denied.stdout
    went = run("publish", *options, "--delete", "old/*", "--exclude", "train.*")
    assert went.returncode == 0, went


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "./elsewhere"), "is no registry"),
        (("--to", "hf://acme/model/folder"), "names a folder in a repository"),
        (("--to", TARGET, "--key", "acme.key"), "but not --sign"),
        (("--to", TARGET, "--sign"), "nothing is given to sign with"),
        (("--to", TARGET, "--json", "--sarif"), "give one of them"),
        (("--to", TARGET, "--sarif", "--quiet"), "--quiet does not"),
    ],
)
def test_what_cannot_be_meant(
    member: HubStandIn, folder: Path, config: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused = run("publish", folder, "-c", config, *arguments)
    assert refused.returncode == 2, refused
    assert said in refused.stderr
    assert refused.stdout == ""


def test_a_key_in_the_folder_would_be_published_with_it(
    member: HubStandIn, folder: Path, config: Path, private_key: Path
) -> None:
    inside = folder / "acme.key"
    private_key.rename(inside)
    refused = run("publish", folder, "--to", TARGET, "-c", config, "--sign", "--key", inside)
    assert refused.returncode == 2
    assert "would be published with it" in refused.stderr


def test_a_registry_that_does_not_answer(
    hub: HubStandIn, folder: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    denied = run("pre-publish", folder, "--to", TARGET, "-c", config, "--json")
    assert denied.returncode == 3
    verdict = json.loads(denied.stdout)
    assert verdict["undecided"]
    assert [reason["code"] for reason in verdict["reasons"]] == [ReasonCode.STORE_UNAVAILABLE]


def test_a_signer_that_fails_publishes_nothing(
    member: HubStandIn, folder: Path, config: Path
) -> None:
    """As on the Hub: the signature was skipped without a word, and the model went out."""
    failed = run(
        "publish", folder, "--to", TARGET, "-c", config, "--sign", "--key", folder / "absent.key"
    )
    assert failed.returncode == 2
    failed = run("publish", folder, "--to", TARGET, "-c", config, "--sign", "--sigstore", "public")
    assert failed.returncode == 2
    assert "no identity to sign with" in failed.stderr
    with pytest.raises(KeyError):
        member.head("acme/model")
