"""The report as Markdown (GitHub's kind), for issues, wikis and pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from oms_gate.report.report import Report
from oms_gate.report.summary import ModelSummary, relied_on_by
from oms_gate.sizes import human_bytes
from oms_gate.verdict import printable

_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~$&:@=\"'/]")
_BACKTICKS = re.compile("`+")


def markdown(report: Report) -> str:
    """The same sections as the page has; of each model less."""
    return "\n".join(_lines(report)) + "\n"


def escaped(text: str) -> str:
    """Text of strangers as text, on one line: no markup, no link, no HTML."""
    return _SPECIAL.sub(r"\\\g<0>", printable(text))


def code(text: str) -> str:
    """A name of strangers as it is, in a code span, also in the cell of a table."""
    shown = printable(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _lines(report: Report) -> Iterator[str]:
    summary = report.summary
    yield f"# {escaped(report.title)}"
    yield ""
    if summary.first and summary.last:
        yield f"- Period: {summary.first:%Y-%m-%d %H:%M} to {summary.last:%Y-%m-%d %H:%M} UTC"
    for source in report.sources:
        yield f"- Made of: {code(source.name)} ({source.kind}, {source.verdicts} verdicts)"
    for log in report.logs:
        told = "; ".join(map(escaped, log.sentences))
        yield f"- Integrity of {code(log.file)}: **{log.words}**; {told}"
    yield f"- Made: {report.made_at:%Y-%m-%d %H:%M} UTC, by oms-gate {report.gate_version}"
    yield ""
    yield "## At a glance"
    yield ""
    refused = report.states.total() - report.states["admitted"]
    yield f"Not admitted by the latest verdict: **{refused} of {report.states.total()}** models."
    yield ""
    yield from _table(
        ("", "admitted", "denied", "undecided"),
        (
            (name, *(str(counts[word]) for word in ("admitted", "denied", "undecided")))
            for name, counts in (("models", report.states), ("verdicts", summary.outcomes))
        ),
    )
    yield f"{human_bytes(summary.measured_bytes)} were hashed."
    if summary.let_through:
        yield f"{summary.let_through} verdicts denied a model that was let through (annotate)."
    if summary.beyond:
        yield f"{summary.beyond} verdicts on further models count in the totals only."
    for each in report.unchecked:
        yield f"- not checked, line {each.line}: {code(each.text)} {escaped(each.sentence)}"
    yield from _sections(report)


def _sections(report: Report) -> Iterator[str]:
    bounds = report.summary.bounds
    yield from _section(
        "Needs attention",
        ("model", "what is the matter"),
        (
            (code(each.model.name), " ".join(escaped(sentence) for _, sentence in each.found))
            for each in report.concerns
        ),
        bounds.listed,
    )
    trend = report.trend
    yield from _section(
        "Verdicts over time",
        (trend.unit, "admitted", "denied", "undecided"),
        (
            (bar.label, str(bar.admitted), str(bar.denied), str(bar.undecided))
            for bar in trend.bars
            if bar.total
        ),
        len(trend.bars),
    )
    yield from trend.left_out
    yield from _section(
        "Why models were denied",
        ("reason", "verdicts", "models", "to do"),
        (
            (code(each.name), str(each.verdicts), str(each.models), escaped(each.cure))
            for each in report.denials
        ),
        bounds.codes + 1,
    )
    yield from _section(
        "Who signs what",
        ("signer", "method", "issuer", "root", "models", "admitted", "not"),
        (
            (
                code(each.signer.identity),
                each.signer.method,
                code(each.signer.issuer) if each.signer.issuer else "",
                code(each.signer.root),
                str(len(each.models)),
                str(each.outcomes["admitted"]),
                str(each.outcomes["denied"] + each.outcomes["undecided"]),
            )
            for each in report.signers
        ),
        bounds.listed,
    )
    yield from _section(
        "All models",
        ("model", "verdict", "proven", "signer", "coverage", "time", "recorded in"),
        map(_model, report.models),
        bounds.listed,
    )


def _model(model: ModelSummary) -> Sequence[str]:
    line, coverage, counts = model.line, model.latest.coverage, model.counts
    files = (
        f"{coverage.signed} signed, {counts.missing} missing, {counts.unsigned} unsigned, "
        f"{counts.ignored} ignored"
        if coverage
        else ""
    )
    reasons = " ".join(code(each) for each in line.codes)
    entry = "" if line.place.seq is None else f", entry {line.place.seq}"
    relied_on = relied_on_by(model.latest)
    return (
        code(model.name),
        f"**{line.outcome}** {reasons}".strip(),
        (line.assurance or "") + (f"; relied on {code(relied_on)}" if relied_on else ""),
        code(model.latest.signer.identity) if model.latest.signer else "",
        files,
        f"{line.time:%Y-%m-%d %H:%M}",
        f"{code(line.place.file)}:{line.place.line}{entry}",
    )


def _section(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], most: int
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    left = iter(rows)
    shown = list(islice(left, most))
    if not shown:
        yield "Nothing of this kind."
        return
    yield from _table(headings, shown)
    if more := sum(1 for _ in left):
        yield f"And {more} more."


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
