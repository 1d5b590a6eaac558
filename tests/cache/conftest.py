"""What the tests of the verified cache share: a gate that trusts one key, and a cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache
from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from tests import models


@pytest.fixture
def gate(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> Iterator[Gate]:
    """A gate for the models of acme on every store, signed with the key."""
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(key))
    config = {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*", f"{tmp_path}/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
    }
    with Gate.from_config(GateConfig.model_validate(config)) as gate:
        yield gate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache is."""
    return tmp_path / "cache"


@pytest.fixture
def cache(gate: Gate, folder: Path) -> Iterator[Cache]:
    with Cache(gate, folder) as cache:
        yield cache
