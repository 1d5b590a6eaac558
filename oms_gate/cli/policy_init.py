"""``oms-gate policy init``: a folder to start a policy from."""

from __future__ import annotations

from pathlib import Path

import typer

from oms_gate.authoring.packs import packs
from oms_gate.authoring.starting import start_policy
from oms_gate.cli.output import after
from oms_gate.errors import UsageError


def run(folder: Path | None, pack: str | None, *, list_packs: bool) -> int:
    """Write the folder, or print the names of the packs.

    Raises:
        UsageError: no folder is named, there is no such pack, or a file is there already.
        OmsGateError: the folder cannot be written.
    """
    if list_packs:
        for name in packs():
            typer.echo(name)
        return 0
    if folder is None:
        raise UsageError("name the folder to write into: oms-gate policy init DIR")
    files = start_policy(folder, pack)
    with after(f"the policy is in {folder}"):
        readme = next(file for file in files if file.name == "README.md")
        typer.echo(f"wrote {len(files)} files to {folder}")
        typer.echo(f"  next    read {readme}, and run oms-gate policy check {readme.parent}")
        if pack is not None:
            typer.echo(f"  rules   {folder / 'gate.yaml'}: put your names in the place of its own")
    return 0
