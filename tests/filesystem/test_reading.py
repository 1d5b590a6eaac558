"""What is read and listed: the signed files of an admitted model, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import io
import random
import tracemalloc
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import UsageError
from oms_gate.limits import MIB
from tests import models
from tests.filesystem.conftest import Open
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

WEIGHTS = "model.safetensors"
CONTENT = models.FILES[WEIGHTS]
FILES = {**models.FILES, "text/de/words.txt": "Wörter\n".encode(), "LICENSE": b"free\n"}


def signed(key: ec.EllipticCurvePrivateKey, shard_size: int | None = None) -> dict[str, bytes]:
    """A model with one file that nobody has signed."""
    content = {path: content for path, content in FILES.items() if path != "LICENSE"}
    return {**FILES, "model.sig": models.signature(content, key, shard_size=shard_size)}


@pytest.fixture(params=[None, 10_000], ids=["files", "shards"])
def url(request: pytest.FixtureRequest, key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> str:
    return f"oms::{models.write(tmp_path / 'acme' / 'm', signed(key, request.param))}"


@pytest.mark.parametrize("shard_size", [None, 100_000])
def test_a_model_is_read_from_every_store(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    shard_size: int | None,
) -> None:
    files = signed(key, shard_size)
    hub.create("acme/m", files=files)
    local = models.write(tmp_path / "acme" / "m", files)
    memory = fsspec.filesystem("memory")
    for path, content in files.items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
        memory.pipe_file(f"acme/m/{path}", content)
    for store in (
        "hf://acme/m",
        "hf://acme/m@main",
        f"hf://acme/m@{hub.head('acme/m')}",
        f"s3://{s3_bucket}/acme/m",
        f"s3a://{s3_bucket}/acme/m",
        str(local),
        f"file://{local}",
        "memory://acme/m",
    ):
        name = store.partition(":")[0]
        more = {name: s3.storage_options()} if name.startswith("s3") else {}
        fs, root = opened(f"oms::{store}", **more)
        assert {path: fs.cat_file(path) for path in fs.find(root)} == {
            f"{root}/{path}": content for path, content in FILES.items() if path != "LICENSE"
        }
        assert fs.cat_file(fs.unstrip_protocol(f"{root}/{WEIGHTS}"), 0, 5) == CONTENT[:5]
        with fs.open(f"oms::{store}/{WEIGHTS}") as file:
            assert file.read() == CONTENT
    memory.rm("acme", recursive=True)


def test_only_signed_files_and_their_folders_are_listed(opened: Open, url: str) -> None:
    fs, root = opened(url)
    names = ["README.md", "config.json", WEIGHTS, "text"]
    assert fs.ls(root, detail=False) == [f"{root}/{name}" for name in names]
    assert [entry["type"] for entry in fs.ls(root)] == ["file", "file", "file", "directory"]
    assert fs.find(root) == [f"{root}/{name}" for name in [*names[:3], "text/de/words.txt"]]
    assert fs.glob(f"{root}/**/*.txt") == [f"{root}/text/de/words.txt"]
    assert list(fs.walk(f"{root}/text")) == [
        (f"{root}/text", ["de"], []),
        (f"{root}/text/de", [], ["words.txt"]),
    ]
    assert fs.ls(f"{root}/{WEIGHTS}") == [fs.info(f"{root}/{WEIGHTS}")]
    assert fs.du(root) == sum(map(len, FILES.values())) - len(FILES["LICENSE"])
    for name in ("model.sig", "LICENSE", "nothing", "config.json/x"):
        assert not fs.exists(f"{root}/{name}")
        assert not fs.isfile(f"{root}/{name}")
        with pytest.raises(FileNotFoundError):
            fs.info(f"{root}/{name}")
        with pytest.raises(FileNotFoundError):
            fs.ls(f"{root}/{name}")


def test_of_a_file_all_is_known(opened: Open, url: str) -> None:
    fs, root = opened(url)
    path = f"{root}/{WEIGHTS}"
    assert fs.isfile(path)
    assert not fs.isdir(path)
    assert fs.isdir(f"{root}/text")
    assert fs.isdir(root)
    assert fs.size(path) == len(CONTENT)
    assert fs.ukey(path) == fs.ukey(path) != fs.ukey(f"{root}/config.json")
    assert isinstance(fs.checksum(path), int)
    with fs.open(path) as file:
        assert (file.size, file.path, file.info()) == (len(CONTENT), path, fs.info(path))
    with pytest.raises(IsADirectoryError):
        fs.open(f"{root}/text")
    with pytest.raises(IsADirectoryError):
        fs.open(root)


def test_an_unsigned_file_is_not_handed_out(opened: Open, url: str) -> None:
    fs, root = opened(url)
    for name in ("LICENSE", "model.sig"):
        for read in (fs.open, fs.cat_file, fs.cat):
            with pytest.raises(FileNotFoundError, match="not one of those that were signed"):
                read(f"{root}/{name}")
        assert isinstance(fs.cat_ranges([f"{root}/{name}"], 0, 3)[0], FileNotFoundError)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (0, 1),
        (9_999, 10_001),
        (5, 35_000),
        (-7, None),
        (-10_007, -3),
        (None, -255_999),
        (255_990, 256_100),
        (256_000, 256_001),
        (300_000, 400_000),
        (-400_000, 3),
        (20, 10),
        (20, 20),
        (20, 19),
        (300_000, None),
    ],
)
def test_a_range_is_a_slice(opened: Open, url: str, start: int | None, end: int | None) -> None:
    fs, root = opened(url)
    path = f"{root}/{WEIGHTS}"
    assert fs.cat_file(path, start, end) == CONTENT[start:end]
    assert fs.cat_ranges([path] * 2, [start, 0], [end, 5]) == [CONTENT[start:end], CONTENT[:5]]
    if start is not None and start >= 0:
        with fs.open(path) as file:
            file.seek(start)
            count = -1 if end is None else max(end - start, 0)
            assert file.read(count) == CONTENT[start : None if count < 0 else start + count]


def test_a_file_is_read_as_files_are(opened: Open, url: str) -> None:
    fs, root = opened(url)
    with fs.open(f"{root}/text/de/words.txt", "r", encoding="utf-8") as text:
        assert text.read() == "Wörter\n"
    with fs.open(f"{root}/{WEIGHTS}") as file:
        assert file.read(3) + file.read(20_000) == CONTENT[:20_003]
        assert file.seek(-4, io.SEEK_END) == len(CONTENT) - 4
        assert file.read() == CONTENT[-4:]
        assert file.read() == b""
        assert file.seek(9_990) == 9_990
        buffer = bytearray(30)
        assert file.readinto(buffer) == 30
        assert buffer == CONTENT[9_990:10_020]
        assert file.seek(5, io.SEEK_CUR) == file.tell() == 10_025
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
    assert file.closed
    with fs.open(f"{root}/{WEIGHTS}") as file:
        assert b"".join(iter(lambda: file.read(997), b"")) == CONTENT


@pytest.mark.parametrize("shard_size", [None, 16 * MIB])
def test_memory_is_that_of_the_buffer(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path, shard_size: int | None
) -> None:
    content = random.Random(1).randbytes(32 * MIB)
    bundle = models.signature({"x": content}, key, shard_size=shard_size)
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', {'x': content, 'model.sig': bundle})}")
    with fs.open(f"{root}/x") as file:
        assert file.read(1) == content[:1]
        file.seek(16 * MIB)
        assert file.read(1) == content[16 * MIB : 16 * MIB + 1]
        file.seek(0)
        tracemalloc.start()
        try:
            while file.read(MIB // 4):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < MIB


def test_a_model_is_got(opened: Open, url: str, tmp_path: Path) -> None:
    fs, root = opened(url)
    fs.get(root, str(tmp_path / "got"), recursive=True)
    got = {p.relative_to(tmp_path / "got").as_posix() for p in (tmp_path / "got").rglob("*.*")}
    assert got == {"README.md", "config.json", WEIGHTS, "text/de/words.txt"}
    assert (tmp_path / "got" / WEIGHTS).read_bytes() == CONTENT
    assert fs.cat(f"{root}/*.json") == {f"{root}/config.json": FILES["config.json"]}


def test_nothing_is_written(opened: Open, url: str, tmp_path: Path) -> None:
    fs, root = opened(url)
    path = f"{root}/config.json"
    before = {file: file.read_bytes() for file in Path(root).rglob("*.*") if file.is_file()}
    calls: list[tuple[Any, ...]] = [
        (fs.open, path, "wb"),
        (fs.open, path, "ab"),
        (fs.open, path, "xb"),
        (fs.open, path, "r+b"),
        (fs.open, path, "w"),
        (fs.pipe, path, b""),
        (fs.pipe_file, path, b""),
        (fs.write_text, path, ""),
        (fs.touch, path),
        (fs.rm, path),
        (fs.rm_file, path),
        (fs.mv, path, f"{root}/x"),
        (fs.copy, path, f"{root}/x"),
        (fs.cp_file, path, f"{root}/x"),
        (fs.put, path, f"{root}/x"),
        (fs.put_file, path, f"{root}/x"),
        (fs.mkdir, f"{root}/x"),
        (fs.makedirs, f"{root}/x"),
        (fs.rmdir, f"{root}/text"),
    ]
    for write, *arguments in calls:
        with pytest.raises(OSError, match="reading only") as raised:
            write(*arguments)
        assert raised.value.errno == errno.EROFS
    after = {file: file.read_bytes() for file in Path(root).rglob("*.*") if file.is_file()}
    assert after == before


def test_a_path_that_leads_elsewhere_is_none(opened: Open, url: str, tmp_path: Path) -> None:
    (tmp_path / "acme" / "secret").write_bytes(b"secret")
    fs, root = opened(url)
    # What is local is made plain, as local paths are.
    assert fs.cat_file(f"{root}/text/../config.json") == FILES["config.json"]
    with pytest.raises(OSError, match="denied: the model has no signature"):
        fs.cat_file(f"{root}/../secret")
    memory = fsspec.filesystem("memory")
    memory.put(root, "acme/m", recursive=True)
    fs, _ = opened("oms::memory://acme/m")
    for path in ("acme/m/text/../config.json", "acme/m/../m/config.json", "acme/m/./config.json"):
        for call in (fs.cat_file, fs.open, fs.info, fs.ls, fs.exists):
            with pytest.raises(UsageError, match=r"'\.\.' part"):
                call(path)
    memory.rm("acme", recursive=True)


def test_files_are_read_without_waiting(opened: Open, url: str) -> None:
    """As asynchronous servers do: several reads of one file at a time."""

    async def read() -> list[bytes]:
        fs, path = opened(f"{url}/{WEIGHTS}")
        async with await fs.open_async(path) as file:
            head = await file.read(10)
            several = await asyncio.gather(*(file._fetch_range(i, i + 7) for i in range(50)))
            rest = await file.read()
        with pytest.raises(ValueError, match="closed"):
            await file.read(1)
        with pytest.raises(FileNotFoundError, match="not one of those that were signed"):
            await fs.open_async(path.replace(WEIGHTS, "LICENSE"))
        with pytest.raises(ValueError, match="'wb'"):
            await fs.open_async(path, "wb")
        assert several == [CONTENT[i : i + 7] for i in range(50)]
        return [head, rest]

    assert asyncio.run(read()) == [CONTENT[:10], CONTENT[10:]]
