"""The pod that the gate makes of a pod: its models fetched first, and out of everybody's reach.

Done to its own result it changes nothing, so that validation can tell whether somebody else has
changed what admission made.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from oms_gate.kubernetes.commands import Word
from oms_gate.kubernetes.containers import fetching, reading
from oms_gate.kubernetes.kserve import INITIALIZER
from oms_gate.kubernetes.models import (
    MODELS_ANNOTATION,
    MODELS_FOLDER,
    OWN_CONTAINER,
    PLACED,
    PLACED_ANNOTATION,
    ModelUse,
    PodModels,
    containers_of,
    problem,
)
from oms_gate.kubernetes.paths import is_below
from oms_gate.kubernetes.pins import ADMITTED_ANNOTATION, Pin, written_pins
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.kubernetes.volumes import HUB_FOLDER, Filled, Volumes
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason

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
    uses = _placed(work, found)
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
            work.pod,
            settings,
            before.get(name),
        )
        for use, (name, filled) in zip(uses, places, strict=True)
    ]
    _set(work.pod, "initContainers", [*fetchers, *(work.pod.get("initContainers") or ())])
    own = {name for name, _ in places}
    others = [c for c in containers_of(work.pod) if c.get("name") not in own]
    for other in others:
        read = [use for use in uses if _reads(other, use)]
        for use in read:
            work.problems += work.volumes.mount(other, use)
        if read or (found.annotated and not uses):
            reading(other, hub=any(use.folder is None for use in read))
        work.problems += work.volumes.protect(other)
        work.problems += _shadowed(work, other, read)
    _set(work.pod, "volumes", work.volumes.listed())
    if uses:
        work.problems += work.volumes.of_the_kubelet()
    _check_paths(work, found)
    pinned = [pins[use.reference.url] for use in uses if use.containers != _KSERVE]
    # There the pinned reference has taken the place of what was asked for.
    pinned += [pins[use.reference.url].own for use in uses if use.containers == _KSERVE]
    _annotate(work, ADMITTED_ANNOTATION, written_pins(pinned) if pinned else "")
    return Injected(work.pod, work.annotations, tuple(work.problems))


def _annotate(work: _Work, name: str, value: str) -> None:
    if value:
        work.annotations[name] = value
    else:
        work.annotations.pop(name, None)


def _shadowed(
    work: _Work, container: Mapping[str, Any], read: Sequence[ModelUse]
) -> Iterator[Reason]:
    """Where a folder may take the place of a model that is named."""
    for use in read:
        if use.folder is None:
            name = use.reference.location
            if (place := work.volumes.hides(container, name)) is not None:
                yield problem(
                    f"container {container.get('name')}: {place} would be taken for the model "
                    f"{name}; mount that volume elsewhere",
                    ReasonCode.POD_CHANGED,
                )


def _set(pod: dict[str, Any], key: str, value: list[Any]) -> None:
    """Set a list, and leave out an empty one that was not there."""
    if value or key in pod:
        pod[key] = value


def _placed(work: _Work, found: PodModels) -> list[ModelUse]:
    """The models without repetition, each at a place that the pod's own words name."""
    merged: dict[tuple[str, str | None], ModelUse] = {}
    explicit = []
    for use in found.uses:
        is_first_of_kserve = use.containers == _KSERVE and not any(
            other.containers == _KSERVE for other in merged.values()
        )
        folder = use.folder
        if use.word is not None:
            folder = _folder_for(use, merged)
            container, word = use.word
            _rewrite(work, container, word, folder, use.where)
            if use.name_option is not None:
                _append(work, container, [use.name_option, word.text])
        if use.word is not None or (use.containers == _KSERVE and not is_first_of_kserve):
            # From now on the annotation names it.
            use = ModelUse(use.reference, use.where, None, folder)
            explicit.append(use)
        elif use.where == PLACED:
            explicit.append(use)
        key = (use.reference.url, folder)
        if (other := merged.get(key)) is not None:
            both = (use.containers, other.containers)
            together = None if None in both else frozenset().union(*(b or () for b in both))
            use = ModelUse(use.reference, other.where, together, folder)
        merged[key] = use
    placed = dict.fromkeys(f"{use.reference.url}={use.folder}" for use in explicit)
    _annotate(work, PLACED_ANNOTATION, " ".join(sorted(placed)))
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


def _folder_for(use: ModelUse, others: Mapping[tuple[str, str | None], ModelUse]) -> str:
    """A folder for a model whose place nobody has named: the one that it has, or a free one."""
    for url, folder in others:
        if url == use.reference.url and folder is not None and is_below(folder, MODELS_FOLDER):
            return folder
    taken = {folder for _, folder in others}
    plain = f"{MODELS_FOLDER}/{posixpath.basename(use.reference.location)}"
    names = (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


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


def _check_paths(work: _Work, found: PodModels) -> None:
    """See that what is, or may be, read as a model from a path was fetched by the gate."""
    remedy = (
        f"let the gate fetch it there, by an annotation {MODELS_ANNOTATION}: "
        "hf://organization/name={}"
    )
    for local in found.paths:
        container = _container(work, local.container)
        if local.surely:
            verified = work.volumes.holds(container, local.path)
        else:
            verified = not work.volumes.may_hold_others(container, local.path)
        if not verified:
            cure = remedy.format(local.path) if local.surely else "mount that volume elsewhere"
            work.problems.append(
                problem(
                    f"{local.where}: nothing has verified what is at that path; {cure}",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
    for name, doubt in found.doubts:
        if work.volumes.may_hold_others(_container(work, name)):
            work.problems.append(
                problem(
                    f"{doubt}, and a volume of it may hold a model that nobody has verified; write "
                    "its arguments plainly, or mount no volume of elsewhere",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
