"""``oms-gate cache``: what is in the verified cache, is it right, and what of it can go?"""

from __future__ import annotations

import dataclasses
import json as json_module
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.markup import escape

from oms_gate.cache.layout import Layout
from oms_gate.cache.pruning import Pruned
from oms_gate.cache.pruning import prune as prune_cache
from oms_gate.cache.upkeep import Holding, chosen, holdings, remembered_models
from oms_gate.cache.verification import Verification
from oms_gate.cache.verification import verify as verify_cache
from oms_gate.cli.output import after
from oms_gate.cli.render import (
    new_console,
    print_beside,
    print_table,
    progress_bar,
)
from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.sizes import human_bytes
from oms_gate.verdict import printable

_AGE = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UNUSED = timedelta(days=30)


def print_list(folder: Path | None, *, json: bool) -> int:
    """Print what is there of each model; 0.

    Raises:
        ConfigError: the folder cannot be used.
        OmsGateError: it cannot be read.
    """
    layout = Layout.of(folder)
    models, total = holdings(layout)
    if json:
        described = {"folder": str(layout.folder), "bytes": total, "models": [*map(_json, models)]}
        typer.echo(json_module.dumps(described, indent=2))
    else:
        headings = ("model", "signed by", "files", "size", "last used")
        print_table(headings, [_row(holding) for holding in models])
        typer.echo(f"{_count(len(models), 'model')}, {human_bytes(total)} in {layout.folder}")
    return 0


def verify(folder: Path | None, references: Collection[str], *, repair: bool, json: bool) -> int:
    """Hash the files again and print what is wrong; 0 if nothing is.

    Raises:
        UsageError: no model is remembered by a name.
        ConfigError: the folder cannot be used.
        OmsGateError: it cannot be read, or repaired.
    """
    layout = Layout.of(folder)
    models = chosen(remembered_models(layout)[0], references) if references else None
    if json:
        found = verify_cache(layout, Limits(), models, repair=repair)
    else:
        with progress_bar(str(layout.folder)) as on_progress:
            found = verify_cache(layout, Limits(), models, repair=repair, on_progress=on_progress)
    with after(f"{_count(len(found.wrong), 'file')} were found wrong"):
        if json:
            wrong = [finding._asdict() for finding in found.wrong]
            typer.echo(json_module.dumps({**dataclasses.asdict(found), "wrong": wrong}, indent=2))
        else:
            _print_verification(found)
    return 1 if found.wrong else 0


def prune(
    folder: Path | None,
    references: Collection[str],
    *,
    older_than: str | None,
    everything: bool,
    dry_run: bool,
    json: bool,
) -> int:
    """Make room and print what was removed; 0.

    Raises:
        UsageError: the options cannot be meant together, or no model is remembered by a name.
        ConfigError: the folder cannot be used.
        OmsGateError: it cannot be read, or changed.
    """
    if everything and (older_than is not None or references):
        raise UsageError("--all is for all models: leave out --older-than and names, or --all")
    unused = _age(older_than) if older_than is not None else _UNUSED
    if everything or (references and older_than is None):
        unused = None
    layout = Layout.of(folder)
    models = chosen(remembered_models(layout)[0], references) if references else None
    done = prune_cache(layout, unused, models, dry_run=dry_run)
    with after(f"{human_bytes(done.bytes)} are free"):
        if json:
            described = {"dry_run": dry_run, **dataclasses.asdict(done)}
            typer.echo(json_module.dumps(described, indent=2))
        else:
            _print_pruned(done, "would be removed" if dry_run else "removed")
    return 0


def _age(text: str) -> timedelta | None:
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--older-than {text!r} is no age: write a number with s, m, h, d or w, such as 30d"
        )
    age = timedelta(**{_UNITS[match["unit"]]: int(match["count"])})
    # Nothing is older than the clock.
    return min(age, timedelta(days=365 * 50))


def _json(holding: Holding) -> dict[str, object]:
    model = holding.model
    return {
        "url": model.url,
        "root_digest": model.root,
        "folder": model.record.view,
        "signer": model.signer.model_dump(mode="json") if model.signer else None,
        "files": holding.files,
        "files_signed": model.files_signed,
        "parts": holding.parts,
        "bytes": holding.bytes,
        "last_used": model.last_used.isoformat(timespec="seconds"),
    }


def _row(holding: Holding) -> tuple[str, ...]:
    model = holding.model
    files = f"{holding.files} of {model.files_signed}"
    if holding.parts:
        files += f" and {_count(holding.parts, 'part')}"
    return (
        printable(model.url),
        model.signer.identity if model.signer is not None else "",
        files,
        human_bytes(holding.bytes),
        _ago(datetime.now(UTC) - model.last_used),
    )


def _ago(age: timedelta) -> str:
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (count := int(age.total_seconds() // seconds)) > 0:
            return f"{_count(count, unit)} ago"
    return "just now"


def _print_verification(found: Verification) -> None:
    console = new_console()
    hashed = f"{_count(found.files, 'file')} ({human_bytes(found.bytes)})"
    for path, model, message in found.wrong:
        of = f" of {printable(model)}" if model is not None else ""
        print_beside(console, "[red]✗[/]", escape(f"{path}{of}: {message}"))
    if not found.wrong:
        console.print(f"[green]✓[/] {hashed}: each is what it is to be")
        return
    wrong = _count(len(found.wrong), "file")
    then = "removed" if found.repaired else "to be removed by --repair"
    console.print(f"{wrong} wrong, and {then}; {hashed} right")


def _print_pruned(done: Pruned, removed: str) -> None:
    for url in done.models:
        typer.echo(f"{printable(url)} {removed}")
    for url in done.busy:
        typer.echo(f"{printable(url)} stays: it is being transferred")
    parts = [_count(len(done.models), "model")]
    if done.contents:
        parts.append(f"{_count(done.contents, 'file')} that no model has any more")
    if done.transfers:
        parts.append(f"what {_count(done.transfers, 'killed transfer')} left")
    typer.echo(f"{removed}: {', '.join(parts)}; {human_bytes(done.bytes)}")


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
