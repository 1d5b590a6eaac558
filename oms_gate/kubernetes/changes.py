"""The difference that the gate makes, as JSON Patch (RFC 6902), and as what people call it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from oms_gate.kubernetes.workloads import Path

Operation = dict[str, Any]

POD_LISTS: Final = ("volumes", "initContainers", "containers", "ephemeralContainers")
"""What the gate changes in a pod's specification."""


def changes(
    path: Path, before: Mapping[str, Any], pod: Mapping[str, Any], annotations: Mapping[str, str]
) -> list[Operation]:
    """What has to change for a template to have this pod.

    path: of what has the pod's metadata and spec, `before`.
    """
    spec = before.get("spec") or {}
    operations = [
        _set((*path, "spec", key), pod[key])
        for key in POD_LISTS
        if key in pod and pod[key] != spec.get(key)
    ]
    return [*operations, *annotated(path, before, annotations)]


def annotated(
    path: Path, before: Mapping[str, Any], annotations: Mapping[str, str]
) -> list[Operation]:
    """What has to change for an object to have these annotations."""
    metadata = before.get("metadata")
    if annotations == ((metadata or {}).get("annotations") or {}):
        return []
    if metadata is None:
        return [_set((*path, "metadata"), {"annotations": dict(annotations)})]
    return [_set((*path, "metadata", "annotations"), dict(annotations))]


def replaced(path: Path, value: Any) -> Operation:
    """The change of one value that is there."""
    return _set(path, value)


def described(operations: Sequence[Operation], before: Any) -> str:
    """What is not as it should be, for people.

    before: the object as it is.
    """
    return "; ".join(text for operation in operations for text in _parts(operation, before))


def _parts(operation: Operation, before: Any) -> Iterator[str]:
    path, wanted = operation["path"], operation["value"]
    there = before
    for step in path.strip("/").split("/"):
        there = there.get(step) if isinstance(there, Mapping) else None
    name = path.strip("/").replace("/", ".")
    if not isinstance(wanted, list) or not isinstance(there, list):
        yield name
        return
    theirs = {item.get("name"): item for item in there}
    ours = {item.get("name"): item for item in wanted}
    for item in dict.fromkeys([*ours, *theirs]):
        mine, found = ours.get(item), theirs.get(item)
        if mine is None or found is None:
            yield f"{name} {item} is {'there' if mine is None else 'missing'}"
        elif mine != found:
            keys = [key for key in {**mine, **found} if mine.get(key) != found.get(key)]
            yield f"{name} {item}: {', '.join(keys)}"
    if ours == theirs:
        yield f"the order of {name}"


def _set(path: Path, value: Any) -> Operation:
    # "add" replaces what is there.
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    return {"op": "add", "path": pointer, "value": value}
