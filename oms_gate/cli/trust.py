"""``oms-gate trust``: who is trusted for which model by what is remembered of it?"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.markup import escape

from oms_gate.cli.history import configured_history, time_of
from oms_gate.cli.output import after, agreed
from oms_gate.cli.render import new_console, print_beside, print_table, signer_line
from oms_gate.config import load_config
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.history import Pin, Recollection
from oms_gate.policy.globs import covers
from oms_gate.reference import Reference
from oms_gate.verdict import printable


def add(config: Path | None, reference: str, *, yes: bool, json: bool) -> int:
    """Show who signed a model and what trusting them changes, ask, and do it; the exit status.

    Raises:
        UsageError: the reference cannot be the name of a model, there is nobody to ask, or no
            configuration.
        ConfigError: the configuration cannot be used, or keeps no memory.
        StepError: the store failed, there is no valid signature by a trusted root, or the memory
            cannot be used.
    """
    if not yes and (json or not sys.stdin.isatty()):
        raise UsageError(
            "there is nobody to ask whether this signer is to be trusted; look who it is with "
            "oms-gate verify, then give --yes"
        )
    model = Reference.parse(reference)
    configured_history(config)
    assert config is not None
    with Gate.from_config(load_config(config)) as gate:
        recalled = gate.recall(model)
    changes = _changes(recalled)
    if not json:
        _print(recalled, changes)
    if changes and not yes and not agreed("Trust it?"):
        print("oms-gate: nothing was changed", file=sys.stderr)  # noqa: T201
        return 1
    if changes:
        recalled.approve(datetime.now(UTC))
    with after("it is approved"):
        if json:
            typer.echo(json_module.dumps(_document(recalled), indent=2))
        else:
            typer.echo("approved" if changes else "nothing to approve: it is trusted already")
    return 0


def print_list(config: Path | None, models: str | None, *, json: bool) -> int:
    """Print who is pinned to which models; 0.

    Raises:
        UsageError: there is no configuration, or no model can have such a name.
        ConfigError: the configuration cannot be used, or keeps no memory.
        HistoryError: the memory cannot be read.
    """
    history = configured_history(config)
    pins = history.pins()
    if models is not None:
        glob = _glob(models)
        pins = [pin for pin in pins if covers(glob, pin.model)]
    if json:
        _print_pins(pins)
    elif pins:
        print_table(
            ("model", "signer", "method", "root", "by", "since"), [_row(pin) for pin in pins]
        )
    else:
        of = "any model" if models is None else printable(models)
        print(f"oms-gate: nobody is pinned to {of}", file=sys.stderr)  # noqa: T201
    return 0


def remove(config: Path | None, reference: str, signer: str | None, *, json: bool) -> int:
    """Unpin a signer of a model, or all, and print who they were; 0.

    Raises:
        UsageError: nobody like that is pinned to the model; or there is no configuration.
        ConfigError: the configuration cannot be used, or keeps no memory.
        HistoryError: the memory cannot be used.
    """
    model = Reference.parse(reference)
    going = configured_history(config).withdraw(model.name, signer)
    if not going:
        who = "nobody" if signer is None else f"no {printable(signer)!r}"
        raise UsageError(f"{who} is pinned to {printable(model.name)}; see oms-gate trust list")
    with after("they are trusted no more"):
        if json:
            _print_pins(going)
        else:
            for pin in going:
                typer.echo(f"{printable(model.name)}: {signer_line(pin.signer)} removed")
    return 0


def _changes(recalled: Recollection) -> list[str]:
    return [*_new_signer(recalled), *_going_back(recalled)]


def _new_signer(recalled: Recollection) -> Iterator[str]:
    found, facts = recalled.observation, recalled.facts
    if facts.signer_pinned:
        return
    before = " and ".join(signer_line(signer) for signer in facts.pinned)
    beside = f"beside {before}" if before else "as its first signer"
    yield f"pin {signer_line(found.signer)} to {found.model}, {beside}"


def _going_back(recalled: Recollection) -> Iterator[str]:
    newer = recalled.facts.newer
    if newer is None:
        return
    signed = f", signed at {time_of(newer.signed_at)} UTC" if newer.signed_at is not None else ""
    yield (
        f"let it go back from the release that was admitted at {time_of(newer.seen_at)} UTC"
        f"{signed} (revision {newer.revision}, root digest {newer.root_digest})"
    )


def _print(recalled: Recollection, changes: list[str]) -> None:
    console, found = new_console(), recalled.observation
    facts = {
        "model": f"{found.model}{f' at {found.asked}' if found.asked else ''}",
        "signed by": signer_line(found.signer),
        "signed at": f"{time_of(found.signed_at)} UTC" if found.signed_at is not None else "",
        "revision": found.revision,
        "digest": f"{found.root_digest} (root)",
    }
    for name, value in facts.items():
        if value:
            print_beside(console, f"  [dim]{name:<9}[/]", escape(printable(value)))
    for change in changes:
        print_beside(console, "  [yellow]![/]", escape(printable(change)))


def _document(recalled: Recollection) -> dict[str, object]:
    found, facts = recalled.observation, recalled.facts
    return {
        "model": found.model,
        "asked": found.asked,
        "revision": found.revision,
        "root_digest": found.root_digest,
        "signed_at": found.signed_at,
        "signer": found.signer.model_dump(mode="json"),
        "pinned": not facts.signer_pinned,
        "went_back_from": facts.newer and facts.newer.model_dump(mode="json"),
    }


def _print_pins(pins: list[Pin]) -> None:
    document = {"pins": [pin.model_dump(mode="json") for pin in pins]}
    typer.echo(json_module.dumps(document, indent=2))


def _row(pin: Pin) -> tuple[str, ...]:
    return (
        printable(pin.model),
        pin.signer.identity,
        pin.signer.method,
        pin.signer.root.name,
        "approval" if pin.approved else "first use",
        time_of(pin.pinned_at),
    )


def _glob(models: str) -> str:
    """A glob over names of models: as of references, what has no scheme is a local path."""
    return models if "*" in models and "://" in models else Reference.parse(models).name
