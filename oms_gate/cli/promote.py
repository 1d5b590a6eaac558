"""``oms-gate promote``: an admitted model from one registry to another."""

from __future__ import annotations

from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.cli.publish import Output, done, print_release, progress
from oms_gate.cli.pull import check_output
from oms_gate.errors import AdmissionDenied, StepError
from oms_gate.gate import Gate
from oms_gate.publish.promotion import promote
from oms_gate.publish.publication import refusal
from oms_gate.publish.release import Release
from oms_gate.reference import Reference


def run(source: str, target: str, admission: Admission, *, output: Output) -> int:
    """Promote and print; the exit status.

    Raises:
        UsageError: the options cannot be meant together, or nothing can be published there.
        ConfigError: a file that they name cannot be used.
    """
    check_output(json=output.json, quiet=output.quiet)
    places = Reference.parse(source), Reference.parse(target)
    left_out = 0
    with (
        Gate.from_config(admission.settings(*places)) as gate,
        progress(places[1], output) as on_progress,
    ):
        try:
            promotion = promote(*places, gate=gate, on_progress=on_progress)
            outcome = Release(promotion.verdict, promotion.published)
            left_out = promotion.left_out
        except AdmissionDenied as denied:
            outcome = Release(denied.verdict)
        except StepError as error:
            outcome = Release(refusal(gate, places[1], error))
    with after(f"the model is {outcome.verdict.outcome}, and {done(outcome.published)}"):
        print_release(outcome, output, left_out=left_out)
    if outcome.published is not None:
        return 0
    return 3 if outcome.verdict.undecided else 1
