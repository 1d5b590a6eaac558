"""The commands about what a gate remembers of models, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import Json, Ref

trust_app = typer.Typer(
    help="See who is trusted for which model, approve another signer, or withdraw that.",
    no_args_is_help=True,
)

HistoryConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="The gate.yaml, with the memory's file under history.",
        show_default=False,
    ),
]


@trust_app.command("add")
def trust_add(
    reference: Ref,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: HistoryConfig = None,
    json: Json = False,
) -> None:
    """Trust whoever signed the model that is there now, and this release of it.

    Its signature is verified first, and what changes is shown. The signer is pinned to the model's
    name beside those that are; and where a newer release was admitted before, the model may go
    back to this one.

    Examples:

        oms-gate trust add hf://org/name

        oms-gate trust add s3://bucket/model --yes
    """
    from oms_gate.cli.trust import add

    raise typer.Exit(add(config, reference, yes=yes, json=json))


@trust_app.command("list")
def trust_list(
    models: Annotated[
        str | None,
        typer.Argument(
            metavar="[REF]",
            help="A model, or a glob over them as in publisher rules; each covers what is below.",
            show_default=False,
        ),
    ] = None,
    config: HistoryConfig = None,
    json: Json = False,
) -> None:
    """Print which signers are pinned to which models, and how they came to be.

    Examples:

        oms-gate trust list

        oms-gate trust list 'hf://org/*' --json
    """
    from oms_gate.cli.trust import print_list

    raise typer.Exit(print_list(config, models, json=json))


@trust_app.command("remove")
def trust_remove(
    reference: Ref,
    signer: Annotated[
        str | None,
        typer.Option(
            metavar="IDENTITY",
            help="Only this signer, by the identity that the list prints.  [default: all, and "
            "older releases that were approved]",
            show_default=False,
        ),
    ] = None,
    config: HistoryConfig = None,
    json: Json = False,
) -> None:
    """Trust a signer of a model no more. Without any, whoever signs it next is its first.

    Examples:

        oms-gate trust remove hf://org/name --signer me@example.com

        oms-gate trust remove hf://org/name
    """
    from oms_gate.cli.trust import remove

    raise typer.Exit(remove(config, reference, signer, json=json))


def history(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="[REF]",
            help="One model; with a revision, only what it named.  [default: all]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the last N.", show_default=False),
    ] = None,
    config: HistoryConfig = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one release in a line: the export.")
    ] = False,
) -> None:
    """Print which releases of models were admitted, by whom they were signed, when and how often.

    Examples:

        oms-gate history hf://org/name

        oms-gate history --json > history.jsonl
    """
    from oms_gate.cli.history import print_releases

    raise typer.Exit(print_releases(config, reference, limit, json=json))
