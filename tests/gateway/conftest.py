"""What the tests of the gateway share: one in front of the Hub, that trusts one key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_gate.config import GateConfig
from tests.gateway.running import Running, running
from tests.peers.hub import HubStandIn


@pytest.fixture
def settings(public_key: Path) -> dict[str, Any]:
    """What ``gate.yaml`` says: the models of acme, signed with the key."""
    return {
        "trust": {"keys": {"acme": public_key}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 0},
    }


@pytest.fixture
def gateway(hub: HubStandIn, settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    """A gateway in front of the Hub."""
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        yield gateway
