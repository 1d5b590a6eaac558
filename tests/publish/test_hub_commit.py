"""What is sent to the Hub: the bytes that were judged, all of them, by one of all who publish."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, ReasonCode
from oms_gate.errors import MeasureError, StepError, StoreError
from oms_gate.publish import ModelSigner, upload_file
from oms_gate.publish.hub_registry import HubRegistry
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Publication
from oms_gate.publish.release import Release, Upload, release, release_folder
from oms_gate.reference import Reference
from oms_gate.stores.hub import HubStore
from tests import models
from tests.delivery.pulling import gate_of, signed
from tests.peers import faults
from tests.peers.content import sha256_of
from tests.peers.hub import HubStandIn
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


class TestWhatTheHubLeavesOut:
    """Its client drops without a word what the Hub tells it to."""

    @pytest.mark.parametrize("path", ["README.md", "model.safetensors", "model.sig"])
    def test_by_an_answer_that_lies(
        self, hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key, path: str
    ) -> None:
        def ignore(answer: Any) -> Any:
            for file in answer["files"]:
                file["shouldIgnore"] = file["path"] == path
            return answer

        hub.inject(faults.EditJson(ignore), "*/preupload/*")
        folder = on_hub.release(tmp_path, key, 2)
        assert path in refused(writer, folder, ReasonCode.PUBLISH_LEFT_OUT)
        assert (commits(hub), hub.head(REPOSITORY)) == (0, first)

    @pytest.mark.usefixtures("first")
    def test_by_an_answer_that_says_it_is_there(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
    ) -> None:
        """Its client would leave out the weights, as what has not changed."""
        folder = on_hub.release(tmp_path, key, 2)
        digest = sha256_of((folder / "model.safetensors").read_bytes())

        def known(answer: Any) -> Any:
            for file in answer["files"]:
                if file["path"] == "model.safetensors":
                    file["oid"] = digest
            return answer

        hub.inject(faults.EditJson(known), "*/preupload/*")
        publish(writer, folder)
        assert there(hub) == contents(folder)

    @pytest.mark.parametrize("gone", [True, False], ids=["nothing there", "another one there"])
    @pytest.mark.usefixtures("first")
    def test_by_the_file_that_is_there(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key, gone: bool
    ) -> None:
        files = {".gitignore": b"*.safetensors\n", "model.safetensors": None if gone else b"old"}
        head = hub.commit(REPOSITORY, files)
        came = publish(writer, on_hub.release(tmp_path, key, 2))
        (said,) = {
            reason.message
            for reason in came.verdict.reasons
            if reason.code is ReasonCode.PUBLISH_LEFT_OUT
        }
        assert said.startswith("model.safetensors is signed, but would not be sent: the .gitignore")
        assert (commits(hub), hub.head(REPOSITORY)) == (0, head)


def together(gate: Gate, folders: Sequence[Path]) -> list[str | ReasonCode]:
    """What comes of it where all have seen the same, and publish at the same time."""
    start = threading.Barrier(len(folders))
    outcomes: list[str | ReasonCode] = []

    def run(registry: HubRegistry, folder: Path) -> None:
        start.wait()
        try:
            came = release_folder(gate, registry, Upload(folder))
            outcomes.append(came.published.url if came.published else ReasonCode.INTERNAL_ERROR)
        except StepError as error:
            outcomes.append(error.reason.code)
        finally:
            registry.close()

    threads = [
        threading.Thread(target=run, args=(HubRegistry(Reference.parse(TARGET), gate), folder))
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


class TestOthersPublishToo:
    def test_of_twenty_one_comes_first(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
    ) -> None:
        """Also where there is no repository yet; and every revision is a whole one."""
        for turn in range(2):
            numbers = range(20 * turn, 20 * turn + 20)
            folders = [on_hub.release(tmp_path, key, number) for number in numbers]
            outcomes = together(writer, folders)
            assert outcomes.count(ReasonCode.STORE_CHANGED) == 19, outcomes
            assert f"{TARGET}@{hub.head(REPOSITORY)}" in outcomes
            assert len(history(hub)) == turn + 1
        assert all(seen(writer, commit).admitted for commit in history(hub))

    @pytest.mark.parametrize("at", ["*/preupload/*", "*/commit/*"])
    @pytest.mark.usefixtures("first")
    def test_at_the_last_moment(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key, at: str
    ) -> None:
        move = faults.CallBefore(lambda: hub.commit(REPOSITORY, {"a.txt": b"1"}))
        hub.inject(move, at, times=1)
        said = refused(writer, on_hub.release(tmp_path, key, 2), ReasonCode.STORE_CHANGED)
        assert "somebody else has published" in said
        assert set(there(hub)) == {*contents(tmp_path / "release-2"), "a.txt"}

    @pytest.mark.usefixtures("first")
    def test_the_same(self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key) -> None:
        """Then there is nothing to commit, and yet it is not what was judged."""
        folder = on_hub.release(tmp_path, key, 2)
        move = faults.CallBefore(lambda: hub.commit(REPOSITORY, contents(folder) | {"a.py": b"1"}))
        hub.inject(move, "*/preupload/*", times=1)
        refused(writer, folder, ReasonCode.STORE_CHANGED)

    def test_in_a_repository_that_was_not_there(
        self, hub: HubStandIn, writer: Gate, folder: Path
    ) -> None:
        hub.inject(
            faults.CallBefore(lambda: hub.create(REPOSITORY, files={"modeling.py": b"1"})),
            "/api/repos/create",
        )
        refused(writer, folder, ReasonCode.STORE_CHANGED)
        assert there(hub) == {"modeling.py": b"1"}


FAILURES: dict[str, faults.Fault] = {
    "refused": faults.Status(400),
    "not understood": faults.Body(b"<html>"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_whichever_request_fails(
    hub: HubStandIn, writer: Gate, first: str, tmp_path: Path, key: Key, name: str
) -> None:
    """The branch has the revision of before, or the whole new one, although nobody has said so."""
    # Or there would be more requests with each release.
    writer.limits = writer.limits.model_copy(update={"history_commits": 1})
    before = on_hub.release(tmp_path / "again", key)
    head = first
    for number in count(2):
        folder = on_hub.release(tmp_path, key, number)
        hub.clear()
        hub.inject(FAILURES[name], skip=number - 2, times=1)
        try:
            failed = publish(writer, folder).published is None
        except StepError:
            failed = True
        asked = len(hub.requests)
        hub.faults.clear()
        if hub.head(REPOSITORY) == head:
            assert failed
            assert there(hub) == contents(before)
        else:
            head, before = hub.head(REPOSITORY), folder
            assert there(hub) == contents(folder)
            assert seen(writer, head).admitted
        if asked < number - 1:
            break
    assert number > 8


def rewritten(path: Path) -> None:
    """The same length, and the times that it had."""
    times = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class TestChangedMeanwhile:
    """Between the verdict and the commit: what goes out is what was judged, or nothing."""

    @pytest.mark.parametrize("at", ["*/preupload/*", "*/objects/batch"])
    @pytest.mark.parametrize("file", ["README.md", "model.safetensors"])
    @pytest.mark.parametrize("change", [rewritten, Path.unlink], ids=["rewritten", "deleted"])
    def test_it_is_noticed(
        self,
        hub: HubStandIn,
        writer: Gate,
        first: str,
        tmp_path: Path,
        key: Key,
        at: str,
        file: str,
        change: Callable[[Path], None],
    ) -> None:
        folder = on_hub.release(tmp_path, key, 2)
        hub.inject(faults.CallBefore(lambda: change(folder / file)), at, times=1)
        with pytest.raises(MeasureError, match=file) as caught:
            publish(writer, folder)
        assert caught.value.reason.code is ReasonCode.FILE_CHANGED
        assert (commits(hub), hub.head(REPOSITORY)) == (0, first)

    @pytest.mark.parametrize(
        "options", [{"hash_type": "blake3"}, {"shard_size": 1000}, {"ignore_paths": ["extra.bin"]}]
    )
    @pytest.mark.parametrize("file", ["README.md", "model.safetensors"])
    def test_however_it_was_signed(
        self,
        hub: HubStandIn,
        writer: Gate,
        first: str,
        tmp_path: Path,
        key: Key,
        file: str,
        options: Mapping[str, Any],
    ) -> None:
        folder = on_hub.release(tmp_path, key, 2, **options)
        hub.inject(faults.CallBefore(lambda: rewritten(folder / file)), "*/preupload/*", times=1)
        refused(writer, folder, ReasonCode.FILE_CHANGED)
        assert hub.head(REPOSITORY) == first
        hub.faults.clear()
        publish(writer, on_hub.release(tmp_path, key, 3, **options))
        assert there(hub) == contents(tmp_path / "release-3")

    def test_what_nobody_signed(
        self, hub: HubStandIn, settings: dict[str, Any], tmp_path: Path, key: Key
    ) -> None:
        """A rule lets it be so, and it was looked into all the same."""
        settings["publishers"][0]["allow_unsigned"] = ["extra.bin"]
        writer = gate_of(settings)
        writer = writer.with_store_options("hf", {"token": hub.token})
        folder = on_hub.release(tmp_path, key)
        models.write(folder, {"extra.bin": b"not signed"})
        hub.inject(
            faults.CallBefore(lambda: rewritten(folder / "extra.bin")), "*/preupload/*", times=1
        )
        refused(writer, folder, ReasonCode.FILE_CHANGED)
        assert publish(writer, on_hub.release(tmp_path, key, 2)).published is not None

    @pytest.mark.usefixtures("first")
    def test_the_signature_is_the_one_that_was_verified(
        self, hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
    ) -> None:
        folder = on_hub.release(tmp_path, key, 2)
        bundle = (folder / "model.sig").read_bytes()
        hub.inject(
            faults.CallBefore(lambda: (folder / "model.sig").write_bytes(b"{}")),
            "*/preupload/*",
            times=1,
        )
        publish(writer, folder)
        assert there(hub)["model.sig"] == bundle


def copied(gate: Gate, commit: str) -> Release:
    """What comes of it where a model goes from one repository to another."""
    target = Reference.parse("hf://acme/new")
    source = HubStore(gate.stores, gate.limits).snapshot(Reference.parse(f"{TARGET}@{commit}"))
    publication = Publication(target, overlay(target, None, source), source.files.keys())
    with closing(source), closing(HubRegistry(target, gate)) as registry:
        return release(gate, registry, publication)


def test_a_source_that_fails_on_the_way(hub: HubStandIn, writer: Gate, first: str) -> None:
    """It is the source that is told of, not the Hub's client in which it failed."""
    hub.state.uploads.clear()  # Or the Hub would not want to have the weights again.
    lost = faults.CallBefore(lambda: hub.inject(faults.Status(404), f"/{REPOSITORY}/resolve/*"))
    hub.inject(lost, "/api/repos/create", times=1)
    with pytest.raises(StoreError, match="is not there") as caught:
        copied(writer, first)
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND
    assert not on_hub.there(hub, repository="acme/new")


