"""Libraries that read through fsspec, and what they cost: they get only what they read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from cryptography.hazmat.primitives.asymmetric import ec
from safetensors.numpy import load, save
from zarr.storage import FsspecStore

from oms_gate.errors import AdmissionDenied
from tests.filesystem.conftest import Open, signed
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

SHARD = 100_000
TENSORS = {
    name: np.random.default_rng(index).random((64, 1024), dtype=np.float32)
    for index, name in enumerate("abcdefgh")
}
WEIGHTS = save(TENSORS)


def put(s3: SeaweedFS, bucket: str, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        s3.put(bucket, f"acme/m/{path}", content)


def read_of(server: HubStandIn | SeaweedFS, name: str) -> list[tuple[str | None, int]]:
    """The range and the length of each answer about a file since the last time."""
    answers = [
        (request.range, request.sent)
        for request in server.requests
        if request.path.endswith(name) and request.method == "GET" and request.status in (200, 206)
    ]
    server.clear()
    return answers


def whole(shards: range) -> list[tuple[str, int]]:
    """What is asked for these shards."""
    return [(f"bytes={n * SHARD}-{(n + 1) * SHARD - 1}", SHARD) for n in shards]


def test_a_slice_reads_its_shards_only(
    opened: Open, key: ec.EllipticCurvePrivateKey, s3: SeaweedFS, s3_bucket: str
) -> None:
    put(s3, s3_bucket, signed(key, {"model.safetensors": WEIGHTS}, SHARD))
    fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    path = f"{root}/model.safetensors"
    assert fs.size(path) == len(WEIGHTS)
    s3.clear()
    assert fs.cat_file(path, 350_000, 350_010) == WEIGHTS[350_000:350_010]
    assert read_of(s3, "model.safetensors") == whole(range(3, 4))
    # Adjacent ones come at once; what was read is not asked for again.
    assert fs.cat_file(path, 250_000, 550_001) == WEIGHTS[250_000:550_001]
    assert sorted(read_of(s3, "model.safetensors")) == [
        *whole(range(2, 3)),
        *whole(range(4, 6)),
    ]
    ranges = [(0, 10), (99_999, 100_001), (1_500_000, 1_500_001), (260_000, 270_000)]
    starts, ends = map(list, zip(*ranges, strict=True))
    assert fs.cat_ranges([path] * 4, starts, ends) == [WEIGHTS[a:b] for a, b in ranges]
    assert sorted(read_of(s3, "model.safetensors")) == sorted(
        [*whole(range(2)), *whole(range(15, 16))]
    )
    with fs.open(path) as file:
        file.seek(799_000)
        assert file.read(1_000) == WEIGHTS[799_000:800_000]
        # Buffers read ahead, but not into the next shard.
        assert read_of(s3, "model.safetensors") == whole(range(7, 8))


@pytest.mark.parametrize("store", ["hub", "s3"])
def test_one_tensor_of_safetensors(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    s3: SeaweedFS,
    s3_bucket: str,
    store: str,
) -> None:
    files = signed(key, {"model.safetensors": WEIGHTS}, SHARD)
    server: HubStandIn | SeaweedFS
    if store == "hub":
        hub.create("acme/m", files=files)
        server, url = hub, "oms::hf://acme/m/model.safetensors"
    else:
        put(s3, s3_bucket, files)
        server, url = s3, f"oms::s3://{s3_bucket}/acme/m/model.safetensors"
    fs, path = opened(url, s3=s3.storage_options())
    (length,) = struct.unpack("<Q", fs.cat_file(path, 0, 8))
    header = json.loads(fs.cat_file(path, 8, 8 + length))
    start, end = header["e"]["data_offsets"]
    content = fs.cat_file(path, 8 + length + start, 8 + length + end)
    tensor = np.frombuffer(content, np.float32).reshape(header["e"]["shape"])
    assert (tensor == TENSORS["e"]).all()
    sent = sum(
        request.sent for request in server.requests if request.path.endswith("model.safetensors")
    )
    if store == "s3":
        assert sent < (end - start) + 3 * SHARD < len(WEIGHTS) / 3
    loaded = load(fs.cat_file(path))
    assert all((loaded[name] == TENSORS[name]).all() for name in TENSORS)


@pytest.mark.parametrize("shard_size", [None, SHARD])
def test_parquet(
    opened: Open,
    options: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
    shard_size: int | None,
) -> None:
    numbers = np.random.default_rng(1).integers(0, 2**60, 200_000)
    table = pa.table({"x": numbers, "y": numbers + 1, "z": np.arange(200_000)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=20_000, compression="none")
    content = sink.getvalue().to_pybytes()
    put(s3, s3_bucket, signed(key, {"data.parquet": content}, shard_size))
    fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    s3.clear()
    with fs.open(f"{root}/data.parquet") as stream:
        group = pq.ParquetFile(stream).read_row_group(3, columns=["y"])
    assert group.equals(table.slice(60_000, 20_000).select(["y"]))
    asked = read_of(s3, "data.parquet")
    if shard_size:
        assert sum(sent for _, sent in asked) < len(content) / 5
    else:
        assert sum(sent for _, sent in asked) == len(content)
    assert pq.read_table(f"{root}/data.parquet", filesystem=fs).equals(table)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        url = f"oms://{root}/data.parquet"
        rows = connection.execute(f"select max(z), count(*) from '{url}'").fetchall()
        assert rows == [(199_999, 200_000)]


def array_files(tmp_path: Path) -> dict[str, bytes]:
    """An array in forty chunks."""
    values = np.arange(40_000, dtype=np.int64).reshape(200, 200)
    zarr.create_array(str(tmp_path / "array"), data=values, chunks=(25, 40))
    return {
        file.relative_to(tmp_path).as_posix(): file.read_bytes()
        for file in (tmp_path / "array").rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("shard_size", [None, 1_000])
def test_zarr(
    options: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    shard_size: int | None,
) -> None:
    put(s3, s3_bucket, signed(key, array_files(tmp_path), shard_size))
    store = FsspecStore.from_url(
        f"oms::s3://{s3_bucket}/acme/m/array",
        storage_options={"oms": options, "s3": s3.storage_options()},
        read_only=True,
    )
    array = zarr.open_array(store, mode="r")
    assert array[30, 50] == 30 * 200 + 50
    chunks = {request.path for request in s3.requests if "/c/" in request.path}
    assert [p for p in chunks if p.endswith("/array/c/1/1")]
    read = [r.path for r in s3.requests if "/c/" in r.path and r.method == "GET"]
    assert {path.rpartition("/array/")[2] for path in read} == {"c/1/1"}
    values = array[:]
    assert (values == np.arange(40_000).reshape(200, 200)).all()  # type: ignore[union-attr]


def test_zarr_takes_no_denial_for_zeros(
    options: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    local = tmp_path / "m"
    for path, content in signed(key, array_files(tmp_path)).items():
        (local / path).parent.mkdir(parents=True, exist_ok=True)
        (local / path).write_bytes(content)
    store = FsspecStore.from_url(
        f"oms::{local}/array", storage_options={"oms": options}, read_only=True
    )
    array = zarr.open_array(store, mode="r")
    assert array[0, 0] == 0
    (local / "array" / "c" / "3" / "3").unlink()
    with pytest.raises(AdmissionDenied):
        array[75:100, 120:160]


def test_an_asynchronous_user_may_have_it_wrapped(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    import asyncio

    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    (tmp_path / "m").mkdir()
    for path, content in signed(key, {"x": b"0123456789"}, 4).items():
        (tmp_path / "m" / path).write_bytes(content)
    fs, root = opened(f"oms::{tmp_path}/m")

    async def read() -> list[Any]:
        wrapped = AsyncFileSystemWrapper(fs, asynchronous=True)
        return [
            await wrapped._cat_file(f"{root}/x", 3, 6),
            await wrapped._cat_ranges([f"{root}/x"] * 2, [0, 8], [2, 10]),
            await wrapped._ls(root, detail=False),
            await wrapped._exists(f"{root}/y"),
        ]

    assert asyncio.run(read()) == [b"345", [b"01", b"89"], [f"{root}/x"], False]


def test_a_mapping(
    opened: Open, options: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    for path, content in signed(key, {"x": b"0123456789"}).items():
        (tmp_path / "m" / path).write_bytes(content)
    (tmp_path / "m" / "README").write_bytes(b"unsigned")
    fs, root = opened(f"oms::{tmp_path}/m")
    mapping = fs.get_mapper(root)
    assert dict(mapping) == {"x": b"0123456789"}
    assert "README" not in mapping
    assert fsspec.get_mapper(f"oms::{tmp_path}/m", oms=options)["x"] == b"0123456789"
