"""``oms-gate annotate``: one check, and the verdict on the objects themselves."""

from __future__ import annotations

import json as json_format

import typer

from oms_gate.annotation.annotate import Annotated, annotate, check_can_be_annotated
from oms_gate.annotation.examination import Examined, examine
from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.cli.pull import check_output
from oms_gate.cli.verify import exit_status
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.verdict import Assurance


def run(reference: str, admission: Admission, *, assurance: str, json: bool, quiet: bool) -> int:
    """Check, tag and print; the exit status.

    Raises:
        UsageError: the options cannot be meant together, or the model is no folder in S3.
        ConfigError: a file that they name cannot be used.
        StoreError: the objects could not be tagged.
    """
    check_output(json=json, quiet=quiet)
    model = Reference.parse(reference)
    check_can_be_annotated(model)
    with Gate.from_config(admission.settings(model)) as gate:
        examined = _examine(gate, model, Assurance(assurance), silent=json or quiet)
        tagged = annotate(gate, examined, gate.limits.total_seconds)
    verdict = examined.verdict
    with after(f"the model is {verdict.outcome}, and its objects are tagged"):
        if json:
            counts = {"admitted": tagged.admitted, "denied": tagged.denied}
            document = {"verdict": json_format.loads(verdict.to_json()), "tagged": counts}
            typer.echo(json_format.dumps(document, indent=2))
        elif not quiet:
            from oms_gate.cli.render import print_verdict

            print_verdict(verdict, lets_through=verdict.lets_through)
            typer.echo(_told(tagged))
    return exit_status(verdict)


def _told(tagged: Annotated) -> str:
    if tagged == Annotated():
        return "no object was tagged"
    return f"objects tagged: {tagged.admitted} admitted, {tagged.denied} denied"


def _examine(gate: Gate, model: Reference, assurance: Assurance, *, silent: bool) -> Examined:
    if silent:
        return examine(gate, model, assurance=assurance)
    from oms_gate.cli.render import progress_bar

    with progress_bar(model.url) as on_progress:
        return examine(gate, model, assurance=assurance, on_progress=on_progress)
