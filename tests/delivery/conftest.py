"""Fixtures of the tests that pull: a key, and a gate that trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return models.new_key()


@pytest.fixture
def settings(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> dict[str, Any]:
    """A configuration that trusts the key for every model of Acme's, on every store."""
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(key))
    local = [f"{tmp_path}/acme/*", f"{tmp_path}/to/*"]
    return {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*", *local],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
    }


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where the model is to be: a folder that is not there yet."""
    return tmp_path / "to" / "model"
