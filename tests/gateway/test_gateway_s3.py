"""Models of buckets as repositories: who reads them, and which of their listings a commit is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi, snapshot_download

from oms_gate.config import GateConfig
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import RELEASES
from oms_gate.service_settings import GatewaySettings, S3Repositories
from oms_gate.stores.s3_releases import POINTER
from tests import models
from tests.gateway.running import Running, running
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

TOKEN = "the-token-of-a-reader-of-acme"
READER = {"Authorization": f"Bearer {TOKEN}"}
WEIGHTS = "model.safetensors"


def put(s3: SeaweedFS, bucket: str, folder: str, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        s3.put(bucket, f"{folder}/{path}", content)


def signed(key: ec.EllipticCurvePrivateKey, **changed: bytes) -> dict[str, bytes]:
    files = {**models.FILES, **{f"{name}.json": content for name, content in changed.items()}}
    return {**files, "model.sig": models.signature(files, key)}


def release(s3: SeaweedFS, bucket: str, name: str, files: dict[str, bytes]) -> None:
    """Publish files as a release, and make it the current one."""
    put(s3, bucket, f"acme/m/{RELEASES}/{name}", files)
    pointer = f'{{"schema": "oms-gate/release/v1", "release": "{name}"}}'
    s3.put(bucket, f"acme/m/{POINTER}", pointer.encode())


@pytest.fixture
def settings(
    settings: dict[str, Any], s3: SeaweedFS, s3_bucket: str, hub: HubStandIn
) -> dict[str, Any]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return settings | {
        "stores": {"options": {"s3": s3.storage_options()}},
        "gateway": {
            "repositories": [
                {"owner": "acme", "prefix": f"s3://{s3_bucket}/acme", "readers": [digest]},
                {"owner": "open", "prefix": f"s3://{s3_bucket}/acme/", "readers": "everybody"},
            ],
            "access_seconds": 0,
        },
    }


@pytest.fixture
def gateway(settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        yield gateway


def commit_of(gateway: Running) -> str:
    sha: str = gateway.ask("/api/models/acme/m", headers=READER).json["sha"]
    assert re.fullmatch("[0-9a-f]{40}", sha)
    return sha


def test_a_model_of_a_bucket_is_a_repository(
    gateway: Running, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    put(s3, s3_bucket, "acme/m", files)
    api = HfApi(endpoint=gateway.endpoint, token=TOKEN)
    info = api.model_info("acme/m", files_metadata=True)
    assert (info.id, info.private, info.gated, info.tags) == ("acme/m", True, False, [])
    assert {sibling.rfilename for sibling in info.siblings or ()} == {*files}
    (branch,) = api.list_repo_refs("acme/m", include_pull_requests=True).branches
    (commit,) = api.list_repo_commits("acme/m")
    assert info.sha == branch.target_commit == commit.commit_id == commit_of(gateway)
    folder = snapshot_download(
        "acme/m", endpoint=gateway.endpoint, token=TOKEN, local_dir=tmp_path / "m"
    )
    assert {p: (Path(folder) / p).read_bytes() for p in files} == files


def test_who_may_not_read_learns_nothing(
    gateway: Running,
    s3: SeaweedFS,
    s3_bucket: str,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
) -> None:
    put(s3, s3_bucket, "acme/m", signed(key))
    assert gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}", headers=READER).status == 200
    s3.clear()
    for name, token, (method, path) in product(
        ["acme/m", "acme/absent", "ACME/m"],
        ["", "Bearer hf_another", f"Bearer {TOKEN[:-1]}"],
        [
            ("GET", f"/NAME/resolve/main/{WEIGHTS}"),
            ("HEAD", f"/NAME/resolve/main/{WEIGHTS}"),
            ("GET", "/api/models/NAME"),
            ("GET", "/api/models/NAME/tree/main"),
            ("GET", "/api/models/NAME/refs"),
            ("GET", "/api/models/NAME/commits/main"),
            ("POST", "/api/models/NAME/paths-info/main"),
        ],
    ):
        headers = {"Authorization": token} if token else {}
        answer = gateway.ask(path.replace("NAME", name), method, headers)
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
        assert s3_bucket not in f"{answer.headers}{answer.content!r}"
        assert answer.headers["X-Error-Message"].replace(name, "") == (
            "this gateway has no repository , or your token (HF_TOKEN) may not see it; check both, "
            "and ask its operator for a token that may"
        )
    # Nobody was asked for it, with whatever token.
    assert not s3.requests
    assert not hub.requests


def test_readers_are_told_what_is_not_there_and_nothing_of_where(
    gateway: Running, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey
) -> None:
    put(s3, s3_bucket, "acme/m", signed(key))
    s3.put(s3_bucket, "acme/m.txt", b"a file, not a folder")
    for name in ("ACME/m", "acme/absent", "acme/m.txt"):
        answer = gateway.ask(f"/api/models/{name}", headers=READER)
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
        assert s3_bucket not in f"{answer.headers}{answer.content!r}"


def test_credentials_that_may_not_read_are_the_operators_matter(
    settings: dict[str, Any], s3: SeaweedFS, tmp_path: Path
) -> None:
    settings["stores"] = {"options": {"s3": s3.storage_options(s3.stranger)}}
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        answer = gateway.ask("/api/models/open/m")
    # So no client takes it for a refusal, and looks for what it may have at home.
    assert (answer.status, answer.headers["X-Error-Code"]) == (429, "RevisionNotFound")
    assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.GATE_MISCONFIGURED
    assert "tell its operator" in answer.json["error"]


def test_everybody_is_given_what_is_for_everybody(
    gateway: Running,
    s3: SeaweedFS,
    s3_bucket: str,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
) -> None:
    put(s3, s3_bucket, "acme/m", signed(key))
    for headers in ({}, {"Authorization": f"Bearer {hub.token}"}):
        answer = gateway.ask(f"/open/m/resolve/main/{WEIGHTS}", headers=headers)
        assert (answer.status, answer.content) == (200, models.FILES[WEIGHTS])
    assert gateway.ask("/api/models/open/m").json["private"] is False
    # A token that a client sends by habit goes nowhere.
    assert not hub.requests
    assert all(hub.token not in str(request.headers) for request in s3.requests)


def test_a_readers_token_is_not_shown_to_the_hub(gateway: Running, hub: HubStandIn) -> None:
    hub.create("someone/m", files=dict(models.FILES))
    assert gateway.ask("/api/models/someone/m", headers=READER).status == 403
    assert gateway.ask("/api/whoami-v2", headers=READER).status == 401
    assert hub.requests
    assert not any(request.authorized for request in hub.requests)


def test_an_unsigned_model_of_a_bucket_is_denied(
    gateway: Running, s3: SeaweedFS, s3_bucket: str
) -> None:
    put(s3, s3_bucket, "acme/m", dict(models.FILES))
    answer = gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}", headers=READER)
    assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.SIGNATURE_MISSING
    assert (answer.status, answer.headers["X-Error-Code"]) == (403, "RevisionNotFound")


def test_other_revisions_are_not_there(
    gateway: Running, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey
) -> None:
    put(s3, s3_bucket, "acme/m", signed(key))
    commit = commit_of(gateway)
    assert gateway.ask(f"/api/models/acme/m/revision/{commit}", headers=READER).status == 200
    for revision in ("dev", "refs%2Fpr%2F1", "f" * 40, commit[:7], commit.upper()):
        answer = gateway.ask(f"/api/models/acme/m/revision/{revision}", headers=READER)
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_a_changed_model_has_another_commit(
    gateway: Running, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey
) -> None:
    put(s3, s3_bucket, "acme/m", signed(key))
    before = commit_of(gateway)
    assert gateway.ask(f"/acme/m/resolve/{before}/config.json", headers=READER).status == 200
    put(s3, s3_bucket, "acme/m", signed(key, config=b"{}"))
    after = commit_of(gateway)
    assert before != after
    # Nobody gets files of one model by the name of another.
    answer = gateway.ask(f"/acme/m/resolve/{before}/config.json", headers=READER)
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    assert gateway.ask(f"/acme/m/resolve/{after}/config.json", headers=READER).content == b"{}"


def test_a_release_can_be_had_by_its_commit_as_long_as_it_is_there(
    gateway: Running, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey
) -> None:
    old, new = (f"2026010{day}T000000Z-{'ab' * 8}-{day:08}" for day in (1, 2))
    release(s3, s3_bucket, old, signed(key, config=b"[]"))
    before = commit_of(gateway)
    release(s3, s3_bucket, new, signed(key, config=b"{}"))
    info = gateway.ask("/api/models/acme/m", headers=READER).json
    assert (info["sha"] != before, info["lastModified"]) == (True, "2026-01-02T00:00:00.000Z")
    for commit, content in ((before, b"[]"), (info["sha"], b"{}"), ("main", b"{}")):
        answer = gateway.ask(f"/acme/m/resolve/{commit}/config.json", headers=READER)
        assert (answer.status, answer.content) == (200, content)
    # A release never changes; what was changed is not what the commit stands for.
    put(s3, s3_bucket, f"acme/m/{RELEASES}/{old}", signed(key, config=b"[1]"))
    answer = gateway.ask(f"/acme/m/resolve/{before}/config.json", headers=READER)
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_what_is_decided_about_is_what_was_looked_up(
    settings: dict[str, Any],
    s3: SeaweedFS,
    s3_bucket: str,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
) -> None:
    settings["gateway"] |= {"access_seconds": 60, "denial_seconds": 0}
    config = GateConfig.model_validate(settings)
    put(s3, s3_bucket, "acme/m", signed(key, config=b"[]") | {"unsigned.bin": b"x"})
    with running(config, tmp_path / "caches") as gateway:
        # The look is remembered, and the denial is not.
        assert gateway.ask("/api/models/acme/m/tree/main", headers=READER).status == 403
        s3.client().delete_object(Bucket=s3_bucket, Key="acme/m/unsigned.bin")
        put(s3, s3_bucket, "acme/m", signed(key, config=b"{}"))
        answer = gateway.ask("/acme/m/resolve/main/config.json", headers=READER)
    assert (answer.status, answer.content) == (200, b"{}")
    with running(config, tmp_path / "others") as another:
        # Every process has the same commit for it.
        assert answer.headers["X-Repo-Commit"] == commit_of(another)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prefix": "s3://b/x"}, "readers"),
        ({"prefix": "b/x", "readers": "everybody"}, "no prefix in S3"),
        ({"prefix": "s3://bucket/../x", "readers": "everybody"}, "no prefix in S3"),
        ({"prefix": "s3://bucket?x", "readers": "everybody"}, "no prefix in S3"),
        ({"prefix": "s3://bucket/x", "readers": []}, "readers"),
        ({"prefix": "s3://bucket/x", "readers": ["secret"]}, "readers"),
    ],
)
def test_a_bucket_is_not_open_by_accident(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GateConfig.model_validate({"gateway": {"repositories": [{"owner": "acme", **given}]}})


def test_an_owner_has_one_place() -> None:
    twice = [
        {"owner": owner, "prefix": "s3://bucket/x", "readers": "everybody"}
        for owner in ("acme", "Acme")
    ]
    with pytest.raises(ValueError, match="given twice"):
        GateConfig.model_validate({"gateway": {"repositories": twice}})


def test_what_some_may_read_is_in_nothing_that_others_may() -> None:
    nested: list[dict[str, Any]] = [
        {"owner": "all", "prefix": "s3://bucket/x", "readers": "everybody"},
        {"owner": "some", "prefix": "s3://bucket/x/acme", "readers": ["0" * 64]},
    ]
    with pytest.raises(ValueError, match="a prefix of its own"):
        GateConfig.model_validate({"gateway": {"repositories": nested}})
    nested[0]["prefix"] = "s3://bucket/x/acm"
    GateConfig.model_validate({"gateway": {"repositories": nested}})


def test_the_example_shows_all_settings() -> None:
    text = (Path(__file__).parents[2] / "examples" / "gate.yaml").read_text()
    _, _, section = text.partition("\ngateway:\n")
    section, _, _ = section.partition("\n\n")
    for field in (*GatewaySettings.model_fields, *S3Repositories.model_fields):
        assert f" {field}:" in section
