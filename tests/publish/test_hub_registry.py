"""One commit with model and signature, or none: so no revision is ever unsigned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi

from oms_gate import Gate, ReasonCode, UsageError
from oms_gate.errors import SigningError, StoreError
from oms_gate.limits import Limits
from oms_gate.publish.hub_registry import HubRegistry
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Publication
from oms_gate.publish.release import release
from oms_gate.publish.rollback import statement_digest
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner
from oms_gate.stores.hub import HubStore
from tests import models
from tests.delivery.pulling import codes, gate_of, signed
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File
from tests.publish import on_hub
from tests.publish.on_hub import (
    REPOSITORY,
    TARGET,
    commits,
    contents,
    history,
    publish,
    refused,
    seen,
    there,
)

Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def folder(tmp_path: Path, key: Key) -> Path:
    """A model that Acme has signed."""
    return on_hub.release(tmp_path, key, 0)


class TestOneCommit:
    def test_in_a_new_repository(self, hub: HubStandIn, writer: Gate, folder: Path) -> None:
        came = publish(writer, folder, message="Release 1\n\nWith more words")
        commit = hub.head(REPOSITORY)
        assert came.published is not None
        assert came.published.url == f"{TARGET}@{commit}"
        assert there(hub) == contents(folder)
        assert history(hub) == [commit]
        assert seen(writer, commit).admitted
        newest, initial = HfApi(token=hub.token).list_repo_commits(REPOSITORY)
        assert (newest.title, newest.message) == ("Release 1", "With more words")
        assert initial.title == "initial commit"

    def test_on_top_of_what_was_there(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key
    ) -> None:
        folder = on_hub.release(tmp_path, key, 2)
        publish(writer, folder)
        assert commits(hub) == 1
        assert there(hub) == contents(folder)
        assert history(hub)[1:] == [first]
        assert all(seen(writer, commit).admitted for commit in history(hub))

    def test_the_same_again_is_none(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key
    ) -> None:
        came = publish(writer, on_hub.release(tmp_path / "again", key))
        assert came.published is not None
        assert came.published.url == f"{TARGET}@{first}"
        assert commits(hub) == 0

    @pytest.mark.usefixtures("first")
    def test_what_goes_goes_with_it(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
    ) -> None:
        hub.commit(REPOSITORY, {"modeling.py": b"import os\n", "old/a.bin": b"1"})
        head = hub.head(REPOSITORY)
        folder = on_hub.release(tmp_path, key, 2)
        came = publish(writer, folder)
        assert codes(came.verdict)[-1] is ReasonCode.PUBLISH_LEFT_BEHIND
        assert hub.head(REPOSITORY) == head
        publish(writer, folder, delete=["*.py", "old/*"])
        assert commits(hub) == 1
        assert there(hub) == contents(folder)

    @pytest.mark.usefixtures("first")
    def test_only_what_goes(self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key) -> None:
        """With an upload that changes nothing."""
        hub.commit(REPOSITORY, {"modeling.py": b"import os\n"})
        publish(writer, on_hub.release(tmp_path / "again", key), delete=["*.py"])
        assert there(hub) == contents(tmp_path / "again" / "release-1")
        assert seen(writer, hub.head(REPOSITORY)).admitted

    def test_large_files_of_other_stores_are_streamed(
        self, hub: HubStandIn, writer: Gate, key: Key
    ) -> None:
        """As when a release moves from one repository to another."""
        large = on_hub.weights(bytes(range(256)) * 9000)
        files = {"config.json": b"{}", "empty.txt": b"", "model.safetensors": large}
        hub.create("acme/staging", files=signed(key, files))
        target = Reference.parse(TARGET)
        source = HubStore(writer.stores, writer.limits).snapshot(
            Reference.parse("hf://acme/staging")
        )
        publication = Publication(target, overlay(target, None, source), source.files.keys())
        registry = HubRegistry(target, writer)
        came = release(writer, registry, publication)
        registry.close()
        source.close()
        assert came.verdict.admitted
        assert there(hub) == there(hub, repository="acme/staging")

    def test_pull_request(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key
    ) -> None:
        came = publish(writer, on_hub.release(tmp_path, key, 2), pull_request=True)
        assert came.published is not None
        assert came.published.pull_request == f"{hub.endpoint}/{REPOSITORY}/discussions/1"
        assert hub.head(REPOSITORY) == first
        assert there(hub, "refs/pr/1") == contents(tmp_path / "release-2")
        assert came.published.url == f"{TARGET}@{hub.head(REPOSITORY, 'refs/pr/1')}"

    def test_dataset(self, hub: HubStandIn, settings: dict[str, Any], folder: Path) -> None:
        settings["publishers"][0]["models"] = ["hf://datasets/acme/*"]
        writer = gate_of(settings).with_store_options("hf", {"token": hub.token})
        came = publish(writer, folder, "hf://datasets/acme/data")
        assert came.published is not None
        assert writer.check(came.published.url).admitted


class TestBranch:
    def test_that_was_named(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key
    ) -> None:
        hub.branch(REPOSITORY, "try/this", first)
        publish(writer, on_hub.release(tmp_path, key, 2), f"{TARGET}@try%2Fthis")
        assert there(hub, "try/this") == contents(tmp_path / "release-2")
        assert hub.head(REPOSITORY) == first

    @pytest.mark.parametrize("named", ["tag", "commit"])
    def test_that_is_none(
        self, hub: HubStandIn, writer: Gate, first: str, folder: Path, named: str
    ) -> None:
        hub.tag(REPOSITORY, "v1", first)
        revision = first if named == "commit" else "v1"
        with pytest.raises(UsageError, match="names a commit or a tag"):
            publish(writer, folder, f"{TARGET}@{revision}")

    @pytest.mark.usefixtures("first")
    def test_that_is_not_there(self, writer: Gate, folder: Path) -> None:
        refused(writer, folder, ReasonCode.STORE_REVISION_NOT_FOUND, target=f"{TARGET}@dev")
        refused(writer, folder, ReasonCode.STORE_NOT_FOUND, target="hf://acme/new@dev")

    def test_folder_of_a_repository(self, writer: Gate, folder: Path) -> None:
        with pytest.raises(UsageError, match="a folder in a repository"):
            publish(writer, folder, f"{TARGET}/sub")

    def test_new_repository_of_nobody(self, writer: Gate, folder: Path) -> None:
        with pytest.raises(UsageError, match="write the owner too"):
            publish(writer, folder, "hf://model")


class TestNothingIsSent:
    """Of what is denied, the Hub hears nothing."""

    @pytest.fixture(autouse=True)
    def nothing(self, hub: HubStandIn) -> Any:
        yield
        assert {record.method for record in hub.requests} <= {"GET"}
        assert not hub.state.repositories

    def test_of_a_model_that_was_changed(self, writer: Gate, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(on_hub.weights(b"another model"))
        came = publish(writer, folder)
        assert codes(came.verdict) == [ReasonCode.FILE_CHANGED]
        assert came.published is None

    def test_if_the_signer_fails(self, writer: Gate, folder: Path, key: Key) -> None:
        """Seen elsewhere: it is sent without a signature."""

        def make(*_: object) -> bytes:
            raise SigningError("the token is locked")

        (folder / "model.sig").unlink()
        signer = ModelSigner(make, ModelSigner.by_key(key).trust)
        with pytest.raises(SigningError, match="locked"):
            publish(writer, folder, signer=signer)

    def test_only_to_say_whether_it_may(self, writer: Gate, folder: Path) -> None:
        assert publish(writer, folder, publish=False).verdict.admitted


class TestToken:
    def test_it_goes_to_no_store_that_takes_the_bytes(
        self, hub: HubStandIn, writer: Gate, folder: Path
    ) -> None:
        """The endpoint is trusted with it, and may have it sent on.

        huggingface_hub sends it to whatever address the endpoint names for the confirmation of an
        upload (the action `verify` of LFS): nobody but the endpoint can name another one.
        """
        publish(writer, folder)
        authorized = {(record.origin, record.authorized) for record in hub.requests}
        assert authorized == {("api", True), ("cdn", False)}
        assert not any(hub.token in str(record.query) for record in hub.requests)

    @pytest.mark.parametrize("path", ["*/preupload/*", "*/objects/batch", "*/commit/*"])
    def test_wherever_it_is_redirected(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key, path: str
    ) -> None:
        hub.inject(faults.Redirect(f"{hub.cdn.url}/x", 307), path, origin="api")
        with pytest.raises(StoreError):
            publish(writer, on_hub.release(tmp_path, key, 2))
        assert not any(record.authorized for record in hub.requests if record.origin == "cdn")
        assert hub.head(REPOSITORY) == first

    def test_there_is_none(self, hub: HubStandIn, settings: dict[str, Any], folder: Path) -> None:
        hub.create(REPOSITORY, files={})
        writer = gate_of(settings).with_store_options("hf", {"token": False})
        said = refused(writer, folder, ReasonCode.STORE_FORBIDDEN)
        assert "HF_TOKEN" in said


ANSWERS: dict[str, tuple[str, faults.Fault, ReasonCode]] = {
    "401": ("*/commit/*", faults.Status(401), ReasonCode.STORE_FORBIDDEN),
    "403": ("*/preupload/*", faults.Status(403), ReasonCode.STORE_FORBIDDEN),
    "gone": ("*/commit/*", faults.refusal(404, "RepoNotFound"), ReasonCode.STORE_NOT_FOUND),
    "no branch": (
        "*/preupload/*",
        faults.refusal(404, "RevisionNotFound"),
        ReasonCode.STORE_REVISION_NOT_FOUND,
    ),
    "412": ("*/commit/*", faults.Status(412), ReasonCode.STORE_CHANGED),
    "400": ("*/commit/*", faults.Status(400), ReasonCode.STORE_PROTOCOL),
    "429": ("*/commit/*", faults.too_many_requests(1), ReasonCode.STORE_UNAVAILABLE),
    "503": ("*/commit/*", faults.Status(503), ReasonCode.STORE_UNAVAILABLE),
    "dropped": ("*/commit/*", faults.Drop(), ReasonCode.STORE_UNAVAILABLE),
    "no JSON": ("*/commit/*", faults.Status(200, {}, b"<html>"), ReasonCode.STORE_PROTOCOL),
    "nothing": ("*/preupload/*", faults.Status(200, {}, b"{}"), ReasonCode.STORE_PROTOCOL),
    "large file": ("*/uploads/*", faults.Status(403), ReasonCode.STORE_PROTOCOL),
    "card": (
        "*/validate-yaml",
        faults.Status(400, {}, b'{"errors": [{"message": "license is no license"}]}'),
        ReasonCode.STORE_PROTOCOL,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_the_hub_answers(
    hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key, name: str
) -> None:
    path, fault, code = ANSWERS[name]
    hub.inject(fault, path)
    said = refused(writer, on_hub.release(tmp_path, key, 2), code)
    lost = code is ReasonCode.STORE_UNAVAILABLE
    assert ("may have been published all the same" in said) == lost
    assert ("license is no license" in said) == (name == "card")
    assert len(said) < 500
    assert hub.head(REPOSITORY) == first


@pytest.mark.usefixtures("first")
def test_a_commit_that_is_none(hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key) -> None:
    hub.inject(faults.EditJson(lambda answer: answer | {"commitOid": "../x"}), "*/commit/*")
    refused(writer, on_hub.release(tmp_path, key, 2), ReasonCode.STORE_PROTOCOL)


BUNDLES = {
    name: models.signature({"a.txt": name.encode()}, models.new_key())
    for name in ("one", "two", "three", "present")
}


def stated(*names: str) -> list[str | None]:
    return [statement_digest(BUNDLES[name], Limits()) for name in names]


class TestEarlierStatements:
    @pytest.fixture
    def registry(self, hub: HubStandIn, writer: Gate) -> Any:
        hub.create(REPOSITORY, files={"a.txt": b"before there was any"})
        for files in (
            {"model.sig": BUNDLES["one"]},
            {"model.sig": BUNDLES["one"], "a.txt": b"1"},
            {"model.sig": File(BUNDLES["two"], lfs=True)},
            {"model.sig": None},
            {"model.sig": BUNDLES["three"]},
            {"model.sig": b"no signature"},
            {"model.sig": BUNDLES["one"]},
            {"model.sig": BUNDLES["present"], "a.txt": b"2"},
            {"a.txt": b"3"},
        ):
            hub.commit(REPOSITORY, files)
        registry = HubRegistry(Reference.parse(TARGET), writer)
        hub.clear()
        yield registry
        registry.close()

    def test_newest_first_and_each_read_once(self, hub: HubStandIn, registry: HubRegistry) -> None:
        assert list(registry.earlier_statements()) == stated("one", "three", "two")
        read = [record.file for record in hub.requests if record.file and record.status == 200]
        assert read == ["model.sig"] * 4

    def test_in_pages(self, hub: HubStandIn, registry: HubRegistry) -> None:
        hub.state.page_size = 2
        assert len(list(registry.earlier_statements())) == 3
        hub.clear()
        next(iter(registry.earlier_statements()))
        assert sum("/commits/" in record.path for record in hub.requests) == 2

    @pytest.mark.usefixtures("hub", "registry")
    def test_only_so_far_back(self, writer: Gate) -> None:
        writer.limits = writer.limits.model_copy(update={"history_commits": 2})
        limited = HubRegistry(Reference.parse(TARGET), writer)
        assert list(limited.earlier_statements()) == stated("one")
        limited.close()

    @pytest.mark.parametrize("answer", [b"{}", b'[{"id": 1}]', b'[{"id": "../x"}]', b"[]"], ids=str)
    def test_commits_that_are_none(
        self, hub: HubStandIn, registry: HubRegistry, answer: bytes
    ) -> None:
        next_page = {"Link": f'<{hub.endpoint}/api/models/x/commits/y>; rel="next"'}
        hub.inject(faults.Status(200, next_page, answer), "*/commits/*")
        with pytest.raises(StoreError) as caught:
            list(registry.earlier_statements())
        assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL

    @pytest.mark.usefixtures("first")
    def test_back_to_an_older_release(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
    ) -> None:
        """Signed just as validly as the present one."""
        publish(writer, on_hub.release(tmp_path, key, 2))
        head = hub.head(REPOSITORY)
        came = publish(writer, on_hub.release(tmp_path / "again", key))
        assert codes(came.verdict) == [ReasonCode.PUBLISH_ROLLBACK]
        assert hub.head(REPOSITORY) == head
