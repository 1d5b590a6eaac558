"""``oms-gate pre-publish`` and ``oms-gate publish``: a folder on its way to a registry."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import typer

from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.cli.pull import check_output
from oms_gate.cli.signers import check_apart, signer_of
from oms_gate.cli.verify import exit_status
from oms_gate.errors import StepError, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.publication import refusal
from oms_gate.publish.registry import Published, open_registry
from oms_gate.publish.release import MESSAGE, Release, Upload, release_folder
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner
from oms_gate.signing.opening import SigningIdentity
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import printable


@dataclass(frozen=True)
class Output:
    """What is printed: one of these, or a readable verdict."""

    json: bool = False
    sarif: bool = False
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """Whether somebody reads it."""
        return not (self.json or self.sarif or self.quiet)


def run(
    upload: Upload,
    to: str,
    admission: Admission,
    signer: SigningIdentity | None,
    *,
    publish: bool,
    message: str | None = None,
    pull_request: bool = False,
    output: Output,
) -> int:
    """Judge a folder, publish it if that is asked for, and print; the exit status.

    signer: who signs it first; None where it is signed already.

    Raises:
        UsageError: the options cannot be meant together, or there is nothing to publish.
        ConfigError: a file that they name cannot be used.
        SigningError: a token or a service failed.
    """
    check_output(json=output.json or output.sarif, quiet=output.quiet)
    if output.json and output.sarif:
        raise UsageError("--json and --sarif both print; give one of them")
    target = Reference.parse(to)
    if target.scheme != "hf" and (message is not None or pull_request):
        raise UsageError("--message and --pull-request are for the Hub; leave them out")
    folder = Reference.parse(str(upload.folder))
    if signer is not None:
        check_apart(signer, folder, None)
    with (
        Gate.from_config(admission.settings(target)) as gate,
        nullcontext() if signer is None else signer_of(signer) as model_signer,
        progress(target, output) as on_progress,
    ):
        try:
            outcome = _released(
                gate,
                target,
                upload,
                model_signer,
                publish=publish,
                message=message or MESSAGE,
                pull_request=pull_request,
                on_progress=on_progress,
            )
        except StepError as error:
            outcome = Release(refusal(gate, target, error))
    with after(f"the model is {outcome.verdict.outcome}, and {done(outcome.published)}"):
        _print(outcome, upload, publish=publish, output=output)
    return exit_status(outcome.verdict)


def _released(
    gate: Gate,
    target: Reference,
    upload: Upload,
    signer: ModelSigner | None,
    *,
    publish: bool,
    message: str,
    pull_request: bool,
    on_progress: ProgressCallback | None,
) -> Release:
    registry = open_registry(target, gate)
    try:
        return release_folder(
            gate,
            registry,
            upload,
            signer=signer,
            publish=publish,
            message=message,
            pull_request=pull_request,
            on_progress=on_progress,
        )
    finally:
        registry.close()


@contextmanager
def progress(target: Reference, output: Output) -> Iterator[ProgressCallback | None]:
    """A progress bar for people at a terminal, and none for anybody else."""
    from oms_gate.cli.render import new_console, progress_bar

    if not output.for_people or not new_console(stderr=True).is_terminal:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # Of what the Hub's own client sends.
        yield None
        return
    with progress_bar(target.url) as on_progress:
        yield on_progress


def done(published: Published | None) -> str:
    """What became of a publication, in a few words."""
    return "nothing is published" if published is None else f"published at {published.url}"


def print_release(outcome: Release, output: Output, *, left_out: int | None = None) -> None:
    """Print a verdict, and where what was judged is published.

    left_out: how many files of another place are not there, if it comes from one.
    """
    verdict, published = outcome.verdict, outcome.published
    if output.json:
        document: dict[str, Any] = {
            "verdict": verdict.model_dump(mode="json", by_alias=True),
            "published": None if published is None else asdict(published),
        }
        if left_out is not None:
            document["left_out"] = left_out
        typer.echo(json_module.dumps(document, indent=2))
    elif not output.quiet:
        from rich.markup import escape

        from oms_gate.cli.render import new_console, print_beside, print_verdict

        print_verdict(verdict, lets_through=verdict.lets_through)
        facts: dict[str, str | None] = {}
        if published is not None:
            facts = {"published": published.url, "proposed": published.pull_request}
            facts["left out"] = f"{left_out} that nobody signed" if left_out else None
        console = new_console()
        for name, value in facts.items():
            if value is not None:
                print_beside(console, f"  [dim]{name:<9}[/]", escape(printable(value)))


def _print(outcome: Release, upload: Upload, *, publish: bool, output: Output) -> None:
    if output.sarif:
        from oms_gate.cli.sarif import sarif

        typer.echo(sarif(outcome.verdict, str(upload.folder)))
    elif output.json and not publish:
        typer.echo(outcome.verdict.to_json())
    else:
        print_release(outcome, output)
