"""Admission of Kubernetes' objects: no pod starts on a model that was not admitted."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from oms_gate.errors import StepError, UsageError, defect
from oms_gate.kserve import kserve_reference, kserve_uri
from oms_gate.kubernetes.changes import Operation, annotated, changes, described, replaced
from oms_gate.kubernetes.injection import inject
from oms_gate.kubernetes.models import (
    MODELS_ANNOTATION,
    PLACED_ANNOTATION,
    ModelUse,
    models_of,
    problem,
)
from oms_gate.kubernetes.pins import ADMITTED_ANNOTATION, Pin, read_pins, written_pins
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.kubernetes.workloads import Path, Workload, at, workload_of
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.server.decisions import Decisions, Question
from oms_gate.server.findings import Judged, Review, answer
from oms_gate.server.review import Answer, ReviewRequest
from oms_gate.server.rulebook import Rulebook
from oms_gate.verdict import Reason

_LOG = logging.getLogger(__name__)

Labels = Callable[[str], Awaitable[Mapping[str, str]]]
"""Gives the labels of a namespace; raises `StepError` where they cannot be had."""

EPHEMERAL: Final = "ephemeralcontainers"

_OWN_ANNOTATIONS: Final = (MODELS_ANNOTATION, PLACED_ANNOTATION, ADMITTED_ANNOTATION)


class Admission:
    """Answers what an API server asks. Used within one event loop."""

    def __init__(
        self,
        settings: KubernetesSettings,
        rulebook: Rulebook,
        decisions: Decisions,
        labels: Labels,
        on_review: Callable[[Review], None],
    ) -> None:
        """
        on_review: told once of each object that uses models or was found wanting.
        """
        self._settings = settings
        self._rulebook = rulebook
        self._decisions = decisions
        self._labels = labels
        self._on_review = on_review

    async def mutate(self, request: ReviewRequest, seconds: float) -> Answer:
        """Let the object's models be fetched and proven before anything else starts.

        seconds: until the API server stops to wait.
        """
        review, patch = await self._review(request, seconds)
        if review.outcome == "denied":
            self._on_review(review)  # It is not validated any more.
        if not review.sound:
            return answer(review, [])
        if request.kind == "Pod" and request.operation != "CREATE" and not request.subresource:
            # What a pod is made of stays. Who applies the same again, means what admission made.
            patch = patch if _is_as_before(patch, request.old or {}) else []
        return answer(review, patch)

    async def validate(self, request: ReviewRequest, seconds: float) -> Answer:
        """See that the object is as `mutate` makes it, and its models admitted."""
        review, patch = await self._review(request, seconds)
        if patch and review.sound:
            review.problems.append(
                problem(
                    f"{request.label} is not as admission makes it: "
                    f"{described(patch, request.item)}; look for another webhook that changes it, "
                    "or make it anew",
                    ReasonCode.POD_CHANGED,
                )
            )
        if review.outcome != "none":
            self._on_review(review)
        return answer(review, [])

    async def _review(
        self, request: ReviewRequest, seconds: float
    ) -> tuple[Review, list[Operation]]:
        """What is in an object, and what would have to change in it."""
        review = Review(request)
        patch: list[Operation] = []
        deadline = time.monotonic() + seconds
        try:
            item = request.item
            workload = None if item is None else workload_of(request.group, request.kind, item)
            if item is None or workload is None or _is_unchanged(request, workload):
                return review, []
            work = _Work(review, item, await self._labels(request.namespace), deadline)
            review.mode = self._rulebook.terms(request.namespace, work.labels, "").mode
            if request.subresource == EPHEMERAL:
                return review, self._ephemeral(work)
            for path in workload.templates:
                patch += await self._pod(work, path)
            if workload.specs or workload.uris:
                patch += await self._kserve(work, workload)
        except StepError as error:
            review.problems.append(error.reason)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            _LOG.warning("%s cannot be read: %r", request.label, error)
            review.problems.append(
                problem(
                    f"{request.label} cannot be read as one of its kind ({type(error).__name__}); "
                    "correct it",
                    ReasonCode.POD_MALFORMED,
                )
            )
        except Exception as error:  # noqa: BLE001 - a defect must deny
            _LOG.exception("while reviewing %s", request.label)
            review.problems.append(defect(type(error).__name__))
        return review, patch

    async def _pod(self, work: _Work, path: Path) -> list[Operation]:
        """Review one pod, or one template of pods."""
        template = at(work.item, path)
        pod = template.get("spec") or {}
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        found = models_of(pod, annotations, self._settings)
        pins = await self._judged(work, found.uses, annotations, pod)
        if pins is None:
            work.review.problems += found.problems
            return []
        injected = inject(pod, annotations, found, pins, self._settings)
        work.review.problems += injected.problems
        return changes(path, template, injected.pod, injected.annotations)

    def _ephemeral(self, work: _Work) -> list[Operation]:
        """Review the containers that are added to a pod that runs: they bring no models."""
        old = work.review.request.old or {}
        annotations = (work.item.get("metadata") or {}).get("annotations") or {}
        pod, before = work.item.get("spec") or {}, old.get("spec") or {}
        found = models_of(pod, annotations, self._settings)
        had = models_of(before, annotations, self._settings)
        places = {(use.reference.url, use.folder) for use in had.uses}
        work.review.problems += [reason for reason in found.problems if reason not in had.problems]
        work.review.problems += [
            problem(
                f"{use.where}: a pod that runs gets no further model; make a new pod",
                ReasonCode.POD_CHANGED,
            )
            for use in found.uses
            if (use.reference.url, use.folder) not in places
        ]
        pins = read_pins(annotations)
        if any(use.reference.url not in pins for use in found.uses):
            # A pod from before the gate: nothing in it was verified.
            work.review.problems += [
                problem(
                    f"{local.where}: nothing has verified what is at that path; make a new pod",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
                for local in found.paths
                if local not in had.paths
            ]
            return []
        if work.review.problems:
            return []
        injected = inject(pod, annotations, found, pins, self._settings)
        known = inject(before, annotations, had, pins, self._settings).problems
        work.review.problems += [reason for reason in injected.problems if reason not in known]
        only = {"ephemeralContainers": injected.pod.get("ephemeralContainers", [])}
        return changes((), work.item, only, annotations)

    async def _kserve(self, work: _Work, workload: Workload) -> list[Operation]:
        """Review an object of KServe's: decide early, and pin; its pods are reviewed themselves."""
        annotations = (work.item.get("metadata") or {}).get("annotations") or {}
        references = {}
        for path in workload.uris:
            try:
                references[path] = kserve_reference(at(work.item, path))
            except UsageError as error:
                work.review.problems.append(problem(f"{'.'.join(map(str, path))}: {error}"))
        uses = [
            ModelUse(reference, ".".join(map(str, path)), None)
            for path, reference in references.items()
        ]
        named = list(models_of({}, annotations, self._settings).uses)
        for path in workload.specs:
            named += models_of(at(work.item, path), {}, self._settings).uses
        spec = at(work.item, workload.specs[0]) if workload.specs else {}
        pins = await self._judged(work, [*uses, *named], annotations, spec)
        if pins is None or work.review.problems or not references:
            return []
        own = {path: pins[reference.url].own for path, reference in references.items()}
        patch = [
            replaced(path, kserve_uri(pin.pinned))
            for path, pin in own.items()
            if kserve_uri(pin.pinned) != at(work.item, path)
        ]
        wanted = {**annotations, ADMITTED_ANNOTATION: written_pins(own.values())}
        return [*patch, *annotated((), work.item, wanted)]

    async def _judged(
        self,
        work: _Work,
        uses: Sequence[ModelUse],
        annotations: Mapping[str, str],
        pod: Mapping[str, Any],
    ) -> dict[str, Pin] | None:
        """Decide about models; what to pin each to, or None where one is denied."""
        review = work.review
        if len(uses) > self._settings.models:
            raise StepError(
                ReasonCode.POD_MALFORMED,
                f"{review.request.label} uses {len(uses)} models, more than {self._settings.models}"
                "; use fewer, or raise kubernetes.models in gate.yaml",
            )
        pins = read_pins(annotations)
        distinct = {use.reference.url: use for use in uses}
        context = _context(review.request, work.labels, pod)
        judged = await asyncio.gather(
            *(self._judge(work, use, pins.get(url), context) for url, use in distinct.items())
        )
        review.models += judged
        found = {}
        for url, model in zip(distinct, judged, strict=True):
            if model.verdict.signature is not None and model.verdict.admitted:
                pin = Pin(model.reference, _revision(model), model.verdict.signature.sha256)
                if model.verdict.signature.format != "v1.0":
                    review.problems.append(_old_format(pin))
                if (before := pins.get(url)) is not None and before.signature != pin.signature:
                    review.problems.append(_signed_anew(before))
                found[url] = pin
        return found if len(found) == len(distinct) else None

    async def _judge(
        self, work: _Work, use: ModelUse, pin: Pin | None, context: Mapping[str, JsonValue]
    ) -> Judged:
        request, reference = work.review.request, use.reference
        asked = reference if pin is None else pin.pinned
        if asked.scheme not in self._settings.schemes:
            raise StepError(
                ReasonCode.POD_MODEL_UNKNOWN,
                f"{use.where} names {asked.url}, and {asked.scheme} is none of kubernetes.schemes "
                "in gate.yaml; name a model where it was published",
            )
        terms = self._rulebook.terms(request.namespace, work.labels, reference.name)
        key = (*terms.key, asked.url, json.dumps(context, sort_keys=True))
        question = Question(
            key,
            request.namespace,
            lambda: self._rulebook.gate(terms),
            asked,
            terms.assurance,
            context,
        )
        verdict = await self._decisions.decide(question, work.deadline - time.monotonic())
        return Judged(use.where, reference, verdict, terms)


