"""Local folders, the Hub's cache layout, and what may happen to files while they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.local import LocalStore


def snapshot(path: Path, **limits: int) -> Snapshot:
    return LocalStore(Limits(**limits)).snapshot(Reference.parse(str(path)))


def content(of: Snapshot, path: str) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path))


def test_lists_and_reads_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    (tmp_path / "sub" / "b").write_bytes(b"")
    listing = snapshot(tmp_path)
    assert {path: file.size for path, file in listing.files.items()} == {"a.bin": 10, "sub/b": 0}
    assert not listing.single
    assert content(listing, "a.bin") == b"0123456789"
    assert content(listing, "sub/b") == b""
    assert b"".join(bytes(chunk) for chunk in listing.chunks("a.bin", 3, 5)) == b"34"


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"abc")
    listing = snapshot(tmp_path / "x.gguf")
    assert listing.single
    assert content(listing, "x.gguf") == b"abc"


def test_a_link_to_the_model_itself_is_the_operators_own(tmp_path: Path) -> None:
    (tmp_path / "v3").mkdir()
    (tmp_path / "v3" / "a").write_bytes(b"abc")
    (tmp_path / "current").symlink_to("v3")
    assert content(snapshot(tmp_path / "current"), "a") == b"abc"


def test_the_hub_cache_is_read_through_its_links(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--name"
    folder = repository / "snapshots" / ("0" * 40)
    for place in (repository / "blobs", tmp_path / "hub" / "blobs" / "ab", folder / "sub"):
        place.mkdir(parents=True)
    (repository / "blobs" / "etag").write_bytes(b"config")
    (tmp_path / "hub" / "blobs" / "ab" / "xet").write_bytes(b"weights")
    (folder / "config.json").symlink_to("../../blobs/etag")
    (folder / "sub" / "w.safetensors").symlink_to("../../../../blobs/ab/xet")
    listing = snapshot(folder)
    assert content(listing, "config.json") == b"config"
    assert content(listing, "sub/w.safetensors") == b"weights"


@pytest.mark.parametrize("target", ["../../refs/main", "/etc/hostname", "../../blobs/../secret"])
def test_a_link_out_of_the_blobs_is_refused(tmp_path: Path, target: str) -> None:
    repository = tmp_path / "models--org--name"
    folder = repository / "snapshots" / ("0" * 40)
    for place in (repository / "blobs", repository / "refs", folder):
        place.mkdir(parents=True)
    (repository / "refs" / "main").write_bytes(b"x")
    (repository / "secret").write_bytes(b"x")
    (folder / "config.json").symlink_to(target)
    with pytest.raises(StoreError) as caught:
        snapshot(folder)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


@pytest.mark.parametrize("inside", ["blobs/etag", "blobs/folder/etag", "blobs-of-another/etag"])
def test_a_link_that_leads_out_by_way_of_the_blobs_is_refused(tmp_path: Path, inside: str) -> None:
    """What counts is where a link ends, not what is written in it."""
    repository = tmp_path / "models--org--name"
    folder = repository / "snapshots" / ("0" * 40)
    for place in (repository / "blobs", repository / "blobs-of-another", folder, tmp_path / "out"):
        place.mkdir(parents=True)
    (tmp_path / "out" / "etag").write_bytes(b"x")
    (repository / "blobs-of-another" / "etag").write_bytes(b"x")
    (repository / "blobs" / "etag").symlink_to(tmp_path / "out" / "etag")
    (repository / "blobs" / "folder").symlink_to(tmp_path / "out")
    (repository / "blobs" / "good").write_bytes(b"x")
    (folder / "config.json").symlink_to("../../blobs/good")
    assert content(snapshot(folder), "config.json") == b"x"
    (folder / "other.json").symlink_to(f"../../{inside}")
    with pytest.raises(StoreError) as caught:
        snapshot(folder)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


def test_links_in_a_plain_folder_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "a").write_bytes(b"x")
    (model / "b").symlink_to("a")
    with pytest.raises(StoreError) as caught:
        snapshot(model)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


def _replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"9876543210")
    path.with_name("new").replace(path)


def _to_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _replace_unseen(path: Path) -> None:
    """Another file of the same size and time."""
    _replace(path)
    os.utime(path, (1, 1))


def _lengthen_unseen(path: Path) -> None:
    """More of the same, in the same file, at the same time."""
    path.write_bytes(b"0123456789 and more")
    os.utime(path, (1, 1))


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"9876543210"),
        lambda path: path.write_bytes(b"short"),
        lambda path: path.unlink(),
        _replace,
        _to_link,
        _replace_unseen,
        _lengthen_unseen,
        _to_pipe,
    ],
    ids=[
        "rewritten",
        "truncated",
        "removed",
        "replaced",
        "linked",
        "replaced unseen",
        "lengthened unseen",
        "a pipe",
    ],
)
@pytest.mark.timeout(20)
def test_a_file_changed_after_the_listing_is_refused(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    os.utime(tmp_path / "a", (1, 1))
    listing = snapshot(tmp_path)
    change(tmp_path / "a")
    with pytest.raises(StoreError) as caught:
        next(listing.chunks("a"))  # Not one byte of it is given.
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_a_file_changed_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3 * 1024 * 1024))
    os.utime(tmp_path / "a", (1, 1))
    chunks = snapshot(tmp_path).chunks("a")
    next(chunks)
    with (tmp_path / "a").open("r+b") as stream:
        stream.write(b"1")
    with pytest.raises(StoreError) as caught:
        list(chunks)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path / "none")
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    listing = snapshot(tmp_path)
    assert content(listing, "a") == b"x"
    tmp_path.chmod(0o500)
    (tmp_path / "a").chmod(0)
    with as_nobody(), pytest.raises(StoreError) as caught:
        content(listing, "a")
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN
    tmp_path.chmod(0)
    with as_nobody(), pytest.raises(StoreError) as caught:
        snapshot(tmp_path)
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN
    tmp_path.chmod(0o700)


def test_too_many_files(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    assert len(snapshot(tmp_path, files=3).files) == 3
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path, files=2)
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


@pytest.mark.parametrize("name", [b"a\nb", b"a\\b", b"a\x7f", b"\xff"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tmp_path), name), "wb"):  # noqa: PTH118, PTH123
        pass
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE
    assert caught.value.reason.message.isprintable()


def test_the_revision_names_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    os.utime(tmp_path / "a", (1, 1))
    first = snapshot(tmp_path).revision
    assert snapshot(tmp_path).revision == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert snapshot(tmp_path).revision != first
    (tmp_path / "b").rename(tmp_path / "a")
    assert snapshot(tmp_path).revision == first
    (tmp_path / "a").write_bytes(b"2")
    assert snapshot(tmp_path).revision != first


def test_folders_count(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "x").touch()
    assert set(snapshot(tmp_path, files=4).files) == {"a/x"}
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path, files=3)
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


def test_a_walk_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in range(20):
        (tmp_path / str(name)).mkdir()
        (tmp_path / str(name) / "x").touch()
    scanned: list[Path] = []
    scandir = os.scandir

    def counting(path: Path) -> object:
        scanned.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path, files=22)
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES
    assert len(scanned) == 4


def test_a_walk_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).touch()
    reference = Reference.parse(str(tmp_path))
    with pytest.raises(StoreError) as caught:
        LocalStore(Limits(listing_seconds=0.0001)).snapshot(reference)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert len(LocalStore(Limits()).snapshot(reference).files) == 2000


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(StoreError) as caught:
        snapshot(tmp_path / "a")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_the_whole_of_a_cached_repository_is_no_model(tmp_path: Path) -> None:
    for name, refused in [("models--org--name", True), ("mine", False)]:
        for part in ("snapshots/main", "blobs"):
            (tmp_path / name / part).mkdir(parents=True)
        (tmp_path / name / "snapshots" / "main" / "a").write_bytes(b"abc")
        assert content(snapshot(tmp_path / name / "snapshots" / "main"), "a") == b"abc"
        if refused:
            with pytest.raises(StoreError) as caught:
                snapshot(tmp_path / name)
            assert "snapshots/" in caught.value.reason.message
        else:
            assert set(snapshot(tmp_path / name).files) == {"snapshots/main/a"}


def test_a_file_whose_modification_time_was_set_back_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"good")
    before = file.stat()
    snapshot = LocalStore(Limits()).snapshot(Reference.parse(str(tmp_path)))
    assert b"".join(snapshot.chunks(file.name)) == b"good"
    file.write_bytes(b"evil")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreError) as caught:
        list(snapshot.chunks(file.name))
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
