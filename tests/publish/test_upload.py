"""Uploads by huggingface_hub's own names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import CommitInfo, HfApi

from oms_gate import AdmissionDenied, ConfigError, Gate, ReasonCode, UsageError
from oms_gate.errors import StoreError
from oms_gate.publish import ModelSigner, push_to_hub, upload_file, upload_folder
from tests.delivery.pulling import codes, gate_of
from tests.peers.hub import HubStandIn
from tests.publish import on_hub
from tests.publish.on_hub import REPOSITORY, commits, contents, history, seen, there

Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def signer(key: Key) -> ModelSigner:
    return ModelSigner.by_key(key)


@pytest.fixture
def unsigned(tmp_path: Path, key: Key) -> Path:
    """A folder with a model that nobody has signed yet."""
    folder = on_hub.release(tmp_path, key, 7)
    (folder / "model.sig").unlink()
    return folder


@pytest.fixture(autouse=True)
def every_revision(hub: HubStandIn, writer: Gate) -> Any:
    """Whatever was published was signed as a whole."""
    yield
    if hub.state.repositories:
        commits = [commit for commit in history(hub) if "model.sig" in there(hub, commit)]
        assert all(seen(writer, commit).admitted for commit in commits)


class TestFolder:
    def test_is_signed_and_is_one_commit(
        self, hub: HubStandIn, writer: Gate, unsigned: Path, signer: ModelSigner
    ) -> None:
        info = upload_folder(
            repo_id=REPOSITORY,
            folder_path=str(unsigned),
            commit_message="Release 7",
            commit_description="With more words",
            gate=writer,
            signer=signer,
        )
        assert commits(hub) == 1
        assert there(hub) == contents(unsigned)
        assert "model.sig" in there(hub)
        assert type(info) is CommitInfo
        assert info.oid == hub.head(REPOSITORY)
        assert info.commit_url == f"{hub.endpoint}/{REPOSITORY}/commit/{info.oid}"
        assert info.repo_url.repo_id == REPOSITORY
        assert (info.commit_message, info.commit_description) == ("Release 7", "With more words")
        assert info.pr_url is None
        newest = HfApi(token=hub.token).list_repo_commits(REPOSITORY)[0]
        assert (newest.title, newest.message) == ("Release 7", "With more words")

    def test_with_patterns_on_a_branch(
        self, hub: HubStandIn, writer: Gate, first: str, unsigned: Path, signer: ModelSigner
    ) -> None:
        hub.branch(REPOSITORY, "dev", first)
        hub.commit(REPOSITORY, {"modeling.py": b"1"}, revision="dev")
        (unsigned / "notes.tmp").write_text("x")
        upload_folder(
            repo_id=REPOSITORY,
            folder_path=unsigned,
            path_in_repo="./",
            token=hub.token,
            repo_type="model",
            revision="dev",
            allow_patterns=["*.json", "*.tmp", "*.md", "*.safetensors"],
            ignore_patterns="*.tmp",
            delete_patterns="*.py",
            gate=writer.with_store_options("hf", {"token": False}),
            signer=signer,
        )
        assert set(there(hub, "dev")) == set(contents(unsigned)) - {"notes.tmp"}
        assert there(hub, "dev")["README.md"] == b"# Release 7\n"
        assert hub.head(REPOSITORY) == first

    @pytest.mark.usefixtures("first")
    def test_below_a_folder_of_what_is_there(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, signer: ModelSigner
    ) -> None:
        """One signature over both; it is none of the folder's."""
        (tmp_path / "part").mkdir()
        (tmp_path / "part" / "config.json").write_text("{}")
        upload_folder(
            repo_id=REPOSITORY,
            folder_path=tmp_path / "part",
            path_in_repo="parts/1/",
            gate=writer,
            signer=signer,
        )
        assert "parts/1/config.json" in there(hub)
        assert seen(writer, "main").admitted
        assert set(contents(tmp_path / "part")) == {"config.json"}

    def test_in_a_pull_request(
        self, hub: HubStandIn, writer: Gate, first: str, unsigned: Path, signer: ModelSigner
    ) -> None:
        info = upload_folder(
            repo_id=REPOSITORY, folder_path=unsigned, create_pr=True, gate=writer, signer=signer
        )
        assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
        assert info.oid == hub.head(REPOSITORY, "refs/pr/1")
        assert hub.head(REPOSITORY) == first

    def test_that_is_denied_is_not_sent(
        self, hub: HubStandIn, writer: Gate, first: str, unsigned: Path
    ) -> None:
        with pytest.raises(AdmissionDenied) as caught:
            upload_folder(repo_id="acme/new", folder_path=unsigned, gate=writer)
        assert codes(caught.value.verdict) == [ReasonCode.SIGNATURE_MISSING]
        assert {record.method for record in hub.requests} == {"GET"}
        # Here there is one, of another release.
        with pytest.raises(AdmissionDenied) as caught:
            upload_folder(repo_id=REPOSITORY, folder_path=unsigned, gate=writer)
        assert ReasonCode.FILE_CHANGED in codes(caught.value.verdict)
        assert (commits(hub), hub.head(REPOSITORY)) == (0, first)

    def test_that_the_hub_does_not_take(
        self, hub: HubStandIn, writer: Gate, unsigned: Path, signer: ModelSigner
    ) -> None:
        writer = writer.with_store_options("hf", {"token": hub.state.outsider_token})
        with pytest.raises(StoreError, match="HF_TOKEN") as caught:
            upload_folder(repo_id=REPOSITORY, folder_path=unsigned, gate=writer, signer=signer)
        assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN

    def test_that_is_denied_in_whatever_mode(
        self, hub: HubStandIn, settings: dict[str, Any], unsigned: Path
    ) -> None:
        gate = gate_of(settings | {"mode": "annotate"})
        with pytest.raises(AdmissionDenied):
            upload_folder(repo_id=REPOSITORY, folder_path=unsigned, token=hub.token, gate=gate)
        assert not hub.state.repositories

    def test_by_the_gate_of_the_environment(
        self,
        hub: HubStandIn,
        settings: dict[str, Any],
        unsigned: Path,
        tmp_path: Path,
        signer: ModelSigner,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        upload: dict[str, Any] = {"repo_id": REPOSITORY, "folder_path": unsigned, "signer": signer}
        with pytest.raises(ConfigError, match="OMS_GATE_CONFIG"):
            upload_folder(**upload)
        (tmp_path / "gate.yaml").write_text(json.dumps(settings))
        monkeypatch.setenv("OMS_GATE_CONFIG", str(tmp_path / "gate.yaml"))
        monkeypatch.setenv("HF_TOKEN", hub.token)
        upload_folder(**upload)
        assert there(hub) == contents(unsigned)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"repo_type": "kernel"}, "no type of repository"),
            ({"repo_id": "../x"}, "is not a model reference|is not a repository|'..' part"),
            ({"path_in_repo": "a/../b"}, "not a plain relative path"),
            ({"folder_path": "/absent"}, "is no folder"),
        ],
    )
    def test_what_cannot_be_meant(
        self, writer: Gate, unsigned: Path, options: dict[str, Any], said: str
    ) -> None:
        upload = {"repo_id": REPOSITORY, "folder_path": unsigned, "gate": writer, **options}
        with pytest.raises(UsageError, match=said):
            upload_folder(**upload)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "path": str,
    "Path": lambda path: path,
    "bytes": Path.read_bytes,
    "stream": lambda path: io.BytesIO(path.read_bytes()),
}


