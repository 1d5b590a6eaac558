"""A gateway that real clients are pointed at: whom it trusts, and models for it to judge."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from tests import models
from tests.gateway.clients import model
from tests.peers.hub import HubStandIn

MODEL = model.files()
_numbers = count()


def config(
    public_key: Path, upstream: str, mode: Literal["enforce", "annotate"] = "enforce"
) -> GateConfig:
    """The models of acme, signed with the key; what a branch names is asked at each request."""
    acme = {
        "name": "Acme",
        "models": ["hf://acme/*"],
        "signers": [{"method": "key", "key": "acme"}],
    }
    return GateConfig.model_validate(
        {
            "mode": mode,
            "trust": {"keys": {"acme": public_key}, "public_good": False},
            "publishers": [acme],
            "stores": {"private_hosts": ["localhost"]},
            "gateway": {"upstream": upstream, "access_seconds": 0},
        }
    )


def create(
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    more: dict[str, bytes] | None = None,
    *,
    private: bool = False,
) -> str:
    """A signed model, and files beside it that are not. Returns its name."""
    repository = f"acme/m{next(_numbers)}"
    bundle = models.signature(MODEL, key)
    files = {**MODEL, "model.sig": bundle, **(more or {})}
    hub.create(repository, files=files, private=private)
    return repository


def spoil(hub: HubStandIn, repository: str) -> None:
    """Let its branch go on to a commit in which the weights are others than were signed."""
    hub.commit(repository, {"model.safetensors": model.weights(-1)})
