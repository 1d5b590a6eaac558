"""The models that a pod uses, by its annotation and by what its containers run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from oms_gate.errors import UsageError
from oms_gate.kubernetes.budget import Budget
from oms_gate.kubernetes.commands import Word
from oms_gate.kubernetes.kserve import INITIALIZER, initializer_models
from oms_gate.kubernetes.mentions import Mention, Run, Table, runs
from oms_gate.kubernetes.paths import is_path, normal
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import Reason

MODELS_ANNOTATION: Final = "oms-gate.dev/models"
"""Names the models of a pod: references, each with ``=/folder`` where it is to be in one."""

NO_MODELS: Final = "none"
"""What that annotation says of a pod that uses no models."""

PLACED_ANNOTATION: Final = "oms-gate.dev/placed"
"""The models whose place the gate has put into the pod's own words; it is written by the gate."""

PLACED: Final = f"the annotation {PLACED_ANNOTATION}"
"""What names such a model."""

MODELS_FOLDER: Final = "/oms-gate/models"
"""Where models are put whose place nobody has named."""

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
class LocalPath:
    """A path in a container that is, or may be, read as a model.

    where: what names it, for people.
    surely: whether it is; else it is only looked at where others may have put something.
    """

    container: str
    path: str
    where: str
    surely: bool = True


@dataclass(frozen=True)
class PodModels:
    """What a pod says of models.

    annotated: whether its annotation says all of it.
    caches: words that say where downloads are kept, and their containers' names.
    paths: local paths that are, or may be, read as models.
    doubts: containers that may be told of further ones, and what is unknown of them.
    problems: why it cannot be decided on.
    """

    uses: tuple[ModelUse, ...] = ()
    annotated: bool = False
    caches: tuple[tuple[str, Word], ...] = ()
    paths: tuple[LocalPath, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()
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
        StepError: there is more of it than can be read.
    """
    budget = Budget(settings.words, settings.characters)
    table = Table.of(settings.all_clients)
    found = _Found(annotated=bool(annotations.get(MODELS_ANNOTATION, "").strip()))
    for name in (MODELS_ANNOTATION, PLACED_ANNOTATION):
        for part in re.split(r"[\s,]+", annotations.get(name, "").strip()):
            if part and part != NO_MODELS:
                try:
                    found.uses.append(_annotated(part, name))
                except UsageError as error:
                    found.problems.append(problem(f"the annotation {name}: {error}"))
    for container in containers_of(pod):
        name = str(container.get("name") or "")
        if OWN_CONTAINER.fullmatch(name) and container in (pod.get("initContainers") or ()):
            continue
        if name == INITIALIZER:
            # KServe's, or one that the gate has made of it.
            try:
                found.uses += [
                    ModelUse(reference, f"KServe's {name}", frozenset({name}), _absolute(folder))
                    for reference, folder in initializer_models(container)
                ]
            except UsageError as error:
                found.problems.append(problem(f"the container {name}: {error}"))
            continue
        for run in runs(container, table, budget):
            found.take(name, run, str(container.get("workingDir") or ""))
    return PodModels(
        _without_stale(found),
        found.annotated,
        tuple(found.caches),
        tuple(found.paths),
        tuple(found.doubts),
        tuple(found.problems),
    )


@dataclass
class _Found:
    """What was found so far."""

    annotated: bool
    uses: list[ModelUse] = field(default_factory=list)
    caches: list[tuple[str, Word]] = field(default_factory=list)
    paths: list[LocalPath] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)

    def take(self, container: str, run: Run, working_folder: str) -> None:
        """Take over what is said of one program."""
        where = f"container {container}, {run.client.name}"
        self.caches += [(container, word) for word in run.caches]
        self.doubts += [(container, f"{where}: {text}") for text in [run.doubt] if text]
        if run.problem is not None and self.annotated:
            self.doubts.append((container, f"{where}: {run.problem}"))
        elif run.problem is not None:
            self.problems.append(
                problem(
                    f"{where}: {run.problem}; write the model's name as an argument, or name all "
                    f"models of the pod in the annotation {MODELS_ANNOTATION} ('{NO_MODELS}' where "
                    "there are none)"
                )
            )
        meant = list(_uses(container, run, where))
        for found in meant:
            if isinstance(found, ModelUse):
                self.uses.append(found)
            elif isinstance(found, Reason):
                self.problems.append(found)
            else:
                self.paths.append(found)
        self.paths += [
            LocalPath(container, path, f"{where}, '{path}'", surely=False) for path in run.perhaps
        ]
        # A folder of the model's name there would be taken for it.
        folders = [*(word.text for word in run.folders), *filter(None, [working_folder])]
        if any(isinstance(found, ModelUse) for found in meant):
            self.paths += [
                LocalPath(container, folder, f"{where}, started in '{folder}'", surely=False)
                for folder in folders
            ]


def _without_stale(found: _Found) -> tuple[ModelUse, ...]:
    """The models, without those that the gate has once placed where nobody reads any more."""
    read = {normal(path.path) for path in found.paths}
    return tuple(
        use
        for use in found.uses
        if use.where != PLACED
        or use.folder in read
        or not (use.folder or "").startswith(f"{MODELS_FOLDER}/")
    )


def containers_of(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The containers of a pod, in the order in which they start."""
    for name in CONTAINERS:
        yield from pod.get(name) or ()


def _annotated(text: str, annotation: str) -> ModelUse:
    name, _, folder = text.partition("=")
    if "://" not in name:
        name = f"hf://{name}"
    reference = Reference.parse(name)
    where = f"the annotation {annotation}"
    if not folder:
        if reference.scheme != "hf" or reference.path:
            raise UsageError(f"'{text}' names no folder to put it into; write {text}=/models/name")
        return ModelUse(reference, where, None)
    return ModelUse(reference, where, None, _absolute(folder))


def _absolute(folder: str) -> str:
    path = posixpath.normpath(folder)
    if not path.startswith("/") or path.startswith("//") or path == "/" or ".." in folder:
        raise UsageError(f"'{folder}' is no absolute path of a folder; write one such as /models/x")
    if "$" in folder:
        raise UsageError(f"'{folder}' holds a variable; write the path itself")
    return normal(path)


def _uses(container: str, run: Run, where: str) -> Iterator[ModelUse | Reason | LocalPath]:
    """What the mentions of one program mean."""
    for number, mention in enumerate(run.mentions):
        text = mention.name
        named = f"{where}, {mention.where} '{text}'"
        if is_path(text) or text in (".", ".."):
            yield LocalPath(container, text, named)
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
    # What follows a colon is a kind of file in the repository.
    reference = Reference.parse(f"hf://{prefix}{mention.name.partition(':')[0]}")
    if reference.path or reference.revision is not None:
        raise UsageError("it is no repository of the Hub; write organization/name")
    if mention.revision is not None:
        reference = Reference.parse(reference.at(mention.revision).url)
    folder = None if mention.folder is None else _absolute(mention.folder)
    return ModelUse(reference, where, containers, folder)
