"""Writing into a local folder: whole or not at all, through no link, and by one writer only."""

from __future__ import annotations

import fcntl
import os
import resource
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, Written, local_writing
from oms_gate.stores.local import LocalStore
from tests import models
from tests.stores.test_local_store import as_nobody
from tests.stores.writing import refused, write


def snapshot(path: Path, beside: str = "") -> Snapshot:
    return LocalStore(Limits()).snapshot(Reference.parse(str(path)), beside)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return models.write(tmp_path / "model", {**models.FILES, "sub/a.gguf": b"weights"})


def contents(folder: Path) -> dict[str, bytes]:
    """All that is there, with what may have been left behind."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_new_file_and_one_in_its_place(folder: Path) -> None:
    before = contents(folder)
    listing = snapshot(folder)
    written = write(listing, b"first")
    assert written == Written(f"file://{folder}/model.sig")
    assert contents(folder) == before | {"model.sig": b"first"}
    assert "model.sig" not in listing.files
    write(snapshot(folder), b"2nd")
    assert contents(folder) == before | {"model.sig": b"2nd"}
    write(snapshot(folder), b"of a part", "sub/a.gguf.sig")
    assert contents(folder)["sub/a.gguf.sig"] == b"of a part"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o644)])
def test_who_may_read_it(folder: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write(snapshot(folder))
    finally:
        os.umask(before)
    assert (folder / "model.sig").stat().st_mode & 0o7777 == mode


def test_beside_a_single_file(folder: Path) -> None:
    for content in (b"first", b"second"):
        listing = snapshot(folder / "sub" / "a.gguf", ".sig")
        assert list(listing.files)[1:] == (["a.gguf.sig"] if content == b"second" else [])
        written = write(listing, content, "a.gguf.sig")
        assert written.url == f"file://{folder}/sub/a.gguf.sig"
        assert contents(folder)["sub/a.gguf.sig"] == content


@pytest.mark.parametrize("beside", ["", ".sig"])
@pytest.mark.parametrize("earlier", [None, b"earlier"])
def test_what_comes_beside_a_single_file_in_between(
    folder: Path, beside: str, earlier: bytes | None
) -> None:
    """Or was there, and nobody has looked at it."""
    neighbour = folder / "sub" / "a.gguf.sig"
    if earlier is not None:
        neighbour.write_bytes(earlier)
    listing = snapshot(folder / "sub" / "a.gguf", beside)
    neighbour.write_bytes(b"another")
    refused(listing, ReasonCode.STORE_CHANGED, "a.gguf.sig")
    assert neighbour.read_bytes() == b"another"


def test_beside_the_link_that_names_a_single_file(folder: Path) -> None:
    """Where the gate looks for it."""
    (folder / "current.gguf").symlink_to("sub/a.gguf")
    write(snapshot(folder / "current.gguf"), name="current.gguf.sig")
    assert (folder / "current.gguf.sig").read_bytes() == b"bundle"


def test_a_link_to_the_model_itself_is_followed(folder: Path) -> None:
    (folder.parent / "current").symlink_to("model")
    written = write(snapshot(folder.parent / "current"))
    assert Path(Reference.parse(written.url).location).samefile(folder / "model.sig")


def _link_in_place(folder: Path, outside: Path) -> None:
    (folder / "sub" / "a.gguf.sig").symlink_to(outside / "victim")


def _broken_link(folder: Path, outside: Path) -> None:
    (folder / "sub" / "a.gguf.sig").symlink_to(outside / "none")


def _folder_in_place(folder: Path, _outside: Path) -> None:
    (folder / "sub" / "a.gguf.sig").mkdir()


def _pipe_in_place(folder: Path, _outside: Path) -> None:
    os.mkfifo(folder / "sub" / "a.gguf.sig")


@pytest.mark.parametrize(
    "spoil", [None, _link_in_place, _broken_link, _folder_in_place, _pipe_in_place]
)
def test_what_is_in_the_way(
    folder: Path, tmp_path: Path, spoil: Callable[[Path, Path], None] | None
) -> None:
    models.write(tmp_path / "outside", {"victim": b"untouched"})
    listing = snapshot(folder / "sub" / "a.gguf")
    if spoil is None:
        write(listing, name="a.gguf.sig")
        assert contents(folder)["sub/a.gguf.sig"] == b"bundle"
        return
    spoil(folder, tmp_path / "outside")
    before = contents(folder)
    refused(listing, ReasonCode.STORE_UNSAFE_FILE, "a.gguf.sig")
    assert contents(folder) == before
    assert contents(tmp_path / "outside") == {"victim": b"untouched"}


@pytest.mark.parametrize("name", ["away/x.sig", "away/sub/x.sig", "a.json/x.sig"])
def test_no_folder_on_the_way_is_a_link(tmp_path: Path, name: str) -> None:
    """In the Hub's cache a link is part of a model; even there it leads to no other place."""
    repository = tmp_path / "hub" / "models--org--name"
    folder = models.write(repository / "snapshots" / "0", {"sub/b.json": b"{}"})
    models.write(repository / "blobs", {"etag": b"{}", "sub/etag": b"{}"})
    (folder / "a.json").symlink_to("../../blobs/etag")
    listing = snapshot(folder)
    write(listing, name="sub/x.sig")
    assert (folder / "sub" / "x.sig").read_bytes() == b"bundle"
    listing = snapshot(folder)
    (folder / "away").symlink_to("../../blobs")
    refused(listing, ReasonCode.STORE_UNSAFE_FILE, name)
    assert contents(repository / "blobs") == {"etag": b"{}", "sub/etag": b"{}"}


