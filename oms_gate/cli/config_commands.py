"""The commands about a configuration, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

config_app = typer.Typer(
    help="Check a gate.yaml, or print what an OPA server needs of it.", no_args_is_help=True
)


@config_app.command("check")
def config_check(
    path: Annotated[Path, typer.Argument(metavar="GATE_YAML", show_default=False)],
) -> None:
    """Check a configuration with all that it names: keys, roots, policy, secrets.

    Example:

        oms-gate config check gate.yaml
    """
    from oms_gate.cli.config import check

    raise typer.Exit(check(path))


@config_app.command("data")
def config_data(
    path: Annotated[Path, typer.Argument(metavar="GATE_YAML", show_default=False)],
) -> None:
    """Print the rules (publishers, requirements, exceptions) as the data document of an OPA server.

    Example:

        oms-gate config data gate.yaml > data.json
    """
    from oms_gate.cli.config import data

    raise typer.Exit(data(path))
