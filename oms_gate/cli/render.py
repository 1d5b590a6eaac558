"""Verdicts for people: coloured and wrapped on a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from oms_gate.reason_codes import ReasonCode
from oms_gate.sizes import human_bytes
from oms_gate.streaming.hashing import Progress, ProgressCallback
from oms_gate.verdict import (
    AcceptedSummary,
    Assurance,
    Attestation,
    Coverage,
    Delivery,
    Reason,
    SignatureTime,
    Signer,
    Verdict,
)

# A model with hundreds of unsigned files has one problem, not hundreds.
_SHOWN_OF_A_CODE = 5
_BAR_AFTER_SECONDS = 0.5
# Of a progress bar with all its numbers, in characters.
_NUMBERS_WIDTH = 48


def new_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is, and in a pipe never breaks a line."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def print_verdict(verdict: Verdict, *, lets_through: bool, stderr: bool = False) -> None:
    """Print a verdict to standard output, or to standard error.

    lets_through: whether the model can be used now, be it denied.
    """
    console = new_console(stderr=stderr)
    mark = "[bold green]✓[/]" if verdict.admitted else "[bold red]✗[/]"
    undecided = " (could not decide)" if verdict.undecided else ""
    console.print(f"{mark} {outcome_word(verdict)}{undecided}  {escape(verdict.model.url)}")
    for name, value in _facts(verdict):
        print_beside(console, f"  [dim]{name:<9}[/]", escape(value))
    print_reasons(console, verdict.reasons, "  [red]✗[/]")
    print_reasons(console, verdict.warnings, "  [yellow]![/]")
    if not verdict.admitted and lets_through:
        print_beside(
            console,
            "  [bold yellow]![/]",
            "[bold]let through all the same:[/] the gate's mode is 'annotate', which enforces "
            "nothing",
        )


def print_reasons(console: Console, reasons: tuple[Reason, ...], mark: str) -> None:
    """Print reasons, of each code no more than a few."""
    shown: Counter[ReasonCode] = Counter()
    for reason in reasons:
        shown[reason.code] += 1
        if shown[reason.code] <= _SHOWN_OF_A_CODE:
            code = reason.policy_code or reason.code
            print_beside(console, mark, f"{escape(reason.message)} [dim]{escape(f'[{code}]')}[/]")
    for code, count in shown.items():
        if count > _SHOWN_OF_A_CODE:
            more = f"{count - _SHOWN_OF_A_CODE} more like these; --json shows all"
            print_beside(console, mark, f"{more} [dim]{escape(f'[{code}]')}[/]")


def print_beside(console: Console, label: str, text: str) -> None:
    """Print a label and a text, which wraps beside it on a terminal."""
    if not console.is_terminal:
        console.print(f"{label} {text}")
        return
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(label, text)
    console.print(row)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a table on a terminal, and in a pipe with tabs between their texts."""
    console = new_console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", header_style="dim")
    for row in rows:
        table.add_row(*map(escape, row))
    if rows:
        console.print(table)


