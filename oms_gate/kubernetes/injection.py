"""The pod that the gate makes of a pod: its models fetched first, and out of everybody's reach.

Done to its own result it changes nothing, so that validation can tell whether somebody else has
changed what admission made.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from oms_gate.kubernetes.commands import Word
from oms_gate.kubernetes.containers import fetching, reading
from oms_gate.kubernetes.kserve import INITIALIZER
from oms_gate.kubernetes.models import (
    MODELS_ANNOTATION,
    OWN_CONTAINER,
    ModelUse,
    PodModels,
    containers_of,
    problem,
)
from oms_gate.kubernetes.pins import ADMITTED_ANNOTATION, Pin, written_pins
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.kubernetes.volumes import HUB_FOLDER, Filled, Volumes
from oms_gate.verdict import Reason, ReasonCode

MODELS_FOLDER: Final = "/oms-gate/models"
"""Where models are put whose place nobody has named."""

_KSERVE = frozenset({INITIALIZER})


@dataclass(frozen=True)
class Injected:
    """A pod as it should be.

    problems: why that cannot be; the pod is of no use then.
    """

    pod: dict[str, Any]
    annotations: dict[str, str]
    problems: tuple[Reason, ...] = ()


@dataclass
class _Work:
    """One pod on its way."""

    pod: dict[str, Any]
    annotations: dict[str, str]
    volumes: Volumes
    problems: list[Reason] = field(default_factory=list)


def inject(
    pod: Mapping[str, Any],
    annotations: Mapping[str, str],
    found: PodModels,
    pins: Mapping[str, Pin],
    settings: KubernetesSettings,
) -> Injected:
    """Make of a pod one that has its models fetched and proven before anything else starts.

    pod: its ``spec``.
    found: what it says of models.
    pins: of each of these models, by the reference asked for.
    """
    copy = deepcopy(dict(pod))
    work = _Work(copy, dict(annotations), Volumes(copy))
    work.problems += found.problems
    uses = _placed(work, found.uses)
    for container, word in found.caches:
        if any(use.folder is None for use in uses):
            _rewrite(work, container, word, HUB_FOLDER, "where downloads are kept")
    places: list[tuple[str, Filled]] = []
    for use in uses:
        number = sum(name != INITIALIZER for name, _ in places)
        name = INITIALIZER if use.containers == _KSERVE else f"oms-gate-{number}"
        filled, issues = work.volumes.fill(use, number)
        places.append((name, filled))
        work.problems += issues
    if uses and settings.config_map is not None:
        work.volumes.configure(settings.config_map)
    before = _take_own(work)
    fetchers = [
        fetching(
            name,
            use,
            pins[use.reference.url],
            filled,
            [c for c in containers_of(work.pod) if _reads(c, use)],
            settings,
            before.get(name),
        )
        for use, (name, filled) in zip(uses, places, strict=True)
    ]
    _set(work.pod, "initContainers", [*fetchers, *(work.pod.get("initContainers") or ())])
    own = {name for name, _ in places}
    others = [c for c in containers_of(work.pod) if c.get("name") not in own]
    for other in others:
        work.problems += work.volumes.protect(other)
        for use in uses:
            if _reads(other, use):
                work.problems += work.volumes.mount(other, use)
                reading(other, hub=use.folder is None)
    _set(work.pod, "volumes", work.volumes.listed())
    _check_paths(work, found.paths)
    pinned = [pins[use.reference.url] for use in uses if use.containers != _KSERVE]
    # There the pinned reference has taken the place of what was asked for.
    pinned += [pins[use.reference.url].own for use in uses if use.containers == _KSERVE]
    if pinned:
        work.annotations[ADMITTED_ANNOTATION] = written_pins(pinned)
    else:
        work.annotations.pop(ADMITTED_ANNOTATION, None)
    return Injected(work.pod, work.annotations, tuple(work.problems))


def _set(pod: dict[str, Any], key: str, value: list[Any]) -> None:
    """Set a list, and leave out an empty one that was not there."""
    if value or key in pod:
        pod[key] = value


def _placed(work: _Work, uses: Sequence[ModelUse]) -> list[ModelUse]:
    """The models without repetition, each at a place that the pod's own words name."""
    merged: dict[tuple[str, str | None], ModelUse] = {}
    explicit = []
    for use in uses:
        is_first_of_kserve = use.containers == _KSERVE and not any(
            other.containers == _KSERVE for other in merged.values()
        )
        folder = use.folder
        if use.word is not None:
            taken = {other.folder for other in merged.values()}
            folder = f"{MODELS_FOLDER}/{_last_part(use)}"
            if folder in taken and (use.reference.url, folder) not in merged:
                folder = f"{folder}-{len(merged)}"
            container, word = use.word
            _rewrite(work, container, word, folder, use.where)
            if use.name_option is not None:
                _append(work, container, [use.name_option, word.text])
        if use.word is not None or (use.containers == _KSERVE and not is_first_of_kserve):
            # From now on the annotation names it.
            explicit.append(f"{use.reference.url}={folder}")
            use = ModelUse(use.reference, use.where, None, folder)
        key = (use.reference.url, folder)
        if (other := merged.get(key)) is not None:
            both = (use.containers, other.containers)
            together = None if None in both else frozenset().union(*(b or () for b in both))
            use = ModelUse(use.reference, other.where, together, folder)
        merged[key] = use
    if explicit:
        named = work.annotations.get(MODELS_ANNOTATION, "").split()
        work.annotations[MODELS_ANNOTATION] = " ".join(dict.fromkeys([*named, *explicit]))
    folders: dict[str, ModelUse] = {}
    for use in merged.values():
        other = folders.get(use.folder or "")
        if use.folder is not None and other is not None:
            work.problems.append(
                problem(
                    f"{use.reference.url} and {other.reference.url} are both to be in "
                    f"{use.folder}; give each its own folder"
                )
            )
        folders[use.folder or ""] = use
    # The gate's own containers are numbered in this order, which must not change the second time.
    return sorted(merged.values(), key=_order)


