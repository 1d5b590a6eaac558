"""``oms-gate report``: evidence, read or gathered now, as a report for people."""

from __future__ import annotations

import json as json_format
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.markup import escape

from oms_gate.cli.admission import SignerOptions
from oms_gate.cli.audit_log import configured_log, expected_gate
from oms_gate.cli.output import after, write_output
from oms_gate.cli.render import counting_bar, new_console, print_table
from oms_gate.config import GateConfig, load_config, revised
from oms_gate.errors import ConfigError, OmsGateError, UsageError
from oms_gate.evidence.files import rotated_files
from oms_gate.gate import Gate
from oms_gate.oms.quoting import quoted
from oms_gate.operator_files import read_file
from oms_gate.reference import Reference
from oms_gate.report.document import document
from oms_gate.report.reading import LogState, Place, Record, is_log, log_state, read_records
from oms_gate.report.report import Report, Source, Unchecked
from oms_gate.report.summary import Bounds, Summary
from oms_gate.sizes import human_bytes

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    rf"{_DAY.pattern}[Tt]\d\d:\d\d:\d\d(?:\.\d{{1,9}})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_STANDARD_INPUT = Path("-")
_CODES_SHOWN = 10
_LONGEST_DAYS = 36500


@dataclass(frozen=True)
class Asked:
    """What to report on, as the options say it.

    gate: who signs audit logs.
    """

    sources: Sequence[Path]
    gate: SignerOptions
    archived: bool
    models: Path | None
    config: Path | None
    assurance: str | None
    title: str
    since: str | None
    until: str | None
    stale_days: int
    most_models: int
    most_verdicts: int


@dataclass(frozen=True)
class Outputs:
    """Where the report goes; standard output gets a summary, or the JSON."""

    html: Path | None
    markdown: Path | None
    csv: Path | None
    json: bool


class _Period:
    """From a time, and before another."""

    def __init__(self, since: str | None, until: str | None) -> None:
        self.since = None if since is None else _time(since, "--since")
        self.until = None if until is None else _time(until, "--until", end=True)
        if self.since and self.until and self.since >= self.until:
            raise UsageError("--since is not before --until, so there is no time between them")

    def __contains__(self, time: datetime) -> bool:
        return (self.since is None or self.since <= time) and (
            self.until is None or time < self.until
        )


def run(asked: Asked, outputs: Outputs) -> int:
    """Read, check, and write the report; the exit status.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: something cannot be read, or is not what it should be.
        OmsGateError: a file cannot be written.
    """
    if not asked.sources and asked.models is None and asked.config is None:
        raise UsageError(
            "there is nothing to report on: name an audit log or a file of verdicts, or --config "
            "gate.yaml for the log that it names, or give --models with a list of models"
        )
    if asked.stale_days > _LONGEST_DAYS:
        raise UsageError(f"--stale-days is more than {_LONGEST_DAYS}, which is a century")
    if outputs.html is not None:
        _check_page()
    report = _report(asked)
    written = list(_write(report, outputs))
    with after("the report is made"):
        if outputs.json:
            typer.echo(json_format.dumps(document(report), indent=2))
        else:
            _print(report)
            for path in written:
                typer.echo(f"written to {path}")
    for each in report.unchecked:
        print(  # noqa: T201
            f"oms-gate: {asked.models}:{each.line} was not checked: {each.sentence}",
            file=sys.stderr,
        )
    if not report.intact:
        return 1
    return 2 if report.unchecked else 0


def _report(asked: Asked) -> Report:
    period = _Period(asked.since, asked.until)
    settings = None if asked.config is None else load_config(asked.config)
    paths = _apart(_sources(asked, settings))
    if asked.gate.given and not any(paths.values()):
        raise UsageError(
            "no source is an audit log; the options of the signer say who the gate is that signs "
            "one: leave them out, or see what became of the log"
        )
    summary = Summary(Bounds(listed=asked.most_models, verdicts=asked.most_verdicts))
    sources: list[Source] = []
    logs: list[LogState] = []
    unchecked: list[Unchecked] = []
    for path, is_a_log in paths.items():
        before = summary.outcomes.total()
        with counting_bar(path.name, None) as done:
            for record in read_records(path, log=is_a_log):
                if record.time in period:
                    summary.add(record)
                done()
        kind = "audit log" if is_a_log else "verdicts"
        sources.append(Source(str(path), kind, summary.outcomes.total() - before))
        if is_a_log:
            gate = expected_gate(asked.gate, settings)
            logs.append(log_state(path, gate, archived=asked.archived))
    if asked.models is not None:
        before = summary.outcomes.total()
        for found in _checked(asked.models, settings, asked.assurance):
            if isinstance(found, Unchecked):
                unchecked.append(found)
            else:
                summary.add(found)
        sources.append(
            Source(str(asked.models), "models, checked now", summary.outcomes.total() - before)
        )
    return Report(
        title=asked.title,
        made_at=datetime.now(UTC),
        summary=summary,
        sources=sources,
        logs=logs,
        unchecked=unchecked,
        since=period.since,
        until=period.until,
        stale=timedelta(days=asked.stale_days),
    )