def outcome_word(verdict: Verdict, width: int = 0) -> str:
    """A verdict's outcome as markup: one word, in its colour, at least so wide."""
    colour = "green" if verdict.admitted else "red"
    return f"[bold {colour}]{verdict.outcome:<{width}}[/]"


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressCallback]:
    """A progress bar on standard error where that is a terminal: for long work, gone at its end."""
    from rich import progress

    console = new_console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    # What does not fit would cut off the rest as well.
    left = console.width - len(title)
    columns = [progress.BarColumn(40 if left > 80 else 10), progress.DownloadColumn()]
    if console.width >= _NUMBERS_WIDTH:
        columns += [progress.TransferSpeedColumn(), progress.TimeRemainingColumn()]
    if left > _NUMBERS_WIDTH:
        columns.insert(0, progress.TextColumn("{task.description}"))
    bar = progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(escape(title), total=None)
    started = time.monotonic()

    def show(now: Progress) -> None:
        if time.monotonic() - started > _BAR_AFTER_SECONDS:
            bar.start()
        bar.update(task, completed=now.bytes_done, total=now.bytes_total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def counting_bar(title: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar for so many things, on standard error where that is a terminal; called after each.

    total: None where it is not known.
    """
    from rich import progress

    console = new_console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(10),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(title), total=total)
        yield lambda: bar.advance(task)


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.signer is not None:
        yield "signed by", signer_line(verdict.signer)
    if verdict.policy is not None and verdict.policy.engine == "pinned":
        yield (
            "signature",
            f"pinned, sha256 {verdict.policy.revision}; signer and policy were not asked",
        )
    if verdict.signature is not None and verdict.signature.times:
        yield "signed at", _time_line(verdict.signature.times)
    for attestation in verdict.attestations:
        yield "attested", _attestation_line(attestation)
    if verdict.coverage is not None:
        yield "files", _coverage_line(verdict.coverage)
    if verdict.summary is not None:
        yield "relied on", _summary_line(verdict.summary)
    if verdict.admitted and verdict.assurance is not None and verdict.coverage is not None:
        yield "assurance", _assurance_line(verdict.assurance, verdict.coverage, verdict.delivery)
    if verdict.model.revision is not None and verdict.model.revision not in verdict.model.url:
        yield "revision", verdict.model.revision
    if verdict.delivery is not None:
        yield "arrived", _delivery_line(verdict.delivery)


def signer_line(signer: Signer) -> str:
    """Who signed, in one line."""
    if signer.method == "key":
        return f"key '{signer.root.name}' ({signer.identity})"
    by = f" by {signer.issuer}" if signer.issuer else ""
    line = f"{signer.identity}, attested{by} ({signer.method}, root '{signer.root.name}')"
    if signer.expired_at is not None:
        line += f"; its certificate expired at {signer.expired_at:%Y-%m-%d %H:%M:%S} UTC"
    return line


def _attestation_line(attestation: Attestation) -> str:
    """What is attested, about what, and by whom."""
    about = "the model" if attestation.model else f"{len(attestation.files)} of its files"
    return (
        f"{attestation.predicate_type} about {about}, by {signer_line(attestation.signer)}; "
        f"{attestation.path}"
    )


def _summary_line(summary: AcceptedSummary) -> str:
    """What another gate says to have done, and who signed that."""
    return (
        f"{summary.verifier}, which hashed every signed byte at "
        f"{summary.verified_at:%Y-%m-%d %H:%M:%S} UTC; signed by {signer_line(summary.signer)}; "
        f"{summary.location}"
    )


def _time_line(times: Sequence[SignatureTime]) -> str:
    """The earliest proven time, and how many proofs there are."""
    first = min(time.time for time in times)
    proofs = Counter(time.source.replace("-", " ") for time in times)
    by = ", ".join(f"{count} by {source}" for source, count in proofs.items())
    return f"{first:%Y-%m-%d %H:%M:%S} UTC ({by})"


def _coverage_line(coverage: Coverage) -> str:
    parts = [f"{coverage.signed} signed"]
    if coverage.measured:
        parts.append(f"{coverage.measured} hashed ({human_bytes(coverage.measured_bytes)})")
    left_out = [file for file in coverage.ignored if file.scope == "signer"]
    for word, files in (
        ("missing", coverage.missing),
        ("unsigned", coverage.unsigned),
        ("left out by the signer", left_out),
    ):
        if files:
            parts.append(f"{len(files)} {word}")
    return ", ".join(parts)


def _delivery_line(delivery: Delivery) -> str:
    files = len(delivery.files)
    line = (
        f"{delivery.folder}: {files} file{'s' if files != 1 else ''}, "
        f"{human_bytes(delivery.bytes)}, of which {human_bytes(delivery.transferred_bytes)} were "
        "transferred"
    )
    if delivery.left_out:
        line += f"; {delivery.left_out} signed were left out"
    return line


def _assurance_line(assurance: Assurance, coverage: Coverage, delivery: Delivery | None) -> str:
    if delivery is not None and delivery.left_out:
        return "bytes: every byte of the files that arrived was hashed here"
    if assurance is Assurance.SIGNATURE:
        return "signature: the bundle and the names agree; no file was read"
    if assurance is Assurance.BYTES or coverage.measured == coverage.signed:
        return f"{assurance}: every signed byte was hashed here"
    return (
        f"declared: {coverage.signed - coverage.measured} files have the signed digest, as their "
        f"store declares it; they were not read, so what it delivers may differ. "
        f"{coverage.measured} were hashed here"
    )