def _order(use: ModelUse) -> tuple[str, str, str]:
    return use.reference.name, use.folder or "", use.reference.revision or ""


def _last_part(use: ModelUse) -> str:
    return posixpath.basename(use.reference.path or use.reference.location)


def _container(work: _Work, name: str) -> dict[str, Any]:
    return next(c for c in containers_of(work.pod) if c.get("name") == name)


def _rewrite(work: _Work, name: str, word: Word, path: str, what: str) -> None:
    """Let a container's word name a path instead."""
    if word.place is None:
        if word.text != path:
            work.problems.append(
                problem(
                    f"container {name}: {what} stands in a script, which cannot be changed; write "
                    f"{path} there, and name the model in the annotation {MODELS_ANNOTATION}"
                )
            )
        return
    place, index = word.place
    words = _container(work, name)[place]
    option, equals, _ = str(words[index]).partition("=")
    words[index] = f"{option}={path}" if option.startswith("-") and equals else path


def _append(work: _Work, name: str, words: list[str]) -> None:
    container = _container(work, name)
    field_name = "args" if container.get("args") else "command"
    container[field_name] = [*container[field_name], *words]


def _take_own(work: _Work) -> dict[str, dict[str, Any]]:
    """Take the gate's own containers out of the pod; they are made anew."""
    taken = {}
    kept = []
    for container in work.pod.get("initContainers") or ():
        name = str(container.get("name") or "")
        if OWN_CONTAINER.fullmatch(name) or name == INITIALIZER:
            taken[name] = container
        else:
            kept.append(container)
    if "initContainers" in work.pod:
        work.pod["initContainers"] = kept
    for key in ("containers", "ephemeralContainers"):
        for container in work.pod.get(key) or ():
            name = str(container.get("name") or "")
            if OWN_CONTAINER.fullmatch(name) or name == INITIALIZER:
                work.problems.append(
                    problem(
                        f"the container name {name} belongs to an init container of the gate; "
                        "choose another one",
                        ReasonCode.POD_CHANGED,
                    )
                )
    return taken


def _reads(container: Mapping[str, Any], use: ModelUse) -> bool:
    return use.containers is None or container.get("name") in use.containers


def _check_paths(work: _Work, paths: Sequence[tuple[str, str, str]]) -> None:
    """See that what is read as a model from a local path was fetched by the gate."""
    for name, path, where in paths:
        container = _container(work, name)
        if not work.volumes.holds(container, path):
            work.problems.append(
                problem(
                    f"{where}: nothing has verified what is at that path; let the gate fetch it "
                    f"there, by an annotation {MODELS_ANNOTATION}: hf://organization/name={path}",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
