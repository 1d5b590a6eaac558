"""Pods for tests, and what the gate makes of them where every model is admitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oms_gate.kubernetes.injection import Injected, inject
from oms_gate.kubernetes.models import PodModels, models_of
from oms_gate.kubernetes.pins import Pin
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.reference import Reference

COMMIT = "c" * 40
SIGNATURE = "5" * 64
SETTINGS = KubernetesSettings(image="registry.example/oms-gate@sha256:" + "0" * 64)


def container(
    name: str = "server", image: str = "vllm/vllm-openai:v1", **more: Any
) -> dict[str, Any]:
    return {"name": name, "image": image, **more}


def found_in(
    pod: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
    settings: KubernetesSettings = SETTINGS,
) -> PodModels:
    return models_of(pod, annotations or {}, settings)


def pin(reference: Reference) -> Pin:
    return Pin(reference, COMMIT if reference.scheme == "hf" else None, SIGNATURE)


def injected(
    pod: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
    settings: KubernetesSettings = SETTINGS,
) -> Injected:
    found = found_in(pod, annotations, settings)
    pins = {use.reference.url: pin(use.reference) for use in found.uses}
    return inject(pod, annotations or {}, found, pins, settings)


def models_in(pod: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> set[str]:
    return {use.reference.url for use in found_in(pod, annotations).uses}


def of(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The container of this name."""
    lists = ("initContainers", "containers", "ephemeralContainers")
    found: dict[str, Any] = next(
        c for field in lists for c in pod.get(field) or () if c["name"] == name
    )
    return found