def test_a_link_of_the_cache_is_no_signature_to_replace(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--name"
    folder = models.write(repository / "snapshots" / "0", {"a.json": b"{}"})
    models.write(repository / "blobs", {"etag": b"signature"})
    (folder / "model.sig").symlink_to("../../blobs/etag")
    refused(snapshot(folder), ReasonCode.STORE_UNSAFE_FILE)
    assert contents(repository / "blobs") == {"etag": b"signature"}
    assert (folder / "model.sig").is_symlink()


def test_a_folder_that_became_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A single file's neighbours are not listed, so nothing but the way to it says so."""
    outside = models.write(tmp_path / "outside", {"deep/file": b"1"})
    listing = snapshot(folder / "config.json")
    (folder / "deep").symlink_to(outside / "deep")
    refused(listing, ReasonCode.STORE_UNSAFE_FILE, "deep/x.sig")
    assert contents(outside) == {"deep/file": b"1"}


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/./b", "", "a\\b", "a\nb", "sub/.."])
def test_a_name_that_leads_out(folder: Path, name: str) -> None:
    before = contents(folder)
    with pytest.raises(UsageError):
        write(snapshot(folder), name=name)
    assert contents(folder.parent) == {f"model/{path}": content for path, content in before.items()}


def test_folders_are_not_made(folder: Path) -> None:
    refused(snapshot(folder), ReasonCode.STORE_NOT_FOUND, "none/x.sig")


def test_a_pull_request_is_the_hubs(folder: Path) -> None:
    with pytest.raises(UsageError):
        snapshot(folder).write("model.sig", b"bundle", message="Sign", pull_request=True)
    assert contents(folder).keys() == {*models.FILES, "sub/a.gguf"}


def _weights_changed(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"other")


def _weights_changed_secretly(folder: Path) -> None:
    weights = folder / "model.safetensors"
    before = weights.stat()
    weights.write_bytes(bytes(before.st_size))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))


def _file_added(folder: Path) -> None:
    (folder / "sub" / "code.py").write_bytes(b"")


def _file_removed(folder: Path) -> None:
    (folder / "config.json").unlink()


def _signed_by_another(folder: Path) -> None:
    (folder / "model.sig").write_bytes(b"another")


def _folder_replaced(folder: Path) -> None:
    folder.rename(folder.with_name("old"))
    models.write(folder, contents(folder.with_name("old")))


