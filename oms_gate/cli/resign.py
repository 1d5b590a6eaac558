"""``oms-gate resign``: show what changed since a model was signed, and sign it again."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import typer

from oms_gate.cli import diff, sign
from oms_gate.cli.output import after
from oms_gate.cli.pull import check_output
from oms_gate.cli.render import progress_bar
from oms_gate.cli.signers import SignerOptions, check_apart, open_signer
from oms_gate.errors import UsageError
from oms_gate.reference import Reference
from oms_gate.signing.model import signable
from oms_gate.signing.review import review_to_sign


def run(
    reference: str,
    options: SignerOptions,
    *,
    config: Path | None,
    signature: str | None,
    output: Path | None,
    ignore_paths: Sequence[str],
    message: str | None,
    pull_request: bool,
    yes: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Show what changed, ask, and sign exactly what was shown; the exit status.

    config: for stores, limits and the signature's name.
    yes: do not ask.

    Raises:
        UsageError: the options cannot be meant together, there is nobody to ask, or no signature
            that can be read.
        ConfigError: a file that they name cannot be used.
        SigningError: a token or a service failed.
        StepError: the store failed, or the model cannot be signed as it is.
    """
    check_output(json=json, quiet=quiet)
    for_people = not (json or quiet)
    if not yes and not (for_people and sys.stdin.isatty()):
        raise UsageError(
            "there is nobody to ask whether the changes are to be signed; look at them with "
            "oms-gate diff, then give --yes"
        )
    model = Reference.parse(reference)
    signing = sign.signing_of(
        model,
        config=config,
        signature=signature,
        output=output,
        ignore_paths=ignore_paths,
        message=message,
        pull_request=pull_request,
    )
    check_apart(options, model, output)
    with open_signer(options) as signer, signable(model, signing) as place:
        with progress_bar(model.url) if for_people else nullcontext() as on_progress:
            review = review_to_sign(place, on_progress)
        if for_people:
            diff.print_review(review)
        if not yes and not _agreed("these changes" if review.changes else "it anew"):
            print("oms-gate: nothing was signed", file=sys.stderr)  # noqa: T201
            return 1
        signed = place.sign(review.manifest, signer)
    with after(f"the signature is written to {signed.url}"):
        if json:
            document = {"changes": diff.as_json(review), "signed": sign.as_json(signed, options)}
            typer.echo(json_module.dumps(document, indent=2))
        elif not quiet:
            sign.print_signed(signed, options)
    return 0


def _agreed(what: str) -> bool:
    print(f"Sign {what}? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    return sys.stdin.readline().strip().lower() in ("y", "yes")