class TestFile:
    @pytest.mark.usefixtures("first")
    @pytest.mark.parametrize("source", SOURCES)
    def test_with_a_signature_over_all_files(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, signer: ModelSigner, source: str
    ) -> None:
        """Whose digests the present one has, so the weights are not downloaded."""
        before = there(hub)
        (tmp_path / "new").write_bytes(b"# Another card\n")
        info = upload_file(
            path_or_fileobj=SOURCES[source](tmp_path / "new"),
            path_in_repo="README.md",
            repo_id=REPOSITORY,
            gate=writer,
            signer=signer,
        )
        assert commits(hub) == 1
        # The Hub declares no digest of the small one, so that is looked into.
        read = {record.file for record in hub.requests if record.file}
        assert read == {"model.sig", "config.json"}
        after = there(hub)
        assert after.pop("model.sig") != before.pop("model.sig")
        assert after == before | {"README.md": b"# Another card\n"}
        assert seen(writer, info.oid).admitted

    def test_in_lfs_and_in_a_folder(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, signer: ModelSigner
    ) -> None:
        (tmp_path / "w").write_bytes(on_hub.weights(b"1" * 100_000))
        upload_file(
            path_or_fileobj=tmp_path / "w",
            path_in_repo="a/b.safetensors",
            repo_id=REPOSITORY,
            gate=writer,
            signer=signer,
        )
        assert there(hub)["a/b.safetensors"] == (tmp_path / "w").read_bytes()

    def test_without_a_signer(self, hub: HubStandIn, writer: Gate, first: str) -> None:
        """Then the signature that is there would not fit any more."""
        with pytest.raises(AdmissionDenied) as caught:
            upload_file(
                path_or_fileobj=b"# x\n", path_in_repo="README.md", repo_id=REPOSITORY, gate=writer
            )
        assert codes(caught.value.verdict) == [ReasonCode.FILE_CHANGED]
        assert hub.head(REPOSITORY) == first

    def test_beside_what_nobody_vouches_for(
        self, hub: HubStandIn, writer: Gate, signer: ModelSigner
    ) -> None:
        hub.create(REPOSITORY, files={"modeling.py": b"1"})
        with pytest.raises(AdmissionDenied) as caught:
            upload_file(
                path_or_fileobj=b"# x\n",
                path_in_repo="README.md",
                repo_id=REPOSITORY,
                gate=writer,
                signer=signer,
            )
        assert ReasonCode.PUBLISH_LEFT_BEHIND in codes(caught.value.verdict)

    @pytest.mark.parametrize("path", ["/README.md", "./README.md", "a/../b", ""])
    def test_under_a_name_that_is_none(self, writer: Gate, path: str) -> None:
        """huggingface_hub would make another one of it."""
        with pytest.raises(UsageError, match="not a plain relative path"):
            upload_file(path_or_fileobj=b"", path_in_repo=path, repo_id=REPOSITORY, gate=writer)

    def test_that_is_not_there(self, writer: Gate, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is no file"):
            upload_file(path_or_fileobj=tmp_path, path_in_repo="a", repo_id=REPOSITORY, gate=writer)


class Saved:
    """What has `save_pretrained`, as a model without a library."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def save_pretrained(self, save_directory: str | Path) -> None:
        for path, content in self.files.items():
            (Path(save_directory) / path).write_bytes(content)


class TestPush:
    def test_several_in_one_commit(
        self, hub: HubStandIn, writer: Gate, signer: ModelSigner
    ) -> None:
        from transformers import BertConfig

        weights = on_hub.weights(b"1" * 1000)
        model, tokenizer = Saved({"model.safetensors": weights}), Saved({"vocab.txt": b"a\n"})
        info = push_to_hub(
            model,
            tokenizer,
            BertConfig(num_hidden_layers=1),
            repo_id=REPOSITORY,
            commit_message="Push",
            gate=writer,
            signer=signer,
        )
        assert commits(hub) == 1
        assert set(there(hub)) == {"config.json", "model.safetensors", "model.sig", "vocab.txt"}
        assert seen(writer, info.oid).admitted

    def test_nothing(self, writer: Gate) -> None:
        with pytest.raises(UsageError, match="nothing to push"):
            push_to_hub(repo_id=REPOSITORY, gate=writer)

    def test_what_runs_code(self, hub: HubStandIn, writer: Gate, signer: ModelSigner) -> None:
        import pickle

        model = Saved({"pytorch_model.bin": pickle.dumps({"a": [1, 2]})})
        with pytest.raises(AdmissionDenied) as caught:
            push_to_hub(model, repo_id=REPOSITORY, gate=writer, signer=signer)
        assert codes(caught.value.verdict) == [ReasonCode.PUBLISH_FORMAT]
        assert not hub.state.repositories


def test_what_the_room_offers() -> None:
    from oms_gate import publish

    assert all(getattr(publish, name) is not None for name in publish.__all__)
    with pytest.raises(AttributeError, match="no attribute 'upload_large_folder'"):
        assert publish.upload_large_folder
