"""Fixtures of the tests on a real API server: a cluster that the gate guards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.kubernetes.guarding import IMAGE, Guard, guarded, install_policies
from tests.peers.cluster import Cluster
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS


@pytest.fixture(scope="session")
def stranger() -> ec.EllipticCurvePrivateKey:
    """A key that the gate knows, and that no rule names."""
    return models.new_key()


@pytest.fixture(scope="session")
def gate_config(
    public_key: Path,
    stranger: ec.EllipticCurvePrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """A gate that lets Acme sign Acme's models."""
    known = tmp_path_factory.mktemp("known") / "stranger.pub"
    known.write_bytes(models.public_pem(stranger))
    return {
        "trust": {
            "keys": {"acme": str(public_key), "stranger": str(known)},
            "public_good": False,
        },
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 0},
        "stores": {"private_hosts": ["localhost"]},
        "kubernetes": {"image": IMAGE, "denial_seconds": 0},
    }


@pytest.fixture(scope="module")
def _guarded(
    cluster: Cluster,
    gate_config: dict[str, Any],
    _hub_server: HubStandIn,
    _s3_server: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guard]:
    """The service; it is registered only where a test uses `guard`."""
    install_policies(cluster)
    config = gate_config | {
        "stores": gate_config["stores"] | {"options": {"s3": _s3_server.storage_options()}}
    }
    folder = tmp_path_factory.mktemp("webhook")
    with guarded(cluster, config, folder, HF_ENDPOINT=_hub_server.endpoint) as guard:
        yield guard


@pytest.fixture
def guard(_guarded: Guard, hub: HubStandIn, s3: SeaweedFS) -> Iterator[Guard]:
    """The guarded cluster; the Hub and S3 hold what the test puts there."""
    with _guarded.registered():
        yield _guarded
