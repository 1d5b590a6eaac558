"""``oms-gate bom``: the bill of materials of a model that the gate admits."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from oms_gate.bom.facts import facts_of
from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after, write_output
from oms_gate.cli.render import new_console, print_beside, print_verdict, progress_bar
from oms_gate.cli.verify import exit_status
from oms_gate.config import revised
from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.reference import Reference

if TYPE_CHECKING:
    from oms_gate.bom.document import SpecVersion


def run(
    reference: str,
    admission: Admission,
    *,
    assurance: str | None,
    spec_version: SpecVersion,
    output: Path | None,
) -> int:
    """Check, and write the bill of materials of what is admitted; the exit status.

    output: the file to write; None for standard output.

    Raises:
        UsageError: the options cannot be meant together, the library is not installed, or a link
            or a folder is in the place of the file.
        ConfigError: a file that they name cannot be used.
        OmsGateError: the file cannot be written.
    """
    try:
        from oms_gate.bom.document import write_bom
    except ImportError as error:
        raise UsageError(
            f"bills of materials take a library that is not installed ({error.name}): "
            "pip install 'oms-gate[bom]'"
        ) from error
    made_at = _made_at()
    model = Reference.parse(reference)
    settings = admission.settings(model)
    if assurance is not None:
        settings = revised(settings, assurance=assurance)
    try:
        with Gate.from_config(settings) as gate, progress_bar(model.url) as on_progress:
            facts = facts_of(gate, model, on_progress=on_progress)
    except AdmissionDenied as denied:
        print_verdict(denied.verdict, lets_through=False, stderr=True)
        return exit_status(denied.verdict) or 1
    text = write_bom(facts, spec_version, made_at)
    console = new_console(stderr=True)
    for problem in facts.problems:
        print_beside(console, "[yellow]![/]", problem)
    with after("the model is admitted"):
        if output is None:
            typer.echo(text, nl=False)
            return 0
    write_output(output, text, "the model is admitted, but")
    print_beside(console, "[bold green]✓[/]", f"the bill of materials is written to {output}")
    return 0


def _made_at() -> datetime:
    """When the BOM is made, to the second; or as reproducible builds are told it."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {given!r}, and must be a time in Unix seconds"
        ) from None
