"""Admission of one pod, without a cluster."""

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


def mutated(
    config: GateConfig,
    model: Path,
    *,
    namespace: str = "here",
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> tuple[Answer, list[Review]]:
    """What is said of a pod that has a folder's model, and what was found of it.

    labels: of its namespace.
    spec: of the pod, besides its containers.
    """
    settings = KubernetesSettings(image="x", schemes=("file",))
    metadata = {"name": "p", "annotations": {"oms-gate.dev/models": f"file://{model}=/m"}}
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": {"metadata": metadata, "spec": {"containers": [], **spec}},
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    seen: list[Review] = []

    async def labelled(_: str) -> Mapping[str, str]:
        return labels or {}

    async def work() -> Answer:
        bounds: dict[str, Any] = {"checks": 1, "waiting": 1, "namespace": 1, "remembered": 1}
        decisions = Decisions(**bounds, admitted_seconds=0, denied_seconds=0)
        admission = Admission(settings, book, decisions, labelled, seen.append)
        try:
            return await admission.mutate(ReviewRequest.parse(json.dumps(body).encode()), 20)
        finally:
            decisions.close()

    book = Rulebook(config)
    try:
        return asyncio.run(work()), seen
    finally:
        book.close()
