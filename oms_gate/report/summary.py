"""Verdicts added up, in memory that does not grow with their number."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, NamedTuple

from oms_gate.reason_codes import ReasonCode
from oms_gate.report.reading import Place, Record
from oms_gate.report.trend import OutcomeWord, Trend
from oms_gate.verdict import Coverage, Signer, Verdict

_FURTHER: Final = "further codes"
_CODES_OF_A_LINE: Final = 8
_CONTEXT_MEMBERS: Final = 8
_CONTEXT_CHARACTERS: Final = 200


@dataclass(frozen=True)
class Bounds:
    """How much is remembered; what is beyond is counted.

    models: most models that are told apart. Verdicts on further ones count in the totals alone.
    listed: most models that have a section of their own on a page.
    verdicts: most verdicts of one model that are listed, the newest.
    findings: most reasons, warnings and files of the latest verdict on a model, of each kind.
    signers: most signers of one model.
    codes: most codes of reasons, an operator's own among them.
    """

    models: int = 10_000
    listed: int = 500
    verdicts: int = 20
    findings: int = 50
    signers: int = 8
    codes: int = 500


class Counts(NamedTuple):
    """How many of each the latest verdict has, of which some are kept by name."""

    reasons: int
    warnings: int
    missing: int
    unsigned: int
    ignored: int


class Line(NamedTuple):
    """One verdict on a model, as a line of a table.

    codes: of its reasons, each once; context: as the caller gave it, by name.
    """

    time: datetime
    outcome: OutcomeWord
    let_through: bool
    assurance: str | None
    operation: str | None
    codes: tuple[str, ...]
    context: tuple[tuple[str, str], ...]
    place: Place


class SignerKey(NamedTuple):
    """Who signed, by what a signer is told apart from others."""

    method: str
    identity: str
    issuer: str | None
    root: str


@dataclass
class ModelSummary:
    """The verdicts on one model.

    latest: the verdict with the latest time, with no more than `Bounds.findings` of each kind.
    signers: of each, the verdicts that admitted and those that denied.
    """

    name: str
    latest: Verdict
    counts: Counts
    line: Line
    first: datetime
    outcomes: Counter[OutcomeWord] = field(default_factory=Counter)
    signers: dict[SignerKey, Counter[OutcomeWord]] = field(default_factory=dict)
    _lines: list[tuple[datetime, int, Line]] = field(default_factory=list)

    @property
    def verdicts(self) -> int:
        """How many there are."""
        return self.outcomes.total()

    @property
    def lines(self) -> list[Line]:
        """The newest verdicts, the newest first."""
        return [line for *_, line in sorted(self._lines, key=lambda item: item[:2], reverse=True)]

    def add(self, line: Line, number: int, most: int) -> None:
        """Keep a verdict, if it is among the newest."""
        push = heapq.heappush if len(self._lines) < most else heapq.heappushpop
        push(self._lines, (line.time, number, line))


@dataclass
class CodeSummary:
    """Where a code of reasons was given: in how many verdicts, and about which models."""

    code: ReasonCode | None
    verdicts: int = 0
    models: set[str] = field(default_factory=set)


class Summary:
    """What a report says of verdicts, which are added one at a time."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.models: dict[str, ModelSummary] = {}
        self.outcomes: Counter[OutcomeWord] = Counter()
        self.operations: Counter[str] = Counter()
        self.codes: dict[str, CodeSummary] = {}
        self.trend = Trend()
        self.let_through = 0
        self.measured_bytes = 0
        self.transferred_bytes = 0
        self.beyond = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._numbers = count()

    def add(self, record: Record) -> None:
        """Count one verdict."""
        verdict, line = record.verdict, _line(record)
        self.first = line.time if self.first is None else min(self.first, line.time)
        self.last = line.time if self.last is None else max(self.last, line.time)
        self.outcomes[line.outcome] += 1
        self.let_through += line.let_through
        if record.operation is not None:
            self.operations[record.operation] += 1
        self.trend.add(line.time, line.outcome)
        if verdict.coverage is not None:
            self.measured_bytes += verdict.coverage.measured_bytes
        if verdict.delivery is not None:
            self.transferred_bytes += verdict.delivery.transferred_bytes
        model = self._model(verdict, line)
        self._count_codes(verdict, known=model is not None)
        if model is None:
            self.beyond += 1
            return
        model.outcomes[line.outcome] += 1
        model.first = min(model.first, line.time)
        model.add(line, next(self._numbers), self.bounds.verdicts)
        if line.time >= model.line.time:
            model.line, model.counts = line, _counts(verdict)
            model.latest = _trimmed(verdict, self.bounds.findings)
        if verdict.signer is not None:
            key = signer_key(verdict.signer)
            if key in model.signers or len(model.signers) < self.bounds.signers:
                model.signers.setdefault(key, Counter())[line.outcome] += 1

    def _model(self, verdict: Verdict, line: Line) -> ModelSummary | None:
        name = verdict.model.name
        if name not in self.models:
            if len(self.models) >= self.bounds.models:
                return None
            latest = _trimmed(verdict, self.bounds.findings)
            self.models[name] = ModelSummary(name, latest, _counts(verdict), line, line.time)
        return self.models[name]

    def _count_codes(self, verdict: Verdict, *, known: bool) -> None:
        for name, code in {
            (reason.policy_code or reason.code.value, reason.code) for reason in verdict.reasons
        }:
            if name not in self.codes and len(self.codes) >= self.bounds.codes:
                found = self.codes.setdefault(_FURTHER, CodeSummary(None))
            else:
                found = self.codes.setdefault(name, CodeSummary(code))
            found.verdicts += 1
            if known:
                found.models.add(verdict.model.name)


