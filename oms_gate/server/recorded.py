"""What the record of verdicts gives, and by what it is searched."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Reason, Verdict

Source = Literal["gateway", "api", "event"]

_SHOWN_REASONS: Final = 3
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class VerdictSummary(BaseModel):
    """What a list shows of a verdict."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["admitted", "denied"]
    undecided: bool
    mode: Literal["enforce", "annotate"]
    url: str = Field(description="The model, with the revision pinned where it has one.")
    assurance: Assurance | None
    signer: str | None = Field(description="Identity of the verified signer.")
    reasons: tuple[Reason, ...] = Field(description="The first of them.")
    reason_count: int = Field(description="How many there are in all.")

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """That of one."""
        return cls(
            outcome=verdict.outcome,
            undecided=verdict.undecided,
            mode=verdict.mode,
            url=verdict.model.url,
            assurance=verdict.assurance,
            signer=verdict.signer.identity if verdict.signer else None,
            reasons=verdict.reasons[:_SHOWN_REASONS],
            reason_count=len(verdict.reasons),
        )


class RecordedVerdict(BaseModel):
    """A verdict in the record, as lists have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="By which the whole verdict is found.")
    source: Source = Field(description="What asked for it.")
    tenant: str | None = Field(description="Name of the client that asked; null without one.")
    recorded_at: datetime
    verdict: VerdictSummary


def _is_rfc3339(value: object) -> object:
    if isinstance(value, str) and not _RFC3339.fullmatch(value):
        raise ValueError("must be a time with its zone, such as 2026-11-28T09:30:00Z")
    return value


class VerdictFilter(BaseModel):
    """Which verdicts are wanted: all that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["admitted", "denied"] | None = None
    reason: ReasonCode | None = Field(default=None, description="One of the reasons has this code.")
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Text in the model's URL; or, with '*' or '**' in it, a glob over its name as "
        "publisher rules have it.",
    )
    source: Source | None = None
    tenant: str | None = Field(default=None, min_length=1, max_length=64)
    since: Annotated[AwareDatetime, BeforeValidator(_is_rfc3339)] | None = Field(
        default=None, description="Not recorded before (RFC 3339, with its time zone)."
    )


class FoundVerdict(BaseModel):
    """What the record has by an id: a verdict, or None while its check runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: Source
    tenant: str | None
    url: str
    recorded_at: datetime
    verdict: Verdict | None
