"""The report as CSV (RFC 4180): one row a model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from oms_gate.report.report import Report
from oms_gate.report.summary import ModelSummary, relied_on_by
from oms_gate.verdict import printable

COLUMNS: Final = (
    "model",
    "latest_verdict",
    "let_through",
    "assurance",
    "reasons",
    "concerns",
    "signer",
    "method",
    "issuer",
    "trust_root",
    "signed_files",
    "missing_files",
    "unsigned_files",
    "ignored_files",
    "signed_bytes",
    "hashed_bytes",
    "revision",
    "root_digest",
    "log_index",
    "proven_time",
    "relied_on",
    "policy_revision",
    "time",
    "operation",
    "file",
    "line",
    "seq",
    "hash",
    "verdicts",
    "admitted",
    "denied",
    "undecided",
    "first_time",
)
# With these a spreadsheet takes a cell for a formula, those of other scripts' keyboards included.
_FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def table(report: Report) -> str:
    """A heading, and a row for each model; times are RFC 3339."""
    concerns = {
        concern.model.name: " ".join(word for word, _ in concern.found)
        for concern in report.concerns
    }
    stream = io.StringIO(newline="")
    # Some spreadsheets take other marks than commas for the ends of cells.
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for model in report.models:
        writer.writerow(map(cell, _row(model, concerns.get(model.name, ""))))
    return stream.getvalue()


def cell(value: object) -> str:
    """A value as printable text of a cell, which no spreadsheet takes for a formula."""
    text = "" if value is None else printable(str(value))
    # One that begins with the mark itself would read back as another.
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith("'") else text


def _row(model: ModelSummary, concerns: str) -> Iterator[object]:
    verdict, line, place = model.latest, model.line, model.line.place
    signer, signature, coverage = verdict.signer, verdict.signature, verdict.coverage
    yield from (model.name, line.outcome, "yes" if line.let_through else "", line.assurance)
    yield from (" ".join(line.codes), concerns)
    yield from (
        (signer.identity, signer.method, signer.issuer, signer.root.name)
        if signer
        else (None, None, None, None)
    )
    yield coverage and coverage.signed
    yield from (model.counts.missing, model.counts.unsigned, model.counts.ignored)
    yield coverage and coverage.signed_bytes
    yield coverage and coverage.measured_bytes
    yield verdict.model.revision
    yield signature and signature.root_digest
    yield signature and signature.log_index
    times = signature.times if signature else ()
    yield min(proven.time for proven in times).isoformat() if times else None
    yield relied_on_by(verdict)
    yield verdict.policy and verdict.policy.revision
    yield from (line.time.isoformat(), line.operation)
    yield from (place.file, place.line, place.seq, place.hash)
    yield model.verdicts
    yield from (model.outcomes["admitted"], model.outcomes["denied"], model.outcomes["undecided"])
    yield model.first.isoformat()
