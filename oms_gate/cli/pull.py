"""``oms-gate pull``: one model into one folder, as the options ask for it."""

from __future__ import annotations

import logging
from collections.abc import Collection

import typer

from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.verdict import Verdict


def run(
    reference: str,
    folder: str,
    admission: Admission,
    *,
    include: Collection[str],
    exclude: Collection[str],
    json: bool,
    quiet: bool,
) -> int:
    """Pull and print; the exit status.

    include, exclude: patterns over the paths of the files.

    Raises:
        UsageError: the options cannot be meant together, or the folder cannot be used.
        ConfigError: a file that they name cannot be used.
    """
    if json and quiet:
        raise UsageError("--json prints and --quiet does not; give one of them")
    if quiet:
        logging.getLogger("oms_gate").setLevel(logging.ERROR)
    model = Reference.parse(reference)
    with Gate.from_config(admission.settings(model)) as gate:
        if json or quiet:
            verdict = gate.deliver(model, folder, include=include, exclude=exclude)
        else:
            from oms_gate.cli.render import progress_bar

            with progress_bar(model.url) as on_progress:
                verdict = gate.deliver(
                    model, folder, include=include, exclude=exclude, on_progress=on_progress
                )
    arrived = "the model has arrived" if verdict.delivery is not None else "nothing has arrived"
    with after(f"the model is {verdict.outcome}, and {arrived}"):
        if json:
            typer.echo(verdict.to_json())
        elif not quiet:
            from oms_gate.cli.render import print_verdict

            print_verdict(verdict, lets_through=verdict.delivery is not None)
    return exit_status(verdict)


def exit_status(verdict: Verdict) -> int:
    """0 it has arrived, 1 denied, 3 the gate could not decide, or not deliver."""
    if verdict.delivery is not None:
        return 0
    return 3 if verdict.undecided else 1
