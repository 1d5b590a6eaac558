"""Fixtures of the tests that pull: a gate that trusts a key, and places to pull into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.pulling import close_gates, small_volume


@pytest.fixture(scope="module", autouse=True)
def gates() -> Iterator[None]:
    """The gates of a module are closed with it: each has a thread."""
    yield
    close_gates()


@pytest.fixture
def settings(public_key: Path) -> dict[str, Any]:
    """A configuration that trusts the key for models of Acme's, and for all local ones."""
    return {
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*", "/**"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
    }


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where the model is to be: a folder that is not there yet."""
    return tmp_path / "to" / "model"


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, as a container has it; spaces in its name are no matter."""
    with small_volume(tmp_path / "a volume", "1m") as place:
        yield place