@pytest.mark.parametrize("file", ["README.md", "model.safetensors"])
def test_a_source_that_gives_something_else_the_second_time(
    hub: HubStandIn, writer: Gate, first: str, file: str
) -> None:
    other = on_hub.there(hub)[file].replace(b"1", b"2")
    swap = faults.CallBefore(lambda: hub.replace_under_commit(REPOSITORY, file, other))
    hub.inject(swap, "/api/repos/create", times=1)
    with pytest.raises(MeasureError, match=f"{file} was changed .*signed sha256"):
        copied(writer, first)
    assert not on_hub.there(hub, repository="acme/new")


def test_files_of_several_pieces_arrive_as_they_are(
    hub: HubStandIn, writer: Gate, tmp_path: Path, key: Key
) -> None:
    """Not in LFS, and from memory."""
    text = os.urandom(1_500_000).hex().encode()
    files = {**models.FILES, "tokenizer.json": text}
    publish(writer, models.write(tmp_path / "model", signed(key, files)))  # type: ignore[arg-type]
    assert there(hub)["tokenizer.json"] == text
    for path in ("vocab.txt", "more.safetensors"):
        content = models.safetensors(6_000_000) if path.endswith("s") else text[::-1]
        signer = ModelSigner.by_key(key)
        upload_file(
            path_or_fileobj=content,
            path_in_repo=path,
            repo_id=REPOSITORY,
            gate=writer,
            signer=signer,
        )
        assert there(hub)[path] == content
