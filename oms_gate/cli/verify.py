"""``oms-gate verify``: one check, as the options ask for it."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.config import GateConfig, revised
from oms_gate.errors import UsageError
from oms_gate.evidence_settings import SUMMARY_ENDING
from oms_gate.gate import Gate
from oms_gate.policy.decision_log import LoggedEngine
from oms_gate.reference import Reference
from oms_gate.verdict import Assurance, Verdict


def run(
    reference: str,
    admission: Admission,
    *,
    assurance: str | None,
    report_all: bool,
    record: Path | None,
    vsa: Path | None,
    accept_vsa: str | None,
    json: bool,
    quiet: bool,
) -> int:
    """Check and print; the exit status.

    record: a file to append the decision to, as an event of a decision log; or its folder.
    vsa: the file to be, of the gate's summary of the admission.
    accept_vsa: where summaries of the gates that the configuration accepts are.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: a file that they name cannot be used.
    """
    if json and quiet:
        raise UsageError("--json prints and --quiet does not; give one of them")
    model = Reference.parse(reference)
    settings = admission.settings(model)
    if assurance is not None:
        settings = revised(settings, assurance=assurance)
    if vsa is not None:
        settings = _with_summary(settings, vsa)
    if accept_vsa is not None:
        settings = _accepting(settings, accept_vsa)
    with Gate.from_config(settings) as gate:
        if record is not None:
            gate.policy = LoggedEngine(gate.policy, _record_file(record))
        verdict = _check(gate, model, report_all=report_all, silent=json or quiet)
    with after(f"the model is {verdict.outcome}"):
        if json:
            typer.echo(verdict.to_json())
        elif not quiet:
            from oms_gate.cli.render import print_verdict

            print_verdict(verdict, lets_through=verdict.lets_through)
    return exit_status(verdict)


def exit_status(verdict: Verdict) -> int:
    """0 may be used, 1 denied, 3 the gate could not decide."""
    if verdict.lets_through:
        return 0
    return 3 if verdict.undecided else 1


def _with_summary(settings: GateConfig, file: Path) -> GateConfig:
    made = settings.evidence.summaries
    if made is None:
        raise UsageError(
            "--vsa needs a gate that signs: name it and its key in gate.yaml (evidence: {signer: "
            "..., summaries: {verifier: ..., folder: ...}}), and give --config"
        )
    if file.suffix != SUMMARY_ENDING:
        raise UsageError(f"--vsa names one file, which ends in {SUMMARY_ENDING}; name it so")
    if os.path.lexists(file):
        raise UsageError(
            f"{file} is there already, and might be taken for the summary of this check; move it "
            "away, or name another file"
        )
    asked = {"folder": file.absolute(), "assurance": Assurance.SIGNATURE}
    made = made.model_copy(update=asked)
    return revised(settings, evidence=settings.evidence.model_copy(update={"summaries": made}))


def _accepting(settings: GateConfig, place: str) -> GateConfig:
    if not settings.evidence.accept_summaries:
        raise UsageError(
            "--accept-vsa needs to know whose summaries count: name those gates and their signers "
            "in gate.yaml (evidence: {accept_summaries: [...]}), and give --config"
        )
    update = {"folder": Reference.parse(place).url}
    gates = tuple(gate.model_copy(update=update) for gate in settings.evidence.accept_summaries)
    evidence = settings.evidence.model_copy(update={"accept_summaries": gates})
    return revised(settings, evidence=evidence)


def _record_file(record: Path) -> Path:
    """What has no ending is a folder, which is made where there is none."""
    if record.suffix or record.is_file():
        return record
    record.mkdir(parents=True, exist_ok=True)
    return record / "decisions.jsonl"


def _check(gate: Gate, model: Reference, *, report_all: bool, silent: bool) -> Verdict:
    if silent:
        return gate.check(model, report_all=report_all)
    from oms_gate.cli.render import progress_bar

    with progress_bar(model.url) as on_progress:
        return gate.check(model, report_all=report_all, on_progress=on_progress)
