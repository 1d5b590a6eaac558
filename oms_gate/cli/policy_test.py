"""``oms-gate policy test``: does a policy do what its author means, and what would it change?"""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from oms_gate.authoring.replay import Outcome, Replayed, replay
from oms_gate.authoring.testing import Tested, run_tests
from oms_gate.authoring.trying import unlogged
from oms_gate.cli.render import new_console, print_beside
from oms_gate.config import GateConfig, load_config, open_engine
from oms_gate.errors import UsageError
from oms_gate.settings import PolicySettings
from oms_gate.verdict import Reason

_WORDS = {
    "denied": "[bold red]newly denied[/]",
    "admitted": "[bold yellow]newly admitted[/]",
    "changed": "[bold]changed[/]",
}


def run(folder: Path | None, against: Path | None, config: Path | None, *, json: bool) -> int:
    """Test, replay and print; 1 if a test fails, there is none, or anything would change.

    Raises:
        UsageError: there is nothing to test.
        ConfigError: there is no ``opa``, or the policy, the configuration or the record cannot be
            used.
    """
    if folder is None and (against is None or config is None):
        raise UsageError(
            "name the policy's folder to run its tests; or give --config gate.yaml and --against "
            "RECORDED to see what its rules would change"
        )
    tested = None if folder is None else run_tests(folder)
    failed = tested is not None and (tested.failed or not tested.passed)
    found = [] if against is None or failed else _replayed(folder, against, config)
    changed = [one for one in found if one.effect != "same"]
    if json:
        typer.echo(json_module.dumps(_as_json(tested, found), indent=2))
    else:
        console = new_console()
        if tested is not None:
            _print_tests(console, tested)
        if against is not None and not failed:
            _print_replay(console, found)
    return 1 if failed or changed else 0


def _replayed(folder: Path | None, against: Path, config: Path | None) -> list[Replayed]:
    settings = GateConfig() if config is None else load_config(config)
    if folder is not None:
        rego = PolicySettings(rego=folder.absolute())
        settings = settings.model_copy(update={"policy": rego})
    if settings.policy.server is not None:
        raise UsageError(
            f"by {config} an OPA server decides, which is not asked to try a policy; name the "
            "folder of the policy, and a configuration with the rules"
        )
    with closing(open_engine(unlogged(settings))) as engine:
        return list(replay(against, engine))


def _as_json(tested: Tested | None, found: list[Replayed]) -> dict[str, Any]:
    return {
        "tests": None if tested is None else asdict(tested),
        "replayed": len(found),
        "changes": [
            {
                **{name: getattr(one, name) for name in ("effect", "model", "revision", "signer")},
                "recorded": {"place": one.place, "timestamp": one.timestamp, **_told(one.before)},
                "new": _told(one.after),
            }
            for one in found
            if one.effect != "same"
        ],
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    def plain(reasons: tuple[Reason, ...]) -> list[dict[str, Any]]:
        return [reason.model_dump(mode="json", exclude_none=True) for reason in reasons]

    return {
        "allow": outcome.admitted,
        "reasons": plain(outcome.reasons),
        "warnings": plain(outcome.warnings),
        "require": outcome.require,
    }


def _print_tests(console: Console, tested: Tested) -> None:
    count = len(tested.failed)
    mark = "[bold red]✗[/]" if count or not tested.passed else "[bold green]✓[/]"
    total = f"{tested.passed} passed, {count} failed" if count else f"{tested.passed} passed"
    if not tested.passed and not count:
        total = "there is no test; write some into files that end with _test.rego"
    skipped = f", {tested.skipped} to do" if tested.skipped else ""
    console.print(f"{mark} [bold]tests[/] {total}{skipped}")
    for test in tested.failed:
        why = f": {test.error}" if test.error else ""
        print_beside(console, "  [red]✗[/]", escape(f"{test.file}:{test.line}: {test.name}{why}"))
    if tested.coverage is not None:
        print_beside(
            console, "  [dim]coverage[/]", f"{tested.coverage:g} % of your own lines are evaluated"
        )
    for file, ranges in (tested.not_covered or {}).items():
        rows = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
        print_beside(console, "  [yellow]![/]", escape(f"{file}: no test evaluates line {rows}"))


def _print_replay(console: Console, found: list[Replayed]) -> None:
    """The same change of the same model is one line, however often it was recorded."""
    times: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], Replayed] = {}
    for one in found:
        if one.effect != "same":
            key = (one.effect, one.model, one.signer, *_differences(one))
            times[key] += 1
            first.setdefault(key, one)
    count = sum(times.values())
    mark = "[bold yellow]![/]" if count else "[bold green]✓[/]"
    what = f"{count} of {len(found)} decisions would change" if count else "nothing would change"
    total = "" if count else f" ({len(found)} decisions)"
    console.print(f"{mark} [bold]{what}[/]{total}")
    for effect, word in _WORDS.items():
        for key, one in first.items():
            if one.effect == effect:
                often = f" ({times[key]} times)" if times[key] > 1 else ""
                console.print(f"  {word}  {escape(one.model)}{often}")
                print_beside(console, "    [dim]signed by[/]", escape(one.signer))
                for difference in _differences(one):
                    print_beside(console, "   ", escape(difference))


def _differences(one: Replayed) -> Iterator[str]:
    """What is no more (-) and what is new (+)."""
    for name, kind in (("reasons", "deny"), ("warnings", "warn")):
        before, after = (_by_code(getattr(side, name)) for side in (one.before, one.after))
        yield from (f"- {kind} {before[code]}" for code in sorted(before.keys() - after.keys()))
        yield from (f"+ {kind} {after[code]}" for code in sorted(after.keys() - before.keys()))
    if one.before.require != one.after.require:
        yield f"- require {one.before.require or 'nothing'}"
        yield f"+ require {one.after.require or 'nothing'}"


def _by_code(reasons: tuple[Reason, ...]) -> dict[str, str]:
    """Reasons in words, by what they are compared by."""
    return {
        f"{code} {reason.path}": f"{reason.message} [{code}]"
        for reason in reasons
        for code in [reason.policy_code or reason.code]
    }
