"""What is admitted, and that no init container would take: it is said when the pod is made."""

from __future__ import annotations

import json
from pathlib import Path

from oms_gate.config import GateConfig
from oms_gate.reason_codes import ReasonCode
from tests.kubernetes.reviewing import mutated
from tests.models import write
from tests.oms import forge
from tests.oms.test_old_format import signed as signed_in_old_format
from tests.oms.test_old_format import statement as old_statement
from tests.test_gate_times import CURRENT, ROOT


def test_the_old_format_is_no_signature_to_pin(tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ROOT.pem)
    certificates = {"certificates": {"ca": str(trusted)}, "old_format": True, "public_good": False}
    signers = [{"method": "certificate", "root": "ca", "any_identity": True}]
    rules = [{"name": "x", "models": ["/**"], "signers": signers}]
    config = GateConfig.model_validate_json(
        json.dumps({"trust": certificates, "publishers": rules})
    )
    bundle = signed_in_old_format(old_statement(), (CURRENT,))
    model = write(tmp_path / "model", {**forge.FILES, "model.sig": bundle})
    answer, (review,) = mutated(config, model)
    assert not answer.allowed
    assert review.models[0].verdict.admitted
    assert [reason.code for reason in review.problems] == [ReasonCode.BUNDLE_UNSUPPORTED]
    assert "have it signed anew" in answer.message