@dataclass
class _Work:
    """One object under review.

    labels: of its namespace.
    deadline: on the clock of `time.monotonic`, in seconds.
    """

    review: Review
    item: Mapping[str, Any]
    labels: Mapping[str, str]
    deadline: float


def _is_unchanged(request: ReviewRequest, workload: Workload) -> bool:
    """Whether an update leaves alone all that the gate looks at.

    What runs must be able to be labelled, scaled and removed, whatever is said of its models now.
    """
    item, old = request.item, request.old
    if request.operation != "UPDATE" or item is None or old is None:
        return False
    paths = [
        *((*path, "spec") for path in workload.templates),
        *workload.specs,
        *workload.uris,
        *(
            (*path, "metadata", "annotations", name)
            for path in (*workload.templates, ())
            for name in _OWN_ANNOTATIONS
        ),
    ]
    before = workload_of(request.group, request.kind, old)
    return before == workload and all(at(item, path) == at(old, path) for path in paths)


def _is_as_before(patch: Sequence[Operation], old: Mapping[str, Any]) -> bool:
    """Whether a pod with these changes is made of what it was made of before."""
    before = {f"/spec/{key}": value for key, value in (old.get("spec") or {}).items()}
    return all(
        operation["value"] == before.get(operation["path"])
        for operation in patch
        if operation["path"].startswith("/spec/")
    )


