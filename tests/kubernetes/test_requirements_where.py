"""Requirements for some namespaces: by what the API server says of them, and of the pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.kubernetes.reviewing import mutated

# A part of `where`, a pod that it is about, and one that it is not.
WHERE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "namespaces": (
        {"namespaces": ["prod-*"]},
        {"namespace": "prod-eu"},
        {"namespace": "preprod-eu"},
    ),
    "namespace_labels": (
        {"namespace_labels": {"stage": "production", "team": "a"}},
        {"labels": {"stage": "production", "team": "a", "more": "b"}},
        {"labels": {"stage": "production"}},
    ),
    "service_accounts": (
        {"service_accounts": ["server-*"]},
        {"serviceAccountName": "server-1"},
        {},
    ),
    "the service account of all others": (
        {"service_accounts": ["default"]},
        {},
        {"serviceAccountName": "server-1"},
    ),
    "operations": ({"operations": ["admit"]}, {}, {}),
    "other operations": ({"operations": ["pull", "load"]}, {}, {}),
    "all together": (
        {"operations": ["admit"], "namespaces": ["prod"], "namespace_labels": {"a": "b"}},
        {"namespace": "prod", "labels": {"a": "b"}},
        {"namespace": "prod", "labels": {"a": "c"}},
    ),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_requirement_is_about_the_pods_that_it_names(
    where: str, key: ec.EllipticCurvePrivateKey, public_key: Path, tmp_path: Path
) -> None:
    """The model is signed by its publisher, but nothing proves when."""
    limited, about, other = WHERE[where]
    signers = [{"method": "key", "key": "acme"}]
    config = GateConfig.model_validate(
        {
            "trust": {"keys": {"acme": public_key}, "public_good": False},
            "publishers": [{"name": "Acme", "models": ["/**"], "signers": signers}],
            "requirements": [{"name": "timed", "where": limited, "proven_time": True}],
        }
    )
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    model = models.write(tmp_path / "model", files)
    if where != "other operations":
        answer, (review,) = mutated(config, model, **about)
        assert not answer.allowed
        found = [reason.code for reason in review.models[0].verdict.reasons]
        assert found == [ReasonCode.REQUIREMENT_TIME]
        assert '"timed"' in answer.message
    if where != "operations":
        answer, _ = mutated(config, model, **other)
        assert answer.allowed, answer.message
