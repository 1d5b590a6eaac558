"""The commands of who writes policies, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oms_gate.cli.options import Config, Json

policy_app = typer.Typer(
    help="Write policies: start one, check it, test it, see what it would change, build it.",
    no_args_is_help=True,
)


@policy_app.command("init")
def policy_init(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The folder to write into.", show_default=False),
    ] = None,
    pack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Rules for a kind of organization, with the gate.yaml for them."
        ),
    ] = None,
    list_packs: Annotated[
        bool, typer.Option("--list", help="Print the names of the packs, and write nothing.")
    ] = False,
) -> None:
    """Start a policy: the library, the policy over it, an example of a rule and its test.

    Examples:

        oms-gate policy init policy/

        oms-gate policy init ours/ --pack github-actions

        oms-gate policy init --list
    """
    from oms_gate.cli.policy_init import run

    raise typer.Exit(run(folder, pack, list_packs=list_packs))


@policy_app.command("check")
def policy_check(
    path: Annotated[
        Path,
        typer.Argument(metavar="DIR|GATE_YAML", help="The policy's folder, or what names it."),
    ] = Path(),
    json: Json = False,
) -> None:
    """Check a policy by OPA, and by regal where that is on the PATH; 1 if anything is the matter.

    Examples:

        oms-gate policy check policy/

        oms-gate policy check gate.yaml --json
    """
    from oms_gate.cli.policy_check import run

    raise typer.Exit(run(path, json=json))


@policy_app.command("test")
def policy_test(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The policy's folder; without, what --config names.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RECORDED",
            help="Decide anew on what was recorded (verify --record, or a decision log of the "
            "gate or of OPA): a file or a folder.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run a policy's tests; and see what it would change: 1 if a test fails, or anything changes.

    Examples:

        oms-gate policy test policy/

        oms-gate policy test policy/ --config gate.yaml --against recorded/

        oms-gate policy test --config new-gate.yaml --against decisions.jsonl --json
    """
    from oms_gate.cli.policy_test import run

    raise typer.Exit(run(folder, against, config, json=json))


@policy_app.command("build")
def policy_build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The policy's folder.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")] = Path(
        "bundle.tar.gz"
    ),
    revision: Annotated[
        str | None,
        typer.Option(
            help="What the bundle calls this state of the policy: a number such as 2026.11.3, or a "
            "time, where gates have a minimum_revision."
        ),
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option(help="The private key that signs the bundle, PEM.")
    ] = None,
    signing_alg: Annotated[
        Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        typer.Option(metavar="NAME", help="How it signs: ES256, ES384, RS256 and the like."),
    ] = "ES256",
    json: Json = False,
) -> None:
    """Build a policy into one file, which needs no opa where it is used.

    Examples:

        oms-gate policy build policy/ -o bundle.tar.gz --revision 2026.11.3

        oms-gate policy build policy/ --signing-key policy.key --signing-alg ES256
    """
    from oms_gate.cli.policy_build import run

    raise typer.Exit(run(folder, output, revision, signing_key, signing_alg, json=json))


@policy_app.command("explain")
def policy_explain(
    reference: Annotated[
        str | None,
        typer.Argument(metavar="REF", help="The model, as verify takes it.", show_default=False),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            metavar="RECORDED",
            help="Explain the last decision recorded there (about REF, if given) instead.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Say why a model is admitted or denied, and what would admit it. No weight is read.

    Examples:

        oms-gate policy explain hf://org/name --config gate.yaml

        oms-gate policy explain --recorded decisions.jsonl --config gate.yaml --json
    """
    from oms_gate.cli.policy_explain import run

    raise typer.Exit(run(reference, recorded, config, json=json))
