"""``mode: annotate``: a denied model is used all the same, and that is said once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.filesystem import OmsFileSystem
from tests import models
from tests.filesystem.conftest import Open, signed
from tests.peers.seaweedfs import SeaweedFS

CONTENT = models.FILES["model.safetensors"]


@pytest.fixture(scope="module")
def gate(settings: dict[str, Any]) -> Iterator[Gate]:
    config = GateConfig.model_validate(settings | {"mode": "annotate"})
    with Gate.from_config(config) as gate:
        yield gate


def test_a_denied_model_is_used_and_told_of_once(
    opened: Open,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = {**signed(models.new_key()), "more/x.txt": b"x"}
    local = models.write(tmp_path / "m", files)
    for path, content in files.items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    for url in (str(local), f"s3://{s3_bucket}/acme/m"):
        fs, root = opened(f"oms::{url}", s3=s3.storage_options())
        path = f"{root}/model.safetensors"
        with (
            pytest.warns(UserWarning, match=r"denied: .*none of the trusted keys") as told,
            caplog.at_level(logging.WARNING, "oms_gate"),
        ):
            assert fs.cat_file(path, 5, 15) == CONTENT[5:15]
        assert len(told) == 1
        assert [record.name for record in caplog.records] == ["oms_gate"]
        assert "none of the trusted keys" in caplog.text
        caplog.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with fs.open(path) as file:
                assert file.read() == CONTENT
            assert fs.size(path) == len(CONTENT)
            assert fs.find(root) == sorted(f"{root}/{name}" for name in files)
            assert fs.cat_ranges([path], [1], [9]) == [CONTENT[1:9]]
            assert fs.isfile(f"{root}/model.sig")
            assert fs.modified(path) is not None
            assert not fs.exists(f"{root}/nothing")
            fs.get(root, str(tmp_path / f"got-{fs.protocol}-{url[:2]}"), recursive=True)
            with pytest.raises(OSError, match="reading only"):
                fs.open(path, "wb")
        assert not caplog.records


def test_an_admitted_model_is_verified_as_ever(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    local = models.write(tmp_path / "m", {**signed(key), "README": b"unsigned"})
    fs, root = opened(f"oms::{local}")
    assert fs.cat_file(f"{root}/model.safetensors") == CONTENT
    assert not fs.exists(f"{root}/README")


@pytest.mark.parametrize("shard_size", [None, 100_000])
def test_a_changed_file_of_an_admitted_model_is_told_of(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path, shard_size: int | None
) -> None:
    other = b"\1" + CONTENT[1:]
    files = {**signed(key, shard_size=shard_size), "model.safetensors": other}
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', files)}")
    with fs.open(f"{root}/config.json") as file:
        assert file.read() == models.FILES["config.json"]
    with pytest.warns(UserWarning, match="safetensors.*is used all the same"):
        assert fs.cat_file(f"{root}/model.safetensors") == other


def test_in_shards_it_is_found_while_it_is_read(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    other = CONTENT[:-1] + b"\0"
    files = {**signed(key, shard_size=100_000), "model.safetensors": other}
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', files)}")
    with fs.open(f"{root}/model.safetensors") as file:
        assert file.read(100) == CONTENT[:100]
        with pytest.warns(UserWarning, match="is used all the same"):
            assert file.read() == other[100:]


def test_above_all_models_everything_is_listed(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"x")
    fs, root = opened(f"oms::{tmp_path}")
    assert f"{root}/x.txt" in fs.ls(root, detail=False)
    with pytest.warns(UserWarning, match="no signature"):
        assert fs.cat_file(f"{root}/x.txt") == b"x"


def test_the_cache_of_instances_keeps_gates_apart(
    options: dict[str, Any], settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_bytes(b"x")
    with Gate.from_config(GateConfig.model_validate(settings)) as strict:
        for _ in range(2):
            lenient = fsspec.filesystem("oms", target_protocol="file", **options)
            other = fsspec.filesystem("oms", target_protocol="file", **options | {"gate": strict})
            assert isinstance(lenient, OmsFileSystem)
            assert lenient is fsspec.filesystem("oms", target_protocol="file", **options)
            with warnings.catch_warnings(action="ignore"):
                assert lenient.cat_file(str(tmp_path / "x.txt")) == b"x"
            with pytest.raises(OSError, match="denied"):
                other.cat_file(str(tmp_path / "x.txt"))
