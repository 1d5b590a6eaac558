"""``oms-gate policy check``: what is the matter with a policy?"""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path

import typer
from rich.markup import escape

from oms_gate.authoring.checking import Checked, Problem, check_policy
from oms_gate.cli.render import new_console, print_beside


def run(path: Path, *, json: bool) -> int:
    """Check and print; 1 if anything is the matter.

    Raises:
        ConfigError: there is no ``opa``, or the policy cannot be read.
        UsageError: an OPA server decides.
    """
    checked = check_policy(path)
    if json:
        typer.echo(json_module.dumps({"policy": str(path), **asdict(checked)}, indent=2))
    else:
        _print(path, checked)
    return 1 if checked.problems else 0


def _print(path: Path, checked: Checked) -> None:
    console = new_console()
    count = len(checked.problems)
    mark = "[bold red]✗[/]" if count else "[bold green]✓[/]"
    what = f"{count} problem{'s' if count > 1 else ''}" if count else "can be used"
    console.print(f"{mark} [bold]{what}[/]  {escape(str(path))}")
    for problem in checked.problems:
        text = f"{escape(_place(problem) + problem.message)} [dim]{escape(f'[{problem.by}]')}[/]"
        print_beside(console, "  [red]✗[/]", text)
    print_beside(console, "  [dim]checked [/]", ", ".join(checked.checks))
    for reason in checked.skipped:
        print_beside(console, "  [dim]not done[/]", reason)


def _place(problem: Problem) -> str:
    if problem.file is None:
        return ""
    return f"{problem.file}:{problem.line}: " if problem.line else f"{problem.file}: "
