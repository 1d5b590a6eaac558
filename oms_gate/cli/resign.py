"""``oms-gate resign``: show what changed since a model was signed, and sign it again."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import typer

from oms_gate.cli import diff, sign
from oms_gate.cli.output import after, agreed
from oms_gate.cli.pull import check_output
from oms_gate.cli.render import progress_bar
from oms_gate.cli.signers import check_apart, signer_of
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import UsageError
from oms_gate.reference import Reference
from oms_gate.signing.model import signable
from oms_gate.signing.opening import SigningIdentity
from oms_gate.signing.review import Review, review_to_sign
from oms_gate.signing.standing import of_the_signer
from oms_gate.verdict import printable


def run(
    reference: str,
    options: SigningIdentity,
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

    config: for stores, limits and the signature's name; and, if it has publishers or a policy, for
        whose signature counts, which is the signer's own otherwise.
    yes: do not ask, where the signature that is there counts.

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
    settings = load_config(config) if config is not None else GateConfig()
    with (
        signer_of(options) as signer,
        diff.vouching(settings) as configured,
        signable(model, signing) as place,
    ):
        vouch = configured or of_the_signer(signer, signing.limits)
        with progress_bar(model.url) if for_people else nullcontext() as on_progress:
            review = review_to_sign(place, vouch, on_progress)
        if for_people:
            diff.print_review(review)
        refusal = _refusal(review, yes=yes)
        if refusal is not None:
            print(f"oms-gate: nothing was signed{refusal}", file=sys.stderr)  # noqa: T201
            return 1
        standing = review.standing
        before = standing.signer if standing is not None and standing.conditional else None
        signed = place.sign(review.manifest, signer, only_as=before)
    with after(f"the signature is written to {signed.url}"):
        if json:
            document = {"changes": diff.as_json(review), "signed": sign.as_json(signed, options)}
            typer.echo(json_module.dumps(document, indent=2))
        elif not quiet:
            sign.print_signed(signed, options)
    return 0


def _refusal(review: Review, *, yes: bool) -> str | None:
    """Why it is not to be signed, to complete "nothing was signed"; None if it is."""
    standing = review.standing
    if standing is not None and standing.signer is None:
        if yes:
            doubt = printable(standing.doubt or "")
            return (
                f": {diff.NOBODY} ({doubt}), so there is nothing that --yes could go by; look at "
                "all of the model, then use oms-gate sign if all of it is meant"
            )
        question = f"{diff.NOBODY.capitalize()}. Sign all of it?"
    else:
        question = "Sign these changes?" if review.changes else "Sign it anew?"
    return None if yes or agreed(question) else ""
