"""Fixtures of the tests that publish: a gate that trusts Acme's key for Acme's models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from oms_gate.publish import s3_transfer
from tests import models
from tests.delivery.pulling import close_gates, gate_of, signed
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.publish import on_hub
from tests.publish.on_s3 import Place
from tests.publish.repositories import ENVIRONMENT, Repository


@pytest.fixture(scope="module", autouse=True)
def gates() -> Iterator[None]:
    """The gates of a module are closed with it: each has a thread."""
    yield
    close_gates()


@pytest.fixture
def settings(public_key: Path) -> dict[str, Any]:
    """A configuration that trusts the key for models of Acme's."""
    return {
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/**"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        # What the stand-in calls its CDN, see `tests.peers.hub`.
        "stores": {"private_hosts": ["localhost"]},
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
    }


@pytest.fixture
def gate(settings: dict[str, Any]) -> Gate:
    return gate_of(settings)


@pytest.fixture
def place(
    s3: SeaweedFS, s3_bucket: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Place:
    """An empty place for a model in S3, where small files are copied too."""
    monkeypatch.setattr(s3_transfer, "SMALL_BYTES", 0)
    return Place(s3, s3_bucket, settings)


@pytest.fixture
def folder(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """A model that Acme has signed."""
    return models.write(tmp_path / "model", signed(key))  # type: ignore[arg-type]


@pytest.fixture
def writer(gate: Gate, hub: HubStandIn) -> Gate:
    """The same, of somebody who may write to the Hub."""
    return gate.with_store_options("hf", {"token": hub.token})


@pytest.fixture
def first(hub: HubStandIn, writer: Gate, tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> str:
    """The commit of Acme's first release there."""
    on_hub.publish(writer, on_hub.release(tmp_path, key))
    hub.clear()
    return hub.head(on_hub.REPOSITORY)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty one of Git, with a work tree."""
    return Repository.new(tmp_path / "model")


@pytest.fixture
def in_repository(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the current one, as for a hook."""
    monkeypatch.chdir(repository.folder)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> Path:
    """The same in a file."""
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
