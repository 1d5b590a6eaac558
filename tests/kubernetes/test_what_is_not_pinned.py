"""What is admitted, and that no init container would take: it is said when the pod is made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oms_gate.config import GateConfig
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.server.admission import Admission
from oms_gate.server.decisions import Decisions
from oms_gate.server.findings import Review
from oms_gate.server.review import Answer, ReviewRequest
from oms_gate.server.rulebook import Rulebook
from oms_gate.verdict import ReasonCode
from tests.models import write
from tests.oms import forge
from tests.oms.test_old_format import signed as signed_in_old_format
from tests.oms.test_old_format import statement as old_statement
from tests.test_gate_times import CURRENT, ROOT


def mutated(model: Path, trusted: Path) -> tuple[Answer, list[Review]]:
    """What is said of a pod with this model, by a gate that accepts the old format."""
    certificates = {"certificates": {"ca": str(trusted)}, "old_format": True, "public_good": False}
    signers = [{"method": "certificate", "root": "ca", "any_identity": True}]
    rules = [{"name": "x", "models": ["/**"], "signers": signers}]
    config = GateConfig.model_validate_json(
        json.dumps({"trust": certificates, "publishers": rules})
    )
    settings = KubernetesSettings(image="x", schemes=("file",))
    metadata = {"name": "p", "annotations": {"oms-gate.dev/models": f"file://{model}=/m"}}
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "here",
        "object": {"metadata": metadata, "spec": {"containers": []}},
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    seen: list[Review] = []

    async def labels(_: str) -> Mapping[str, str]:
        return {}

    async def work() -> Answer:
        bounds: dict[str, Any] = {"checks": 1, "waiting": 1, "namespace": 1, "remembered": 1}
        decisions = Decisions(**bounds, admitted_seconds=0, denied_seconds=0)
        admission = Admission(settings, book, decisions, labels, seen.append)
        try:
            return await admission.mutate(ReviewRequest.parse(json.dumps(body).encode()), 20)
        finally:
            decisions.close()

    book = Rulebook(config)
    try:
        return asyncio.run(work()), seen
    finally:
        book.close()


def test_the_old_format_is_no_signature_to_pin(tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ROOT.pem)
    bundle = signed_in_old_format(old_statement(), (CURRENT,))
    model = write(tmp_path / "model", {**forge.FILES, "model.sig": bundle})
    answer, (review,) = mutated(model, trusted)
    assert not answer.allowed
    assert review.models[0].verdict.admitted
    assert [reason.code for reason in review.problems] == [ReasonCode.BUNDLE_UNSUPPORTED]
    assert "have it signed anew" in answer.message
