"""What is decided without the weights: by a caller's context, and as far as the store declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, Assurance, Gate, UsageError
from oms_gate.config import GateConfig
from oms_gate.limits import Limits
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict
from tests import models
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

ROOT = Path(__file__).parents[1]
RULE: Mapping[str, Any] = {
    "name": "Acme",
    "models": ["hf://acme/*", "/**"],
    "signers": [{"method": "key", "key": "acme"}],
}
BY_NAMESPACE = """
package oms_gate.admission

deny contains {"code": "acme.namespace", "msg": "only research may use it"} if {
	input.context.namespace != "research"
}
"""


@pytest.fixture
def gate(public_key: Path) -> Iterator[Gate]:
    settings = {
        "trust": {"keys": {"acme": public_key}, "public_good": False},
        "publishers": [RULE],
        "limits": {"small_file_bytes": 1000},
    }
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        yield gate


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def signed(key: ec.EllipticCurvePrivateKey) -> dict[str, Content]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key)}


@pytest.mark.parametrize("way", ["check", "deliver", "admit"])
def test_a_policy_sees_what_the_caller_adds(
    opa: Path, key: ec.EllipticCurvePrivateKey, tmp_path: Path, way: str
) -> None:
    policy = models.write(
        tmp_path / "policy",
        {
            "admission.rego": (ROOT / "policies" / "admission.rego").read_bytes(),
            "own.rego": BY_NAMESPACE.encode(),
            **{
                f"lib/{path.name}": path.read_bytes()
                for path in (ROOT / "policies" / "lib").glob("*.rego")
            },
        },
    )
    data = data_document([Publisher.model_validate(RULE)])
    engine = WasmEngine.from_rego(policy, data, Limits(), opa=opa)
    model = models.write(tmp_path / "m", signed(key))  # type: ignore[arg-type]
    trust = Trust(keys={"acme": KeyRoot.from_pem("acme", models.public_pem(key))})

    def decide(own: Gate, namespace: str) -> Verdict:
        context = {"namespace": namespace}
        if way == "check":
            return own.check(model, context=context)
        if way == "deliver":
            return own.deliver(model, tmp_path / namespace, context=context)
        try:
            admission = own.admit(model, context=context)
        except AdmissionDenied as denied:
            return denied.verdict
        admission.snapshot.close()
        return admission.verdict

    with Gate(trust=trust, policy=engine) as own:
        assert decide(own, "research").admitted
        denied = decide(own, "production")
    assert codes(denied) == [ReasonCode.POLICY_DENIED]
    assert denied.reasons[0].policy_code == "acme.namespace"


def admit(gate: Gate, assurance: Assurance) -> Verdict:
    """The verdict of an admission, or of its denial."""
    try:
        admission = gate.admit("hf://acme/m", assurance=assurance)
    except AdmissionDenied as denied:
        return denied.verdict
    admission.snapshot.close()
    return admission.verdict


def requested(hub: HubStandIn) -> set[str]:
    """The signed files that were asked for."""
    return {record.file for record in hub.requests if record.file} & models.FILES.keys()


def test_the_verdict_says_how_far_it_reaches(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    verdict = admit(gate, Assurance.SIGNATURE)
    assert (verdict.admitted, verdict.assurance) == (True, Assurance.SIGNATURE)
    assert requested(hub) == set()
    verdict = admit(gate, Assurance.DECLARED)
    assert (verdict.admitted, verdict.assurance) == (True, Assurance.DECLARED)
    assert requested(hub) == {"README.md", "config.json"}


@pytest.mark.parametrize("replaced", ["config.json", "model.safetensors"])
def test_a_file_that_was_replaced_after_signing(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, replaced: str
) -> None:
    """Of weights the store declares another digest, which needs no look; small files are read."""
    other = bytes(len(models.FILES[replaced]))
    hub.create("acme/m", files={**signed(key), replaced: other})
    if replaced == "config.json":
        assert admit(gate, Assurance.SIGNATURE).admitted
    verdict = admit(gate, Assurance.DECLARED)
    assert [(reason.code, reason.path) for reason in verdict.reasons] == [
        (ReasonCode.FILE_CHANGED, replaced)
    ]
    assert "model.safetensors" not in requested(hub)


def test_weights_without_a_declared_digest(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Nobody vouches for them, and they are too large to be read for an admission."""
    bundle = models.signature(models.FILES, key, hash_type="blake3")
    hub.create("acme/m", files={**models.FILES, "model.sig": bundle})
    assert admit(gate, Assurance.SIGNATURE).admitted
    assert codes(admit(gate, Assurance.DECLARED)) == [ReasonCode.ASSURANCE_UNAVAILABLE]


def test_a_denied_model_is_not_looked_at_further(hub: HubStandIn, gate: Gate) -> None:
    hub.create("acme/m", files=signed(models.new_key()))
    assert codes(admit(gate, Assurance.DECLARED)) == [ReasonCode.KEY_UNTRUSTED]
    assert requested(hub) == set()


def test_an_admission_does_not_read_the_bytes(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="before the bytes are read"):
        gate.admit(tmp_path, assurance=Assurance.BYTES)
