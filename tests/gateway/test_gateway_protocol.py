"""What huggingface_hub asks of a repository: the gateway answers as the Hub, of what is signed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance
from tests import attesting, models
from tests.gateway.running import Running, running
from tests.peers.faults import EditJson, SetHeaders
from tests.peers.hub import HubStandIn

FOLDERS = {"onnx/a/model.onnx": b"onnx", "onnx/config.json": b"{}"}
FILES = {**models.FILES, **FOLDERS}


@pytest.fixture
def files(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    return {**FILES, "model.sig": models.signature(FILES, key)}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    settings["publishers"][0]["models"] += ["hf://datasets/acme/*", "hf://spaces/acme/*"]
    return settings


def entries(found: Any) -> list[dict[str, Any]]:
    """Entries of a tree, as data."""
    return sorted(map(dataclasses.asdict, found), key=lambda entry: str(entry["path"]))


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_answers_are_those_of_the_hub(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes], kind: Any, tmp_path: Path
) -> None:
    commit = hub.create("acme/m", kind=kind, files=files)
    there, here = (HfApi(endpoint=each) for each in (hub.endpoint, gateway.endpoint))
    at = {"repo_id": "acme/m", "repo_type": kind}
    for api in (there, here):
        assert api.repo_info(**at).sha == commit
    infos: list[Any] = [api.repo_info(**at, files_metadata=True) for api in (there, here)]
    assert infos[0].siblings == infos[1].siblings
    assert here.list_repo_files(**at) == sorted(files)
    for options in ({}, {"recursive": True}, {"path_in_repo": "onnx"}):
        assert entries(here.list_repo_tree(**at, **options)) == (
            entries(there.list_repo_tree(**at, **options))
        )
    paths = ["onnx", "config.json", "model.safetensors", "absent"]
    assert entries(here.get_paths_info(**at, paths=paths)) == (
        entries(there.get_paths_info(**at, paths=paths))
    )
    assert here.list_repo_refs(**at) == there.list_repo_refs(**at)
    assert here.list_repo_commits(**at) == there.list_repo_commits(**at)
    here.auth_check(**at)
    folder = snapshot_download(**at, endpoint=gateway.endpoint, local_dir=tmp_path / "m")
    assert {path: (Path(folder) / path).read_bytes() for path in files} == files
    # What only the Hub knows of a file is told as of the commit.
    (info,) = here.get_paths_info(**at, paths=["config.json"], expand=True)
    assert info.last_commit is not None
    assert info.last_commit.oid == commit
    (expanded, *_) = here.list_repo_tree(**at, expand=True)
    assert expanded.last_commit is not None


def test_as_many_paths_as_may_be(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    api = HfApi(endpoint=gateway.endpoint)
    paths = ["config.json", *(f"absent-{number}" for number in range(9999))]
    (info,) = api.get_paths_info("acme/m", paths)
    assert info.path == "config.json"
    with pytest.raises(HfHubHTTPError, match="at most 10000 paths"):
        api.get_paths_info("acme/m", [*paths, "one-more"])


def test_the_file_system_of_the_client(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    disk = HfFileSystem(endpoint=gateway.endpoint, skip_instance_cache=True)
    assert disk.find("acme/m") == [f"acme/m/{path}" for path in sorted(files)]
    assert disk.ls("acme/m/onnx", detail=False) == ["acme/m/onnx/a", "acme/m/onnx/config.json"]
    assert disk.cat("acme/m/config.json") == files["config.json"]
    with disk.open("acme/m/model.safetensors", block_size=1000) as stream:
        stream.seek(100_000)
        assert stream.read(5000) == files["model.safetensors"][100_000:105_000]


def test_revisions(gateway: Running, hub: HubStandIn, files: dict[str, bytes]) -> None:
    commit = hub.create("acme/m", files=files)
    for branch in ("feature/x", "refs/pr/1"):
        hub.branch("acme/m", branch, commit)
    hub.tag("acme/m", "v1.0", commit)
    api = HfApi(endpoint=gateway.endpoint)
    for revision in (commit, "feature/x", "refs/pr/1", "v1.0"):
        assert api.model_info("acme/m", revision=revision).sha == commit
        path = hf_hub_download(
            "acme/m", "config.json", revision=revision, endpoint=gateway.endpoint
        )
        assert Path(path).read_bytes() == files["config.json"]
    for path in ("refs/pr/1", "refs%2Fpr%2F1", "feature%2Fx"):
        answer = gateway.ask(f"/acme/m/resolve/{path}/onnx/a/model.onnx")
        assert (answer.content, answer.headers["X-Repo-Commit"]) == (b"onnx", commit)
    for revision in ("absent", commit[:7], commit.upper(), "0" * 40):
        answer = gateway.ask(f"/api/models/acme/m/revision/{revision}")
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    references = api.list_repo_refs("acme/m", include_pull_requests=True)
    assert [each.ref for each in references.pull_requests or ()] == ["refs/pr/1"]
    hub.commit("acme/m", {"model.sig": None})
    assert api.model_info("acme/m", revision="v1.0").sha == commit
    with pytest.raises(RevisionNotFoundError, match=r"signature\.missing"):
        HfApi(endpoint=gateway.endpoint).model_info("acme/m", revision="main")


def test_a_long_history_is_given_as_a_whole(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files={})
    for number in range(4):
        hub.commit("acme/m", {"config.json": b"%d" % number})
    hub.commit("acme/m", dict(files))
    hub.state.page_size = 2
    answer = gateway.ask("/api/models/acme/m/commits/main")
    # No page of it is at another server, where the token would be taken to.
    assert "Link" not in answer.headers
    assert answer.headers["X-Total-Count"] == "6"
    commits = HfApi(endpoint=gateway.endpoint).list_repo_commits("acme/m")
    assert commits == HfApi(endpoint=hub.endpoint).list_repo_commits("acme/m")


def test_a_repository_of_another_name_is_not_there(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    hub.rename("acme/m", "acme/n")
    answer = gateway.ask("/acme/m/resolve/main/config.json")
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
    assert "acme/n" in answer.json["error"]
    assert gateway.ask("/acme/n/resolve/main/config.json").status == 200


def test_a_hub_that_fails_is_told_and_counted(gateway: Running, hub: HubStandIn) -> None:
    """One that says that there is nothing does not fail, or anybody could let it look so."""
    assert gateway.ask("/acme/none/resolve/main/config.json").status == 404
    assert not gateway.told.failures
    hub.stop()
    answer = gateway.ask("/acme/m/resolve/main/config.json")
    assert answer.status == 429
    assert gateway.told.failures == [ReasonCode.STORE_UNAVAILABLE]
    # By the code of the error alone, the commands of the client say that there is no such revision.
    assert "was refused, try again in a moment" in answer.headers["X-HF-Warning"]


def test_who_a_client_is_the_hub_says(gateway: Running, hub: HubStandIn) -> None:
    assert HfApi(endpoint=gateway.endpoint).whoami(hub.token)["name"] == "member"
    assert [each.headers["authorization"] for each in hub.requests] == [f"Bearer {hub.token}"]
    hub.clear()
    answer = gateway.ask("/api/whoami-v2")
    assert (answer.status, answer.json) == (401, {"error": "Invalid username or password."})
    assert not hub.requests
    assert gateway.ask("/api/whoami-v2", headers={"Authorization": "Bearer hf_x"}).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/models/acme/m/xet-read-token/main",
        "/api/models/acme/m/xet-write-token/main",
        "/api/resolve-cache/models/acme/m/0/config.json",
        "/acme/m/raw/main/config.json",
        "/api/models?search=x",
        "/",
    ],
)
def test_what_would_lead_past_the_gateway_is_not_there(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes], path: str
) -> None:
    hub.create("acme/m", files=files)
    answer = gateway.ask(path)
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert "ask the Hub itself" in answer.json["error"]


def test_nothing_says_where_the_bytes_would_be_without_the_gateway(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    added = {"xetEnabled": True, "xet": {"hash": "x"}}
    hub.inject(EditJson(lambda info: info | added), "/api/models/acme/m")
    hub.inject(SetHeaders({"X-Xet-Hash": "x", "Link": '<x>; rel="xet-auth"'}), "*/resolve/*")
    info = gateway.ask("/api/models/acme/m?blobs=true")
    assert b"xet" not in info.content.lower()
    answer = gateway.ask("/acme/m/resolve/main/model.safetensors")
    assert answer.status == 200
    assert not {"x-xet-hash", "link", "location"} & {name.lower() for name in answer.headers}


def test_what_clients_claim_counts_for_nothing(gateway: Running, hub: HubStandIn) -> None:
    hub.create("acme/m", files=dict(models.FILES))
    claims = {
        "X-OMS-Gate-Verdict": "admitted",
        "X-OMS-Gate-Signer": "acme",
        "X-OMS-Gate-Assurance": "bytes",
        "X-Repo-Commit": "0" * 40,
        "X-HF-Warning": "x; y",
        "X-Forwarded-Host": "evil.example",
        "Cookie": "token=x",
    }
    answer = gateway.ask("/acme/m/resolve/main/config.json", headers=claims)
    assert (answer.status, answer.headers["X-OMS-Gate-Verdict"]) == (403, "denied")
    for request in hub.requests:
        assert not {name.lower() for name in claims} & request.headers.keys()


@pytest.fixture
def attested(
    settings: dict[str, Any],
    hub: HubStandIn,
    files: dict[str, bytes],
    key: ec.EllipticCurvePrivateKey,
) -> dict[str, Any]:
    """What wants an attestation, of a model that has one beside a file that nobody has signed."""
    root = attesting.root_digest(files["model.sig"])
    attestation = attesting.signed(attesting.statement([root]), key)
    extra = {"a.intoto.jsonl": attestation, "notes.txt": b"unsigned"}
    hub.create("acme/m", files={**files, **extra})
    settings["publishers"][0]["allow_unsigned"] = ["notes.txt", "*.jsonl"]
    wanted = {
        "predicate_type": attesting.PROVENANCE,
        "signers": [{"method": "key", "key": "acme"}],
    }
    return settings | {
        "attestations": {"provenance": "*.intoto.jsonl"},
        "requirements": [{"name": "built", "attestations": [wanted]}],
    }


def test_a_gate_behind_a_gateway_sees_what_it_saw(
    attested: dict[str, Any], hub: HubStandIn, tmp_path: Path
) -> None:
    config = GateConfig.model_validate(attested)
    with running(config, tmp_path / "caches") as gateway:
        behind = {**attested, "stores": {"options": {"hf": {"endpoint": gateway.endpoint}}}}
        with Gate.from_config(GateConfig.model_validate(behind)) as gate:
            verdict = gate.check("hf://acme/m")
        assert verdict.reasons == ()
        assert (verdict.assurance, len(verdict.attestations)) == (Assurance.BYTES, 1)
        listed = HfApi(endpoint=gateway.endpoint).list_repo_files("acme/m")
        assert ("a.intoto.jsonl" in listed, "notes.txt" in listed) == (True, False)
        answer = gateway.ask("/acme/m/resolve/main/notes.txt")
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")


def test_a_gate_behind_a_gateway_says_what_that_said(
    gateway: Running, hub: HubStandIn, settings: dict[str, Any]
) -> None:
    hub.create("acme/m", files=dict(models.FILES))
    behind = {**settings, "stores": {"options": {"hf": {"endpoint": gateway.endpoint}}}}
    with Gate.from_config(GateConfig.model_validate(behind)) as gate:
        (reason,) = gate.check("hf://acme/m").reasons
    assert reason.code is ReasonCode.STORE_FORBIDDEN
    assert "the model has no signature" in reason.message


def test_another_attestation_than_the_verified_one_is_not_given(
    attested: dict[str, Any], hub: HubStandIn, tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    path = "/acme/m/resolve/main/a.intoto.jsonl"
    with running(GateConfig.model_validate(attested), tmp_path / "caches") as gateway:
        right = gateway.ask(path)
        assert (right.status, right.headers["X-OMS-Gate-Assurance"]) == (200, "bytes")
        # As validly signed, and of another model.
        other = attesting.signed(attesting.statement(["00" * 32]), key)
        hub.replace_under_commit("acme/m", "a.intoto.jsonl", other.ljust(len(right.content)))
        answer = gateway.ask(path)
        assert answer.status == 403
        assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED


def test_a_client_of_registries_is_told_what_to_do(gateway: Running) -> None:
    """As Ollama shows it: errors as the OCI's specification of registries has them."""
    answer = gateway.ask("/v2/acme/m/manifests/latest")
    assert answer.status == 404
    (error,) = answer.json["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert "ollama create" in error["message"]
