"""Fixtures of the tests of ``oms::``: a key, and a file system whose gate trusts it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.errors import AdmissionDenied
from oms_gate.filesystem import OmsFileSystem
from oms_gate.reason_codes import ReasonCode
from tests import models

PROJECT = Path(__file__).parents[2]

Open = Callable[..., tuple[OmsFileSystem, str]]


def signed(
    key: ec.EllipticCurvePrivateKey,
    files: Mapping[str, bytes] = models.FILES,
    shard_size: int | None = None,
) -> dict[str, bytes]:
    """Files, and the signature of them all."""
    return {**files, "model.sig": models.signature(files, key, shard_size=shard_size)}


def codes_of(call: Callable[..., object], *arguments: object) -> set[ReasonCode]:
    """Why a call is denied."""
    with pytest.raises(AdmissionDenied) as raised:
        call(*arguments)
    return {reason.code for reason in raised.value.verdict.reasons}


@pytest.fixture(scope="session", autouse=True)
def registered() -> None:
    """Let fsspec know the file system, as the entry point does where the package is installed."""
    fsspec.register_implementation("oms", OmsFileSystem, clobber=True)


@pytest.fixture(scope="session")
def settings(public_key: Path) -> dict[str, Any]:
    """A configuration that trusts the key for models of Acme's, and for all local ones."""
    return {
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": [
                    f"{store}/acme/**" for store in ("hf:/", "s3://*", "s3a://*", "memory:/")
                ]
                + ["/**"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 5, "connect_seconds": 2, "retries": 1},
    }


@pytest.fixture(scope="module")
def gate(settings: dict[str, Any]) -> Iterator[Gate]:
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        yield gate


@pytest.fixture
def options(tmp_path: Path, gate: Gate) -> Iterator[dict[str, Any]]:
    """The file system's own arguments: a gate, and a cache for this test alone."""
    yield {"gate": gate, "cache_folder": str(tmp_path / "cache")}
    OmsFileSystem.clear_instance_cache()


@pytest.fixture
def opened(options: Mapping[str, Any]) -> Open:
    """Takes a URL, and gives the file system and the path there."""

    def opened(url: str, **more: Any) -> tuple[OmsFileSystem, str]:
        fs, path = fsspec.url_to_fs(url, oms={**options}, **more)
        assert isinstance(fs, OmsFileSystem)
        return fs, path

    return opened


@pytest.fixture
def configured(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """An environment that names a configuration, and a cache."""
    (tmp_path / "gate.yaml").write_text(json.dumps(settings))
    monkeypatch.setenv("OMS_GATE_CONFIG", str(tmp_path / "gate.yaml"))
    monkeypatch.setenv("OMS_GATE_CACHE", str(tmp_path / "cache"))
    yield
    OmsFileSystem.clear_instance_cache()


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a program for which the package is installed as it says of itself."""
    entries = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["entry-points"]
    folder = tmp_path / "site" / "oms_gate_entries-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: oms-gate-entries\nVersion: 1\n")
    lines = [
        line
        for group, named in entries.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in named.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    path = os.pathsep.join([str(folder.parent), str(PROJECT)])
    return {**os.environ, "PYTHONPATH": path}
