"""Models signed with one key, and checked by whoever trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner, SignedModel, Signing, sign_model
from oms_gate.stores import StoreSettings
from oms_gate.verdict import Verdict
from tests import models

KEY = models.new_key()
SIGNER = ModelSigner.by_key(KEY)


def sign(reference: object, signer: ModelSigner = SIGNER, **settings: Any) -> SignedModel:
    """Sign it there; `settings` are those of `Signing`."""
    return sign_model(Reference.parse(str(reference)), signer, Signing(**settings))


def checked(
    reference: object, public_key: Path, stores: StoreSettings | None = None, **settings: Any
) -> Verdict:
    """The verdict of a gate that trusts `KEY` for every model; `settings` are its own."""
    publisher = {
        "name": "any",
        "models": [f"{Reference.parse(str(reference)).scheme}://**"],
        "signers": [{"method": "key", "key": "signer"}],
    }
    if publisher["models"] == ["file://**"]:
        publisher["models"] = ["/**"]
    config = GateConfig.model_validate(
        {
            "trust": {"public_good": False, "keys": {"signer": public_key}},
            "publishers": [publisher],
            "stores": stores or StoreSettings(),
            **settings,
        }
    )
    with Gate.from_config(config) as gate:
        return gate.check(str(reference))
