"""Fixtures of the tests of events: a gate that trusts Acme, a bucket with a place for models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.pulling import close_gates
from tests.events.receiving import SECRET
from tests.peers.seaweedfs import SeaweedFS
from tests.publish.on_s3 import Place


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
        "stores": {"private_hosts": ["localhost", "127.0.0.1"]},
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 0},
    }


@pytest.fixture
def place(s3: SeaweedFS, s3_bucket: str, settings: dict[str, Any]) -> Place:
    """An empty place for a model, where S3 keeps no versions."""
    return Place(s3, s3_bucket, settings)


@pytest.fixture
def versioned(s3: SeaweedFS, s3_versioned_bucket: str, settings: dict[str, Any]) -> Place:
    """An empty place for a model, where S3 keeps versions."""
    return Place(s3, s3_versioned_bucket, settings)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The file with the secret of who sends events."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path