def _context(
    request: ReviewRequest, labels: Mapping[str, str], pod: Mapping[str, Any]
) -> dict[str, JsonValue]:
    """What the policy is told: nothing that differs from one pod of a controller to the next."""
    return {
        "operation": "admit",
        "namespace": request.namespace,
        "namespace_labels": dict(labels),
        "service_account": str(pod.get("serviceAccountName") or "default"),
        "user": request.user,
        "groups": list(request.groups),
        "kind": request.kind,
    }


def _revision(model: Judged) -> str | None:
    """What is to be fetched of a model, where its store keeps what was there before."""
    found = model.verdict.model
    return found.revision if model.reference.scheme == "hf" else Reference.parse(found.url).release


def _old_format(pin: Pin) -> Reason:
    return Reason(
        code=ReasonCode.BUNDLE_UNSUPPORTED,
        message=f"{pin.asked.url} was signed in the format before OMS v1.0, which the init "
        "container that fetches it does not accept; have it signed anew",
    )


def _signed_anew(pin: Pin) -> Reason:
    return Reason(
        code=ReasonCode.SIGNATURE_NOT_PINNED,
        message=f"{pin.asked.url} was signed anew since it was pinned (signature sha256 "
        f"{pin.signature}); to take it as it is now, remove the annotation {ADMITTED_ANNOTATION} "
        "from the pod template",
    )