def concerns(model: ModelSummary, now: datetime, stale: timedelta) -> Iterator[tuple[str, str]]:
    """What somebody should look after, as one word and a sentence each."""
    latest, codes = model.latest, {reason.code for reason in model.latest.reasons}
    if ReasonCode.SIGNATURE_MISSING in codes:
        yield "unsigned", "Nobody has signed it, as of its latest verdict."
    if now - model.line.time > stale:
        days = (now - model.line.time).days
        yield "stale", f"Nobody has checked it for {days} days; what is there now may differ."
    if latest.signer is not None and latest.signer.expired_at is not None:
        day = f"{latest.signer.expired_at:%Y-%m-%d}"
        yield "expired", f"Its signer's certificate expired on {day}, after it was signed."
    elif ReasonCode.CERTIFICATE_EXPIRED in codes:
        yield "expired", "A certificate has expired; nothing proves that the signature is older."
    if ReasonCode.REQUIREMENT_AGE in codes:
        yield "old", "It was signed longer ago than the policy allows."
    if len(model.signers) > 1:
        yield "signers", f"{len(model.signers)} signers have signed it in this time."


def signer_key(signer: Signer) -> SignerKey:
    """What tells a signer apart from others."""
    return SignerKey(signer.method, signer.identity, signer.issuer, signer.root.name)


def relied_on_by(verdict: Verdict) -> str | None:
    """Whose word stood for hashing the bytes: another gate, its signer, when, and in which file."""
    told = verdict.summary
    if told is None:
        return None
    return (
        f"{told.verifier}, signed by {told.signer.identity}, {told.verified_at.isoformat()}, "
        f"sha256:{told.sha256}"
    )


def _line(record: Record) -> Line:
    verdict = record.verdict
    codes = dict.fromkeys(reason.policy_code or reason.code.value for reason in verdict.reasons)
    return Line(
        time=record.time,
        outcome="undecided" if verdict.undecided else verdict.outcome,
        let_through=verdict.lets_through and not verdict.admitted,
        assurance=verdict.assurance,
        operation=record.operation,
        codes=tuple(codes)[:_CODES_OF_A_LINE],
        context=tuple(
            (str(name)[:_CONTEXT_CHARACTERS], str(value)[:_CONTEXT_CHARACTERS])
            for name, value in list(record.context.items())[:_CONTEXT_MEMBERS]
        ),
        place=record.place,
    )


def _counts(verdict: Verdict) -> Counts:
    coverage = verdict.coverage or Coverage(signed=0, signed_bytes=0)
    return Counts(
        len(verdict.reasons),
        len(verdict.warnings),
        len(coverage.missing),
        len(coverage.unsigned),
        len(coverage.ignored),
    )


def _trimmed(verdict: Verdict, most: int) -> Verdict:
    """The same with no more than so many of whatever may be many."""
    shorter: dict[str, Any] = {
        "reasons": verdict.reasons[:most],
        "warnings": verdict.warnings[:most],
        "attestations": tuple(
            each.model_copy(update={"files": each.files[:most]})
            for each in verdict.attestations[:most]
        ),
        "annotations": dict(list(verdict.annotations.items())[:most]),
    }
    if verdict.coverage is not None:
        lists = {
            name: getattr(verdict.coverage, name)[:most]
            for name in ("missing", "unsigned", "ignored")
        }
        shorter["coverage"] = verdict.coverage.model_copy(update=lists)
    if verdict.delivery is not None:
        files = verdict.delivery.files[:most]
        shorter["delivery"] = verdict.delivery.model_copy(update={"files": files})
    return verdict.model_copy(update=shorter)