@pytest.mark.parametrize(
    "change",
    [
        _weights_changed,
        _weights_changed_secretly,
        _file_added,
        _file_removed,
        _signed_by_another,
        _folder_replaced,
    ],
)
def test_a_model_that_changed_since_is_left_alone(
    folder: Path, change: Callable[[Path], None]
) -> None:
    listing = snapshot(folder)
    change(folder)
    changed = contents(folder)
    refused(listing, ReasonCode.STORE_CHANGED)
    assert contents(folder) == changed
    write(snapshot(folder))
    assert contents(folder) == changed | {"model.sig": b"bundle"}


def test_a_single_file_that_changed_since(folder: Path) -> None:
    listing = snapshot(folder / "sub" / "a.gguf")
    (folder / "sub" / "a.gguf").write_bytes(b"other weights")
    refused(listing, ReasonCode.STORE_CHANGED, "a.gguf.sig")
    assert "sub/a.gguf.sig" not in contents(folder)


@pytest.mark.parametrize("signed", [False, True])
def test_of_two_writers_one_wins(folder: Path, signed: bool) -> None:
    if signed:
        write(snapshot(folder), b"earlier")
    start = threading.Barrier(4)
    outcomes: dict[bytes, ReasonCode | None] = {}

    def run(content: bytes, listing: Snapshot) -> None:
        start.wait()
        try:
            write(listing, content)
            outcomes[content] = None
        except StoreError as error:
            outcomes[content] = error.reason.code

    for _ in range(5):
        outcomes.clear()
        listings = [(b"by %d" % number, snapshot(folder)) for number in range(4)]
        threads = [threading.Thread(target=run, args=each) for each in listings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [content for content, code in outcomes.items() if code is None]
        assert len(winners) == 1, outcomes
        assert list(outcomes.values()).count(ReasonCode.STORE_CHANGED) == 3
        assert contents(folder) == {
            **models.FILES,
            "sub/a.gguf": b"weights",
            "model.sig": winners[0],
        }
        if not signed:
            (folder / "model.sig").unlink()


def test_a_folder_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:  # Those of pytest nobody else may enter.
        folder = models.write(Path(name), models.FILES)
        folder.chmod(0o555)
        with as_nobody():
            refused(snapshot(folder), ReasonCode.STORE_FORBIDDEN)
        assert contents(folder) == models.FILES
        folder.chmod(0o777)
        with as_nobody():
            write(snapshot(folder))
        assert contents(folder) == {**models.FILES, "model.sig": b"bundle"}


def test_a_disk_that_is_full_leaves_what_was_there(folder: Path) -> None:
    """A file may not grow any more, which the system says as it says that a disk is full."""
    write(snapshot(folder), b"earlier")
    before = contents(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    listing = snapshot(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError) as caught:
            write(listing, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert contents(folder) == before
    write(listing, bytes(2000))
    assert contents(folder) == before | {"model.sig": bytes(2000)}


def test_an_interruption_right_after_writing_stays_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(*arguments: Any, **options: Any) -> None:
        replace(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    before = contents(folder)
    with pytest.raises(KeyboardInterrupt):
        write(snapshot(folder))
    assert contents(folder) == {**before, "model.sig": b"bundle"}


def test_a_reader_never_sees_half_of_it(folder: Path) -> None:
    versions = {bytes([number]) * 3_000_000 for number in range(2)}
    write(snapshot(folder), min(versions))
    done = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        while not done.is_set():
            seen.add((folder / "model.sig").read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(10):
        for content in versions:
            write(snapshot(folder), content)
    done.set()
    watcher.join()
    assert seen <= versions


def test_a_lock_by_somebody_else_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can read a folder can lock it."""
    monkeypatch.setattr(local_writing, "_LOCK_SECONDS", 0.2)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    with pytest.raises(StoreError, match="has locked") as caught:
        local_writing.write_below(tmp_path, "model.sig", b"bundle", lambda: None)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert list(tmp_path.iterdir()) == []
    os.close(holder)
    local_writing.write_below(tmp_path, "model.sig", b"bundle", lambda: None)
    assert (tmp_path / "model.sig").read_bytes() == b"bundle"
