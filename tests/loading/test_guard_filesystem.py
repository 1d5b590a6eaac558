"""HfFileSystem under a guard."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfFileSystem
from huggingface_hub.hf_file_system import HfFileSystemFile

from oms_gate import AdmissionDenied, Gate, ReasonCode, guard
from tests import models
from tests.delivery.pulling import codes, signed
from tests.peers.hub import HubStandIn

WEIGHTS = models.FILES["model.safetensors"]


@pytest.fixture
def fs(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Any:
    """One that was made before the guard was on."""
    hub.create("acme/m", files=signed(key) | {"CARD.md": b"# Not signed\n"})
    hub.create("mallory/m", files=signed(key))
    return HfFileSystem()


class Mine(HfFileSystem):
    """A subclass that was made before any guard was on."""


# What fsspec and the library leave without types.
make_mine: Any = Mine
make_file: Any = HfFileSystemFile


def test_every_way_to_read_is_verified(
    hub: HubStandIn, gate: Gate, fs: Any, tmp_path: Path
) -> None:
    path = "acme/m/model.safetensors"
    with guard(gate):
        assert fs.cat_file(path) == WEIGHTS
        assert fs.cat_file(path, start=10, end=20) == WEIGHTS[10:20]
        assert fs.cat_file(path, start=-10) == WEIGHTS[-10:]
        assert fs.cat([path])[path] == WEIGHTS
        assert fs.cat_ranges([path], [5], [9]) == [WEIGHTS[5:9]]
        assert fs.read_bytes(path) == WEIGHTS
        assert fs.head(path, 7) == WEIGHTS[:7]
        assert fs.tail(path, 7) == WEIGHTS[-7:]
        assert fs.read_block(path, 3, 5) == WEIGHTS[3:8]
        assert fs.read_text("acme/m/config.json") == models.FILES["config.json"].decode()
        fs.get_file(path, str(tmp_path / "a"))
        fs.get(path, str(tmp_path / "b"))
        fs.download(path, str(tmp_path / "c"))
        with (tmp_path / "d").open("wb") as file:
            fs.get_file(path, outfile=file)
        for name in "abcd":
            assert (tmp_path / name).read_bytes() == WEIGHTS
        with fsspec.open(f"hf://{path}") as file:
            assert file.read() == WEIGHTS
        with fsspec.open("simplecache::hf://acme/m/config.json") as file:
            assert file.read() == models.FILES["config.json"]
        assert make_mine().cat_file(path) == WEIGHTS
    assert len([r for r in hub.requests if r.origin == "cdn"]) == 1


def test_an_open_file_is_one_of_the_library_s(gate: Gate, fs: Any) -> None:
    with guard(gate):
        for block_size in (None, 0, 1000):
            with fs.open("acme/m/model.safetensors", block_size=block_size) as file:
                assert isinstance(file, make_file)
                assert (file.size, file.tell(), file.readable()) == (len(WEIGHTS), 0, True)
                assert file.read(10) == WEIGHTS[:10]
                assert file.seek(-4, io.SEEK_END) == len(WEIGHTS) - 4
                assert file.read() == WEIGHTS[-4:]
                assert file.read() == b""
                file.seek(5)
                buffer = bytearray(20)
                assert file.readinto(buffer) == 20
                assert buffer == WEIGHTS[5:25]
                assert file.url().endswith("/acme/m/resolve/main/model.safetensors")
                again: Any = pickle.loads(pickle.dumps(file))
                again.seek(0)
                assert again.read() == WEIGHTS
        with fs.open("acme/m/config.json", "r") as text:
            assert list(text) == [models.FILES["config.json"].decode()]
        kept = fs.open("acme/m/model.safetensors")
    with kept:
        assert kept.read() == WEIGHTS


def test_lines_are_read_without_reading_the_file_for_each(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    lines = b'{"text": "a line"}\n' * 50_000
    hub.create("acme/lines", files=signed(key, {"a.jsonl": lines}))
    with guard(gate), make_mine(skip_instance_cache=True).open("acme/lines/a.jsonl") as file:
        read = file._fetch_range
        count = 0

        def counted(start: int, end: int) -> bytes:
            nonlocal count
            count += end - start
            return read(start, end)  # type: ignore[no-any-return]

        file.cache.fetcher = counted
        for _ in range(10):
            assert file.readline() == lines[:19]
    assert count <= 1024 * 1024


def test_a_revision(hub: HubStandIn, gate: Gate, fs: Any) -> None:
    first = hub.head("acme/m")
    hub.commit("acme/m", {"config.json": b"not signed"})
    with guard(gate):
        assert fs.cat_file(f"acme/m@{first}/config.json") == models.FILES["config.json"]
        with fs.open("acme/m/config.json", revision=first) as file:
            assert file.read() == models.FILES["config.json"]
        with pytest.raises(AdmissionDenied):
            fs.cat_file("acme/m/config.json")


@pytest.mark.parametrize("cached", [False, True])
def test_what_is_denied_is_not_read(
    hub: HubStandIn, gate: Gate, fs: Any, tmp_path: Path, cached: bool
) -> None:
    path = "mallory/m/config.json"
    if cached:
        assert fs.cat_file(path)
    hub.clear()
    with guard(gate):
        ways: list[Callable[[], Any]] = [
            lambda: fs.cat_file(path),
            lambda: fs.open(path),
            lambda: fs.open(path, block_size=0),
            lambda: fs.get_file(path, str(tmp_path / "file")),
            lambda: fs.get("mallory/m", str(tmp_path / "folder"), recursive=True),
            lambda: fsspec.open(f"hf://{path}").open(),
            lambda: make_mine().cat_file(path),
            # Past the method that opens files: nothing is left but to refuse its requests.
            lambda: make_file(fs, path).read(5),
        ]
        for read in ways:
            with pytest.raises(AdmissionDenied) as denied:
                read()
            code = ReasonCode.PUBLISHER_UNKNOWN
            assert set(codes(denied.value.verdict)) <= {code, ReasonCode.GUARD_UNCHECKED}
        assert fs.ls("mallory/m", detail=False)
        assert fs.info(path)["size"] == len(models.FILES["config.json"])
    assert not (tmp_path / "file").exists()
    assert not [r for r in hub.requests if r.method == "GET" and r.file in models.FILES]
    assert fs.cat_file(path) == models.FILES["config.json"]


def test_a_file_that_is_changed_or_not_signed(hub: HubStandIn, gate: Gate, fs: Any) -> None:
    hub.replace_under_commit("acme/m", "model.safetensors", b"!" + WEIGHTS[1:])
    with guard(gate):
        with pytest.raises(AdmissionDenied) as denied:
            fs.cat_file("acme/m/model.safetensors")
        assert codes(denied.value.verdict) == [ReasonCode.FILE_CHANGED]
        with pytest.raises(FileNotFoundError, match="not covered by the model's signature"):
            fs.cat_file("acme/m/CARD.md")
        with pytest.raises(FileNotFoundError, match="has no nothing"):
            fs.cat_file("acme/m/nothing")
        assert "acme/m/CARD.md" in fs.ls("acme/m", detail=False)


@pytest.mark.skipif(not hasattr(HfFileSystem, "_bucket_exists"), reason="not in 0.36")
def test_what_is_in_a_bucket_is_not_read(gate: Gate) -> None:
    """Nothing of a bucket is signed as a model is."""
    fs: Any = HfFileSystem()
    fs._bucket_exists_cache["acme/b"] = (True, None)  # The stand-in has none.
    with guard(gate), pytest.raises(AdmissionDenied) as denied:
        fs.cat_file("buckets/acme/b/model.safetensors")
    assert codes(denied.value.verdict) == [ReasonCode.GUARD_UNCHECKED]
    assert denied.value.verdict.model.name == "hf://buckets/acme/b/model.safetensors"


def test_writing_is_left_alone(hub: HubStandIn, gate: Gate) -> None:
    hub.create("mallory/m", files={"config.json": b"{}"})
    fs: Any = HfFileSystem(token=hub.token)
    with guard(gate):
        with fs.open("mallory/m/note.txt", "wb") as file:
            file.write(b"a note")
        fs.pipe_file("mallory/m/other.txt", b"another")
        with pytest.raises(AdmissionDenied):  # The library does that by reading it.
            fs.cp_file("mallory/m/note.txt", "mallory/m/copy.txt")
        fs.rm("mallory/m/other.txt")
    assert fs.cat_file("mallory/m/note.txt") == b"a note"
    assert not fs.exists("mallory/m/other.txt")
