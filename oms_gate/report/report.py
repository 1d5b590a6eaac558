"""A report: verdicts added up, with what they were read from, as of a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from oms_gate import __version__
from oms_gate.reason_codes import ReasonCode
from oms_gate.report.cures import cures
from oms_gate.report.reading import LogState
from oms_gate.report.summary import ModelSummary, SignerKey, Summary, concerns
from oms_gate.report.trend import OutcomeWord, Shown

_SEVEREST: Final[tuple[OutcomeWord, ...]] = ("denied", "undecided", "admitted")


class Source(NamedTuple):
    """What was read: a file or a list, what it holds, and how many verdicts were taken of it."""

    name: str
    kind: str
    verdicts: int


class Unchecked(NamedTuple):
    """A line of a list of models that names none, and why."""

    line: int
    text: str
    sentence: str


class Denials(NamedTuple):
    """Denials for one reason.

    name: the code, or that of the operator's own policy; code: the gate's.
    """

    name: str
    code: ReasonCode | None
    verdicts: int
    models: int
    cause: str
    cure: str


class Signatory(NamedTuple):
    """A signer with the models that they signed, by name; of verdicts, how many were which."""

    signer: SignerKey
    models: tuple[str, ...]
    outcomes: Counter[OutcomeWord]


class Concern(NamedTuple):
    """A model that somebody should look after: words and sentences."""

    model: ModelSummary
    found: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Report:
    """All that a report says, whatever it is written in.

    since, until: the period that was asked for, from and before; None where it is open.
    logs: the integrity of each audit log that was read.
    """

    title: str
    made_at: datetime
    summary: Summary
    sources: Sequence[Source] = ()
    logs: Sequence[LogState] = ()
    unchecked: Sequence[Unchecked] = ()
    since: datetime | None = None
    until: datetime | None = None
    stale: timedelta = timedelta(days=30)
    gate_version: str = field(default=__version__)

    @cached_property
    def models(self) -> list[ModelSummary]:
        """Models, those that are denied by their latest verdict first, then by name."""
        return sorted(
            self.summary.models.values(),
            key=lambda model: (_SEVEREST.index(model.line.outcome), model.name),
        )

    @property
    def listed(self) -> list[ModelSummary]:
        """Those that have a section."""
        return self.models[: self.summary.bounds.listed]

    @cached_property
    def states(self) -> Counter[OutcomeWord]:
        """How many models are admitted, denied and undecided, each by its latest verdict."""
        return Counter(model.line.outcome for model in self.models)

    @cached_property
    def trend(self) -> Shown:
        """How many verdicts there were when, without those that are of a time to come."""
        return self.summary.trend.shown(self.made_at)

    @cached_property
    def denials(self) -> list[Denials]:
        """Denials by reason, the most frequent first."""
        return sorted(self._denials(), key=lambda each: (-each.verdicts, each.name))

    @cached_property
    def signers(self) -> list[Signatory]:
        """Signers, those of most models first."""
        models: dict[SignerKey, list[str]] = {}
        outcomes: dict[SignerKey, Counter[OutcomeWord]] = {}
        for model in self.models:
            for key, counts in model.signers.items():
                models.setdefault(key, []).append(model.name)
                outcomes.setdefault(key, Counter()).update(counts)
        found = [Signatory(key, tuple(sorted(models[key])), outcomes[key]) for key in models]
        return sorted(found, key=lambda each: (-len(each.models), each.signer.identity))

    @cached_property
    def concerns(self) -> list[Concern]:
        """Models that are stale or unsigned, or whose signature is about to be of no use."""
        found = (
            Concern(model, tuple(concerns(model, self.as_of, self.stale))) for model in self.models
        )
        return [concern for concern in found if concern.found]

    @property
    def as_of(self) -> datetime:
        """When a model is stale or not: when the report is made, or at the end of its period."""
        return self.made_at if self.until is None else min(self.until, self.made_at)

    @property
    def intact(self) -> bool:
        """Whether no audit log was found to be other than it was written."""
        return all(state.whole for state in self.logs)

    def _denials(self) -> Iterator[Denials]:
        for name, found in self.summary.codes.items():
            told = cures().get(found.code.value) if found.code else None
            cause, cure = told or ("Codes beyond those that are counted apart.", "")
            yield Denials(name, found.code, found.verdicts, len(found.models), cause, cure)
