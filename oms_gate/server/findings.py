"""What was found in one object, and what the API server is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oms_gate.kubernetes.changes import Operation
from oms_gate.reference import Reference
from oms_gate.server.review import Answer, ReviewRequest
from oms_gate.server.rulebook import Terms
from oms_gate.verdict import Reason, Verdict


@dataclass(frozen=True)
class Judged:
    """A model of an object, and what was decided about it.

    where: what names it.
    """

    where: str
    reference: Reference
    verdict: Verdict
    terms: Terms


@dataclass
class Review:
    """What was found in one object."""

    request: ReviewRequest
    mode: Literal["enforce", "annotate"] = "enforce"
    models: list[Judged] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems and all(model.verdict.admitted for model in self.models)

    @property
    def outcome(self) -> Literal["none", "admitted", "annotated", "denied"]:
        """What came of it: ``none`` where it uses no model."""
        if not self.sound:
            return "annotated" if self.mode == "annotate" else "denied"
        return "admitted" if self.models else "none"

    def sentences(self) -> Iterator[str]:
        """Why it is denied, a sentence for each finding."""
        for model in self.models:
            signer = model.verdict.signer
            found = "" if signer is None else f", signed by {signer.identity}"
            for reason in model.verdict.reasons:
                yield (
                    f"{model.reference.url} ({model.where}{found}): {reason.message} "
                    f"[{reason.code}]"
                )
        for reason in self.problems:
            yield f"{reason.message} [{reason.code}]"

    def codes(self) -> list[str]:
        """The codes of all reasons, each once."""
        reasons = [reason for model in self.models for reason in model.verdict.reasons]
        return list(dict.fromkeys(str(reason.code) for reason in (*reasons, *self.problems)))


def answer(review: Review, patch: Sequence[Operation]) -> Answer:
    """What the API server is told.

    patch: what has to change, where it is allowed.
    """
    if review.outcome == "none":
        return Answer(allowed=True, patch=patch)
    sentences = list(review.sentences())
    audit = {"outcome": review.outcome, "models": _audited(review)}
    if sentences:
        audit["reasons"] = ", ".join(review.codes())
    warnings = [
        f"{model.reference.url}: {warning.message} [{warning.code}]"
        for model in review.models
        for warning in model.verdict.warnings
    ]
    if review.outcome == "annotated":
        marked = [f"oms-gate would deny this: {sentence}" for sentence in sentences]
        return Answer(allowed=True, warnings=[*marked, *warnings], audit=audit)
    if review.outcome == "denied":
        message = f"{review.request.label} is denied by oms-gate: " + "; ".join(sentences)
        return Answer(allowed=False, message=message, warnings=warnings, audit=audit)
    return Answer(allowed=True, warnings=warnings, audit=audit, patch=patch)


def _audited(review: Review) -> str:
    models = [
        {
            "model": model.verdict.model.url,
            "outcome": model.verdict.outcome,
            "signer": model.verdict.signer and model.verdict.signer.identity,
            "signature": model.verdict.signature and model.verdict.signature.sha256,
        }
        for model in review.models
    ]
    return json.dumps(models, separators=(",", ":"))
