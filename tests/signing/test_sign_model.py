"""Models signed where they lie are admitted there, and nothing is signed that would not be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from huggingface_hub import HfApi

from oms_gate.errors import ConfigError, SignatureError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HASH_TYPES, HashType
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.signing.model import ModelSigner
from oms_gate.stores import StoreSettings
from tests import models
from tests.corpus import needs_corpus
from tests.oms import forge
from tests.oms.schemas import assert_schema_valid
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.signing.signed import KEY, SIGNER, checked, sign

NOW = datetime.now(UTC)
DAYS = timedelta(days=1)


@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize("shard_size", [None, 1000])
def test_a_folder(
    model: Path, public_key: Path, hash_type: HashType, shard_size: int | None
) -> None:
    signed = sign(model, hash_type=hash_type, shard_size=shard_size)
    assert signed.url == f"file://{model}/model.sig"
    assert signed.bytes == sum(map(len, models.FILES.values()))
    assert signed.manifest.hash_type == hash_type
    assert signed.manifest.shard_size == shard_size
    assert signed.manifest.allow_symlinks is False
    names = [resource.name for resource in signed.manifest.resources]
    assert names == sorted(names)
    verdict = checked(model, public_key)
    assert verdict.admitted, verdict.reasons
    assert verdict.coverage is not None
    assert verdict.coverage.signed == len(models.FILES)
    (model / "config.json").write_bytes(b"{}")
    assert not checked(model, public_key).admitted


@needs_corpus
@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize("shard_size", [None, 1000])
def test_a_folder_is_valid_under_the_published_schemas(
    model: Path, hash_type: HashType, shard_size: int | None
) -> None:
    sign(model, hash_type=hash_type, shard_size=shard_size)
    assert_schema_valid((model / "model.sig").read_bytes())


def test_a_second_signature_takes_the_place_of_the_first(model: Path, public_key: Path) -> None:
    sign(model, ModelSigner.by_key(models.new_key()))
    assert not checked(model, public_key).admitted
    sign(model)
    assert checked(model, public_key).admitted
    assert sorted(path.name for path in model.iterdir()) == sorted([*models.FILES, "model.sig"])


def test_a_single_file(model: Path, public_key: Path) -> None:
    weights = model / "model.safetensors"
    signed = sign(weights)
    assert signed.url == f"file://{weights}.sig"
    assert list(signed.manifest.files) == ["model.safetensors"]
    assert checked(weights, public_key).admitted
    weights.write_bytes(b"other")
    assert not checked(weights, public_key).admitted


def test_what_is_left_out_is_stated(model: Path, public_key: Path) -> None:
    models.write(model, {"logs/a/b.txt": b"1", "logs.txt": b"2", ".git/HEAD": b"3"})
    signed = sign(model, ignore_paths=["./logs/", "absent.json"])
    assert sorted(signed.manifest.files) == [
        "README.md",
        "config.json",
        "logs.txt",
        "model.safetensors",
    ]
    assert {"logs", "absent.json", ".git", "model.sig"} <= set(signed.manifest.ignore_paths)
    assert checked(model, public_key).admitted


def test_there_is_a_warning_of_what_loaders_read(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models.write(model, {"extra/a.py": b"", "extra/b.py": b"", "extras.py": b""})
    sign(model, ignore_paths=["extra", "README.md"])
    assert "extra is left out, but loaders may read extra/a.py and more" in caplog.text
    assert "README.md" not in caplog.text
    caplog.clear()
    models.write(model, {"ex.py": b""})
    sign(model, ignore_paths=["ex"])
    assert "ex is to be left out, but there is no such path" in caplog.text
    assert "loaders" not in caplog.text


@pytest.mark.parametrize("path", ["../outside", "/etc", "a/../b", "", ".", "./", "/", "a\\b"])
def test_paths_that_are_none_of_the_model_are_refused(
    model: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    sign(model, ignore_paths=["b"])
    (model / "model.sig").unlink()
    assert "no such path" in caplog.text
    caplog.clear()
    with pytest.raises(UsageError, match="the path to leave out"):
        sign(model, ignore_paths=["b", path])
    assert not (model / "model.sig").exists()
    assert caplog.text == ""


@pytest.mark.parametrize("pattern", ["*.md", "README.m?", "logs/[ab].txt"])
def test_what_is_left_out_is_no_pattern(model: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="no patterns"):
        sign(model, ignore_paths=[pattern])
    with pytest.raises(UsageError, match="the name of the signature"):
        sign(model, signature=pattern)
    with pytest.raises(UsageError, match="the name of the signature"):
        sign(model, output=model / pattern.replace("/", ""))
    assert {path.name for path in model.iterdir()} == set(models.FILES)


def test_a_single_file_of_any_name(model: Path, public_key: Path) -> None:
    """What is beside it is not left out of it, so there is nothing to state."""
    weights = (model / "model.safetensors").rename(model / "[1].gguf")
    for _ in range(2):
        assert "[1].gguf.sig" not in sign(weights).manifest.ignore_paths
        assert checked(weights, public_key).admitted


def test_nothing_is_not_signed(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "empty", {".git/HEAD": b"", "model.sig": b""})
    with pytest.raises(UsageError, match="no file to sign"):
        sign(folder)
    models.write(folder, {"a": b""})
    sign(folder)


@pytest.mark.parametrize("path", [".oms-gate-", "sub/.oms-gate-"])
def test_what_an_interrupted_signing_left_is_not_signed(model: Path, path: str) -> None:
    models.write(model, {path + "0123456789abcdef": b"half a signa", path + "notes.txt": b""})
    with pytest.raises(StoreError, match=f"{path}0123456789abcdef .* delete it") as caught:
        sign(model)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE
    (model / f"{path}0123456789abcdef").unlink()
    sign(model)


def test_a_link_is_not_signed(model: Path) -> None:
    (model / "link.bin").symlink_to(model / "model.safetensors")
    with pytest.raises(StoreError) as caught:
        sign(model)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE
    (model / "link.bin").unlink()
    sign(model)


def test_a_name_that_no_verifier_takes_is_not_signed(model: Path) -> None:
    models.write(model, {"Config.json": b""})
    with pytest.raises(SignatureError) as caught:
        sign(model)
    assert caught.value.reason.code is ReasonCode.STATEMENT_UNSAFE_NAME


def test_shards_cannot_cover_an_empty_file(model: Path, public_key: Path) -> None:
    models.write(model, {"__init__.py": b""})
    with pytest.raises(UsageError, match=r"__init__\.py is empty"):
        sign(model, shard_size=10)
    sign(model)
    assert checked(model, public_key).admitted
    sign(model, shard_size=10, ignore_paths=["__init__.py"])


def test_what_cannot_be_written_is_refused_before_anything_is_hashed(model: Path) -> None:
    def read_nothing(*_: object) -> bytes:
        raise AssertionError("it was hashed and signed")

    never = ModelSigner(read_nothing, SIGNER.trust)
    sign(model, output=model.parent / "earlier.sig")
    (model.parent / "link").symlink_to("earlier.sig")
    os.mkfifo(model.parent / "pipe")
    refusals: tuple[tuple[str, dict[str, Any]], ...] = (
        ("is no signature", {"signature": "config.json"}),
        ("not on the Hub", {"pull_request": True}),
        ("not there or not yours", {"output": model / "absent" / "x.sig"}),
        ("not there or not yours", {"signature": "absent/x.sig"}),
        ("is a folder", {"output": model.parent}),
        ("is a link", {"output": model.parent / "link"}),
        ("a pipe", {"output": model.parent / "pipe"}),
        ("no pull request", {"output": model.parent / "x.sig", "pull_request": True}),
        ("is absolute", {"ignore_paths": ["/x"]}),
        ("no size of shards", {"shard_size": 0}),
        ("no size of shards", {"shard_size": -1}),
        ("no size of shards", {"shard_size": 2**63}),
        ("no hash type", {"hash_type": "md5"}),
        (r"limits\.resources", {"shard_size": 1, "limits": Limits(resources=10)}),
        (r"limits\.bundle_bytes", {"limits": Limits(bundle_bytes=1024)}),
    )
    for says, settings in refusals:
        with pytest.raises(UsageError, match=says):
            sign(model, never, **settings)


def test_a_signature_that_verifiers_find_too_large_is_not_made(model: Path) -> None:
    made: list[bytes] = []

    def counted(payload: bytes) -> bytes:
        made.append(SIGNER.make(payload))
        return made[-1]

    signer = ModelSigner(counted, SIGNER.trust)
    with pytest.raises(UsageError, match="larger shards"):
        sign(model, signer, shard_size=1000, limits=Limits(bundle_bytes=64 * 1024))
    assert made == []
    sign(model, signer, limits=Limits(bundle_bytes=64 * 1024))


def test_the_same_model_makes_the_same_statement(model: Path) -> None:
    payloads = set()
    for name in ("a.sig", "b.sig"):
        sign(model, output=model.parent / name)
        bundle = json.loads((model.parent / name).read_bytes())
        payloads.add(bundle["dsseEnvelope"]["payload"])
    assert len(payloads) == 1


def signed_by_certificate(model: Path) -> tuple[bytes, forge.Party]:
    """A signature by a certificate, and the root that vouches for it."""
    window: forge.Json = {"start": NOW - DAYS, "end": NOW + DAYS}
    root = forge.issue("root", **window)
    leaf = forge.issue_leaf("leaf", root, **window)
    chain = [leaf.certificate, root.certificate]
    sign(model, ModelSigner.by_certificate(leaf.private_key, chain))
    return (model / "model.sig").read_bytes(), root


def test_a_certificate(model: Path) -> None:
    bundle, root = signed_by_certificate(model)
    forge.checked(bundle, forge.anchored(root), at=NOW)


@needs_corpus
def test_a_certificate_is_valid_under_the_published_schemas(model: Path) -> None:
    bundle, _ = signed_by_certificate(model)
    assert_schema_valid(bundle)


def signing_parties() -> Mapping[str, tuple[forge.Party, ...]]:
    window: forge.Json = {"start": NOW - DAYS, "end": NOW + DAYS}
    root = forge.issue("root", **window)
    middle = forge.issue("middle", root, **window)
    leaf_of_two = forge.issue_leaf("leaf", middle, **window)
    return {
        "expired": (forge.issue_leaf("leaf", root, start=NOW - 2 * DAYS, end=NOW - DAYS), root),
        "for the web": (forge.issue_leaf("leaf", root, more=[forge.TLS_SERVER], **window), root),
        "of another issuer": (forge.issue_leaf("leaf", forge.issue("x"), **window), root),
        "out of order": (leaf_of_two, root, middle),
        "nobody's": (forge.issue_leaf("", root, subject=x509.Name([]), **window), root),
    }


@pytest.mark.parametrize(
    "flaw", ["expired", "for the web", "of another issuer", "out of order", "nobody's"]
)
def test_a_certificate_that_verifiers_refuse_signs_nothing(flaw: str) -> None:
    leaf, *others = signing_parties()[flaw]
    chain = [leaf.certificate, *(party.certificate for party in others)]
    # Before there is anything to sign with, so before a model is hashed.
    with pytest.raises(ConfigError, match="would be refused"):
        ModelSigner.by_certificate(leaf.private_key, chain)


def test_the_certificate_that_is_out_of_order_is_named() -> None:
    leaf, root, middle = signing_parties()["out of order"]
    chain = [leaf.certificate, root.certificate, middle.certificate]
    with pytest.raises(ConfigError, match=r"CN=root.* follows .*CN=leaf.* and has not issued it"):
        ModelSigner.by_certificate(leaf.private_key, chain)
    chain = [leaf.certificate, middle.certificate, root.certificate]
    ModelSigner.by_certificate(leaf.private_key, chain)


def test_a_certificate_of_another_key_signs_nothing(model: Path) -> None:
    leaf, root = signing_parties()["expired"]
    with pytest.raises(ConfigError, match="belongs to another key"):
        sign(model, ModelSigner.by_certificate(KEY, [leaf.certificate, root.certificate]))


def test_a_signature_over_something_else_is_not_written(model: Path) -> None:
    other = Manifest("files", "sha256", None, False, (), (Resource("a", "ab" * 32),))
    signer = ModelSigner(lambda _: sign_with_key(payload_of(other, "m"), KEY), SIGNER.trust)
    with pytest.raises(ConfigError, match="would not say what was signed"):
        sign(model, signer)
    with pytest.raises(ConfigError, match="would be refused"):
        sign(model, ModelSigner(SIGNER.make, Trust()))
    assert not (model / "model.sig").exists()


def test_a_file_that_changes_meanwhile_is_not_signed(model: Path) -> None:
    def sign_late(payload: bytes) -> bytes:
        (model / "new.py").write_bytes(b"")
        return SIGNER.make(payload)

    with pytest.raises(StoreError) as caught:
        sign(model, ModelSigner(sign_late, SIGNER.trust))
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert not (model / "model.sig").exists()


@pytest.mark.parametrize("shard_size", [None, 100_000])
def test_a_prefix_of_a_bucket(
    s3: SeaweedFS, s3_bucket: str, public_key: Path, shard_size: int | None
) -> None:
    for path, content in models.FILES.items():
        s3.put(s3_bucket, f"m/{path}", content)
    stores = StoreSettings(options={"s3": s3.storage_options()})
    url = f"s3://{s3_bucket}/m"
    assert sign(url, stores=stores, shard_size=shard_size).url == f"{url}/model.sig"
    verdict = checked(url, public_key, stores)
    assert verdict.admitted, verdict.reasons
    sign(url, stores=stores)
    assert checked(url, public_key, stores).admitted
    single = f"{url}/model.safetensors"
    assert sign(single, stores=stores).url == f"{single}.sig"
    assert checked(single, public_key, stores).admitted


@pytest.fixture
def token(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)


@pytest.mark.usefixtures("token")
def test_a_branch_of_a_repository(hub: HubStandIn, public_key: Path) -> None:
    before = hub.create("org/model", files=models.FILES)
    signed = sign("hf://org/model", message="Sign it")
    (commit, *_) = HfApi(endpoint=hub.endpoint).list_repo_commits("org/model")
    assert commit.commit_id != before
    assert commit.title == "Sign it"
    assert signed.url == f"hf://org/model@{commit.commit_id}/model.sig"
    verdict = checked("hf://org/model", public_key)
    assert verdict.admitted, verdict.reasons
    assert verdict.model.revision == commit.commit_id


@pytest.mark.usefixtures("token")
def test_a_pull_request_for_a_repository(hub: HubStandIn, public_key: Path) -> None:
    before = hub.create("org/model", files=models.FILES)
    signed = sign("hf://org/model", pull_request=True)
    assert signed.pull_request is not None
    assert HfApi(endpoint=hub.endpoint).model_info("org/model").sha == before
    assert not checked("hf://org/model", public_key).admitted
    assert checked("hf://org/model@refs/pr/1", public_key).admitted
