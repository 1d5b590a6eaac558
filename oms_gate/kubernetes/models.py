"""The models that a pod uses, by its annotation and by what its containers run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oms_gate.errors import UsageError
from oms_gate.kubernetes.commands import Word
from oms_gate.kubernetes.kserve import INITIALIZER, initializer_models
from oms_gate.kubernetes.mentions import Budget, Mention, Run, runs
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.reference import Reference
from oms_gate.verdict import Reason, ReasonCode

MODELS_ANNOTATION: Final = "oms-gate.dev/models"
"""Names the models of a pod: references, each with ``=/folder`` where it is to be in one."""

OWN_CONTAINER: Final = re.compile(r"oms-gate-\d+")
"""The names of the gate's init containers."""

CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
"""Where a pod has containers."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_KINDS = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True)
class ModelUse:
    """A model that a pod uses, and how.

    where: what names it, for people.
    containers: names of the containers that read it; None for all.
    folder: where it is to be, absolute; None for the Hub's cache.
    word: the container's word to be replaced by the folder's path, and the container's name.
    name_option: what has to tell the model's public name then; None where nothing has to.
    """

    reference: Reference
    where: str
    containers: frozenset[str] | None
    folder: str | None = None
    word: tuple[str, Word] | None = None
    name_option: str | None = None


@dataclass(frozen=True)
class PodModels:
    """What a pod says of models.

    annotated: whether its annotation names them.
    caches: words that say where downloads are kept, and their containers' names.
    paths: local paths that are read as models: container's name, path, and what names it.
    problems: why it cannot be decided on.
    """

    uses: tuple[ModelUse, ...] = ()
    annotated: bool = False
    caches: tuple[tuple[str, Word], ...] = ()
    paths: tuple[tuple[str, str, str], ...] = ()
    problems: tuple[Reason, ...] = ()


def problem(message: str, code: ReasonCode = ReasonCode.POD_MODEL_UNKNOWN) -> Reason:
    """The reason for denying a pod."""
    return Reason(code=code, message=message)


def models_of(
    pod: Mapping[str, Any], annotations: Mapping[str, str], settings: KubernetesSettings
) -> PodModels:
    """Find the models that a pod uses.

    pod: its ``spec``.
    annotations: of the pod.

    Raises:
        StepError: it has more words than can be read.
    """
    clients = settings.all_clients
    budget = Budget(settings.words)
    uses: list[ModelUse] = []
    problems: list[Reason] = []
    caches: list[tuple[str, Word]] = []
    paths: list[tuple[str, str, str]] = []
    annotated = bool(annotations.get(MODELS_ANNOTATION, "").strip())
    for part in re.split(r"[\s,]+", annotations.get(MODELS_ANNOTATION, "").strip()):
        if part:
            try:
                uses.append(_annotated(part))
            except UsageError as error:
                problems.append(problem(f"the annotation {MODELS_ANNOTATION}: {error}"))
    for container in containers_of(pod):
        name = str(container.get("name") or "")
        if OWN_CONTAINER.fullmatch(name):
            continue
        if name == INITIALIZER:
            # KServe's, or one that the gate has made of it.
            try:
                uses += [
                    ModelUse(reference, f"KServe's {name}", frozenset({name}), folder)
                    for reference, folder in initializer_models(container)
                ]
            except UsageError as error:
                problems.append(problem(f"the container {name}: {error}"))
            continue
        for run in runs(container, clients, budget):
            where = f"container {name}, {run.client.name}"
            caches += [(name, word) for word in run.caches]
            if run.problem is not None and not annotated:
                problems.append(
                    problem(
                        f"{where}: {run.problem}; write the model's name as an argument, or name "
                        f"all models of the pod in the annotation {MODELS_ANNOTATION}"
                    )
                )
                continue
            for found in _uses(name, run, where):
                if isinstance(found, ModelUse):
                    uses.append(found)
                elif isinstance(found, Reason):
                    problems.append(found)
                else:
                    paths.append(found)
    return PodModels(tuple(uses), annotated, tuple(caches), tuple(paths), tuple(problems))


def containers_of(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The containers of a pod, in the order in which they start."""
    for field in CONTAINERS:
        yield from pod.get(field) or ()


def _annotated(text: str) -> ModelUse:
    name, _, folder = text.partition("=")
    if "://" not in name:
        name = f"hf://{name}"
    reference = Reference.parse(name)
    where = f"the annotation {MODELS_ANNOTATION}"
    if not folder:
        if reference.scheme != "hf" or reference.path:
            raise UsageError(f"'{text}' names no folder to put it into; write {text}=/models/name")
        return ModelUse(reference, where, None)
    return ModelUse(reference, where, None, _absolute(folder))


def _absolute(folder: str) -> str:
    path = posixpath.normpath(folder)
    if not path.startswith("/") or path.startswith("//") or path == "/" or ".." in folder:
        raise UsageError(f"'{folder}' is no absolute path of a folder; write one such as /models/x")
    return path


def _uses(
    container: str, run: Run, where: str
) -> Iterator[ModelUse | Reason | tuple[str, str, str]]:
    """What the mentions of one program mean."""
    for number, mention in enumerate(run.mentions):
        text = mention.name
        named = f"{where}, {mention.where} '{text}'"
        if text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
            yield container, text, named
            continue
        # The first one is what it serves.
        option = None if number or run.named else run.client.name_option
        try:
            yield _use(container, mention, named, option)
        except UsageError as error:
            yield problem(f"{named}: {error}")


def _use(container: str, mention: Mention, where: str, name_option: str | None) -> ModelUse:
    containers = frozenset({container})
    if _URL.match(mention.name):
        if mention.word is None:
            raise UsageError(
                "a URL cannot be replaced there; name the model in the annotation "
                f"{MODELS_ANNOTATION} with a folder, and the folder here"
            )
        return ModelUse(
            Reference.parse(mention.name),
            where,
            containers,
            word=(container, mention.word),
            name_option=name_option,
        )
    prefix = _KINDS.get(mention.kind)
    if prefix is None:
        raise UsageError(f"'{mention.kind}' is no kind of repository")
    reference = Reference.parse(f"hf://{prefix}{mention.name}")
    if reference.path or reference.revision is not None:
        raise UsageError("it is no repository of the Hub; write organization/name")
    if mention.revision is not None:
        reference = Reference.parse(reference.at(mention.revision).url)
    folder = None if mention.folder is None else _absolute(mention.folder)
    return ModelUse(reference, where, containers, folder)
