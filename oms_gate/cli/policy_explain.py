"""``oms-gate policy explain``: why is a model decided on as it is, and what would admit it?"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from oms_gate.authoring.explaining import Explanation, explain_model, explain_recorded
from oms_gate.cli.render import new_console, print_beside, print_reasons
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import UsageError
from oms_gate.reference import Reference

_SHOWN_OF_A_LIST: Final = 3


def run(reference: str | None, recorded: Path | None, config: Path | None, *, json: bool) -> int:
    """Explain; the exit status is that of the decision: 0, 1 denied, 3 there was none.

    Raises:
        UsageError: neither a model nor a record is named.
        ConfigError: the configuration, or the record, cannot be used.
    """
    settings = GateConfig() if config is None else load_config(config)
    model = None if reference is None else Reference.parse(reference)
    if recorded is not None:
        explained = explain_recorded(settings, recorded, None if model is None else model.name)
    elif model is not None:
        explained = explain_model(settings, model)
    else:
        raise UsageError("name the model to explain, or a record with --recorded")
    if json:
        typer.echo(json_module.dumps(_as_json(settings, explained), indent=2))
    else:
        _print(settings, explained)
    if not explained.reasons:
        return 0
    return 3 if all(reason.code.undecided for reason in explained.reasons) else 1


def _as_json(settings: GateConfig, explained: Explanation) -> dict[str, Any]:
    advice = explained.advice
    return {
        "model": explained.model,
        "input": explained.document,
        "decision": explained.decision and explained.decision.to_answer(),
        "reasons": [one.model_dump(mode="json", exclude_none=True) for one in explained.reasons],
        "rules": explained.rules and [asdict(rule) for rule in explained.rules],
        "no_rules": explained.no_rules,
        "change": None
        if advice is None or not advice.change
        else {
            "yaml": advice.change.to_yaml(settings),
            "tried": advice.tried,
            "remaining": [
                one.model_dump(mode="json", exclude_none=True)
                for one in (advice.remaining if advice.tried else ())
            ],
            "means": _meaning(explained),
        },
        "hint": explained.hint,
    }


def _print(settings: GateConfig, explained: Explanation) -> None:
    console = new_console()
    word = "[bold red]denied[/]" if explained.reasons else "[bold green]admitted[/]"
    mark = "[bold red]✗[/]" if explained.reasons else "[bold green]✓[/]"
    depth = "as far as signature and policy go; no weight was read"
    console.print(f"{mark} {word} {depth}  {escape(explained.model)}")
    print_reasons(console, explained.reasons, "  [red]✗[/]")
    if explained.decision is not None:
        print_reasons(console, explained.decision.warn, "  [yellow]![/]")
        if explained.decision.require is not None:
            print_beside(console, "  [dim]requires[/]", f"assurance {explained.decision.require}")
    if explained.document is not None:
        console.print("\n[bold]What the policy saw[/] (--json prints all of it)")
        for line in json_module.dumps(_shortened(explained.document), indent=2).splitlines():
            console.print(f"  {escape(line)}")
    if explained.decision is not None:
        console.print("\n[bold]Rules that held[/]")
        for line in _rules(explained):
            console.print(f"  {escape(line)}")
    _print_change(console, settings, explained)


def _shortened(value: Any) -> Any:
    """The same with long lists cut short."""
    if isinstance(value, Mapping):
        return {key: _shortened(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        more = len(value) - _SHOWN_OF_A_LIST
        few_of_list = [_shortened(member) for member in value[:_SHOWN_OF_A_LIST]]
        return [*few_of_list, f"... {more} more"] if more > 0 else few_of_list
    return value


def _rules(explained: Explanation) -> Iterator[str]:
    if explained.rules is None:
        yield f"The lines are not known: {explained.no_rules}."
        return
    for file, rules in groupby(explained.rules, key=lambda rule: rule.file):
        for rule in rules:
            package = rule.rule.removeprefix("data.")
            times = f" ({rule.times} times)" if rule.times > 1 else ""
            yield f"{file}:{rule.line}  {package}{times}"


def _print_change(console: Console, settings: GateConfig, explained: Explanation) -> None:
    advice = explained.advice
    if advice is not None and advice.change:
        console.print("\n[bold]The smallest change to gate.yaml[/] that would admit this model")
        console.print()
        console.print(escape(advice.change.to_yaml(settings)), end="")
        console.print()
        print_beside(console, "[bold yellow]![/]", escape(_meaning(explained)))
        if not advice.tried:
            print_beside(
                console,
                "[yellow]![/]",
                "this was not tried: it belongs into what the OPA server's data are made of "
                "(oms-gate config data)",
            )
        elif advice.remaining:
            print_beside(console, "[red]✗[/]", "what is left then:")
            print_reasons(console, advice.remaining, "  [red]✗[/]")
    if explained.hint is not None:
        console.print()
        print_beside(console, "[bold]·[/]", escape(explained.hint))


def _meaning(explained: Explanation) -> str:
    """What it means to copy the change."""
    assert explained.document is not None
    assert explained.advice is not None
    signer, signature = explained.document["signer"], explained.document["signature"]
    by = f", for whom {signer['issuer']} vouched" if signer["issuer"] else ""
    said = (
        f"this is a decision about trust, and yours: verified was that {signer['identity']}{by} "
        f"(root '{signer['root']['name']}') signed this list of files (root digest "
        f"{signature['root_digest']}); not verified was that they are who should publish this "
        "model, so ask its publisher by another way before you copy this"
    )
    change = explained.advice.change
    if any(name.startswith("allow_") for rule in change.rules.values() for name in rule):
        said += "; nobody vouches for what the files are that need no signature by it"
    if change.exceptions:
        said += "; an exception is for a while, after which the model is denied again"
    return said
