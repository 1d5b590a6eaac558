"""Verdicts for people: coloured on a terminal, plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from oms_gate.gate import ProgressCallback
from oms_gate.streaming.measure import Progress
from oms_gate.verdict import Assurance, Coverage, Signer, Verdict

# Lines in a pipe are for other programs to cut.
_PIPE_COLUMNS = 4096


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    console.print(_headline(verdict))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(verdict):
        facts.add_row(name, escape(value))
    if facts.row_count:
        console.print(Padding(facts, (0, 0, 0, 2)))
    for reason in verdict.reasons:
        console.print(f"  [red]✗[/] {escape(reason.message)} [dim]\\[{reason.code}][/]")
    for warning in verdict.warnings:
        console.print(f"  [yellow]![/] {escape(warning.message)} [dim]\\[{warning.code}][/]")
    if not verdict.admitted and verdict.lets_through:
        console.print(
            "  [bold yellow]let through all the same:[/] the gate's mode is 'annotate', which "
            "enforces nothing"
        )


def one_line(verdict: Verdict) -> str:
    """A verdict's outcome, as markup of one word."""
    return "[bold green]admitted[/]" if verdict.admitted else "[bold red]denied[/]"


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressCallback]:
    """A progress bar on standard error, where that is a terminal; gone when it ends."""
    from rich import progress

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not Console(stderr=True).is_terminal,
    ) as bar:
        task = bar.add_task(escape(title), total=None)

        def show(now: Progress) -> None:
            bar.update(task, completed=now.bytes_done, total=now.bytes_total)

        yield show


def human_bytes(count: int) -> str:
    """A number of bytes with a binary unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _headline(verdict: Verdict) -> str:
    mark = "[bold green]✓[/]" if verdict.admitted else "[bold red]✗[/]"
    return f"{mark} {one_line(verdict)}  {escape(verdict.model.url)}"


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.signer is not None:
        yield "signed by", signer_line(verdict.signer)
    if verdict.signature is not None and verdict.signature.times:
        first = min(time.time for time in verdict.signature.times)
        yield "signed at", f"{first:%Y-%m-%d %H:%M:%S} UTC"
    if verdict.coverage is not None:
        yield "files", _coverage_line(verdict.coverage)
    if verdict.admitted and verdict.assurance is not None:
        yield "assurance", _ASSURANCE[verdict.assurance]
    if verdict.model.revision is not None and verdict.model.revision not in verdict.model.url:
        yield "revision", verdict.model.revision


def signer_line(signer: Signer) -> str:
    """Who signed, in one line."""
    if signer.method == "key":
        return f"key '{signer.root.name}' ({signer.identity})"
    by = f" by {signer.issuer}" if signer.issuer else ""
    return f"{signer.identity}, attested{by} ({signer.method}, root '{signer.root.name}')"


def _coverage_line(coverage: Coverage) -> str:
    parts = [f"{coverage.signed} signed"]
    if coverage.measured:
        parts.append(f"{coverage.measured} hashed ({human_bytes(coverage.measured_bytes)})")
    for name in ("missing", "unsigned", "ignored"):
        files = getattr(coverage, name)
        if files:
            parts.append(f"{len(files)} {name}")
    return ", ".join(parts)


_ASSURANCE = {
    Assurance.BYTES: "bytes: every signed byte was hashed here",
    Assurance.DECLARED: "declared: the store's own digests are the signed ones; "
    "its bytes were not read",
    Assurance.SIGNATURE: "signature: the bundle and the names agree; no file was read",
}