def _sources(asked: Asked, settings: GateConfig | None) -> dict[Path, bool]:
    """What to read, and whether it is an audit log: the one of the configuration is, come what may.

    One that was emptied, or written over, would pass for verdicts, which nobody signs.
    """
    if not asked.sources and asked.models is None:
        return {configured_log(settings): True}
    log = settings and settings.evidence.audit_log
    own = os.path.realpath(log.file) if log and log.file else None
    return {path: is_log(path) or os.path.realpath(path) == own for path in asked.sources}


def _apart(paths: Mapping[Path, bool]) -> dict[Path, bool]:
    """Each file once: neither by two names, nor with a log that it is an older file of."""
    named = {Path(os.path.realpath(path)): path for path in paths}
    try:
        older = {file for path in named for file in rotated_files(path) if path.exists()}
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read: {error.strerror}; see where the audit log is"
        ) from error
    return {path: paths[path] for file, path in named.items() if file not in older}


def _checked(
    models: Path, settings: GateConfig | None, assurance: str | None
) -> Iterator[Record | Unchecked]:
    """The verdict on each model of a list, and the lines that name none."""
    if settings is None:
        raise UsageError("--models needs the --config that says who may sign them")
    if assurance is not None:
        settings = revised(settings, assurance=assurance)
    lines = _listed(models)
    with Gate.from_config(settings) as gate, counting_bar(models.name, len(lines)) as done:
        for number, text in lines:
            try:
                verdict = gate.check(Reference.parse(text))
            except OmsGateError as error:  # No reference, or one to a store that is none.
                yield Unchecked(number, text, str(error))
            else:
                yield Record(verdict.checked_at, verdict, Place(str(models), number), "verify")
            done()


def _listed(models: Path) -> list[tuple[int, str]]:
    content = (
        sys.stdin.buffer.read()
        if models == _STANDARD_INPUT
        else read_file(models, "the list of models")
    )
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"the list of models {models} is not UTF-8 text") from None
    found = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(lines, 1))
    return [(number, text) for number, text in found if text]


def _time(text: str, option: str, *, end: bool = False) -> datetime:
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + timedelta(days=1) if end else day
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} is {quoted(text)}, which is no time; give a day such as 2026-09-01, or a "
            "time such as 2026-09-01T12:00:00Z"
        ) from None


def _check_page() -> None:
    try:
        import oms_gate.report.page  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the package {error.name} is missing: install oms-gate[report]"
        ) from None


def _write(report: Report, outputs: Outputs) -> Iterator[Path]:
    if outputs.html is not None:
        from oms_gate.report.page import page

        yield _written(outputs.html, page(report))
    if outputs.markdown is not None:
        from oms_gate.report.markdown import markdown

        yield _written(outputs.markdown, markdown(report))
    if outputs.csv is not None:
        from oms_gate.report.table import table

        yield _written(outputs.csv, table(report))


def _written(path: Path, text: str) -> Path:
    write_output(path, text, "the report")
    return path


def _print(report: Report) -> None:
    console = new_console()
    summary, states = report.summary, report.states
    console.print(f"[bold]{escape(report.title)}[/]")
    for source in report.sources:
        console.print(f"  {escape(source.name)}: {source.kind}, {source.verdicts} verdicts")
    for log in report.logs:
        colour = "green" if log.whole else "bold red"
        told = escape("; ".join(log.sentences))
        console.print(f"  {escape(log.file)}: [{colour}]{log.words}[/]; {told}")
    for name, counts in (("models", states), ("verdicts", summary.outcomes)):
        console.print(
            f"  {counts.total()} {name}: [green]{counts['admitted']} admitted[/], "
            f"[red]{counts['denied']} denied[/], [yellow]{counts['undecided']} undecided[/]"
        )
    console.print(f"  {human_bytes(summary.measured_bytes)} were hashed")
    rows = [
        (each.name, str(each.verdicts), str(each.models)) for each in report.denials[:_CODES_SHOWN]
    ]
    print_table(("denied for", "verdicts", "models"), rows)
    concerns = [
        (each.model.name, " ".join(sentence for _, sentence in each.found))
        for each in report.concerns[:_CODES_SHOWN]
    ]
    print_table(("needs attention", "what is the matter"), concerns)
    if len(report.concerns) > _CODES_SHOWN:
        console.print(f"  and {len(report.concerns) - _CODES_SHOWN} more that need attention")
