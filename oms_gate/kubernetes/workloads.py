"""Where the pods are in the objects that make them, and the models in those that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str | int, ...]

_TEMPLATE: Path = ("spec", "template")
_LEADER_WORKER: Path = ("spec", "leaderWorkerTemplate")

TEMPLATES: Final[Mapping[tuple[str, str], tuple[Path, ...]]] = {
    ("", "Pod"): ((),),
    ("", "ReplicationController"): (_TEMPLATE,),
    ("apps", "DaemonSet"): (_TEMPLATE,),
    ("apps", "Deployment"): (_TEMPLATE,),
    ("apps", "ReplicaSet"): (_TEMPLATE,),
    ("apps", "StatefulSet"): (_TEMPLATE,),
    ("batch", "CronJob"): (("spec", "jobTemplate", "spec", "template"),),
    ("batch", "Job"): (_TEMPLATE,),
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"): (
        (*_LEADER_WORKER, "leaderTemplate"),
        (*_LEADER_WORKER, "workerTemplate"),
    ),
}
"""By group and kind: the places of what has a pod's ``metadata`` and ``spec``."""

KSERVE: Final = "serving.kserve.io"

# Of InferenceService and LLMInferenceService: where pods' specifications are, without metadata.
_KSERVE_PODS: Mapping[str, tuple[Path, ...]] = {
    "InferenceService": tuple(
        ("spec", component, *more)
        for component in ("predictor", "transformer", "explainer")
        for more in ((), ("workerSpec",))
    ),
    "LLMInferenceService": tuple(
        ("spec", *more, role) for more in ((), ("prefill",)) for role in ("template", "worker")
    ),
}
# Of a model, of one of several, and of an adapter.
_URI_FIELDS = ("storageUri", "uri")


@dataclass(frozen=True)
class Workload:
    """An object that makes pods or names models.

    templates: places of what has a pod's metadata and spec; the gate changes them.
    specs: places of pods' specifications that another controller completes.
    uris: places of storage URIs.
    """

    templates: tuple[Path, ...] = ()
    specs: tuple[Path, ...] = ()
    uris: tuple[Path, ...] = ()


def workload_of(group: str, kind: str, item: Mapping[str, Any]) -> Workload | None:
    """Find in an object what the gate looks at; None for kinds that it does not know.

    group, kind: of the object.
    """
    if (paths := TEMPLATES.get((group, kind))) is not None:
        return Workload(templates=tuple(path for path in paths if _is_mapping(item, path)))
    if group == KSERVE and kind in _KSERVE_PODS:
        specs = tuple(path for path in _KSERVE_PODS[kind] if _is_mapping(item, path))
        return Workload(specs=specs, uris=tuple(_uris(item.get("spec"), ("spec",))))
    return None


def at(item: Any, path: Path) -> Any:
    """What is at a place of an object; None where nothing is."""
    for step in path:
        if isinstance(item, Mapping):
            item = item.get(step)
        elif isinstance(item, list) and isinstance(step, int) and step < len(item):
            item = item[step]
        else:
            return None
    return item


def _is_mapping(item: Mapping[str, Any], path: Path) -> bool:
    return isinstance(at(item, path), Mapping)


def _uris(value: Any, path: Path) -> Iterator[Path]:
    """The places of all storage URIs below a place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _URI_FIELDS and isinstance(inner, str) and "://" in inner:
                yield (*path, key)
            else:
                yield from _uris(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _uris(inner, (*path, index))
