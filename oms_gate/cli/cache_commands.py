"""The commands about the verified cache, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import Json

cache_app = typer.Typer(
    help="See what is in the verified cache, hash it again, or make room.", no_args_is_help=True
)

CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="OMS_GATE_CACHE",
        help="The folder of the cache.  [default: oms-gate/models in the user's cache]",
        show_default=False,
    ),
]
References = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[REF]...",
        help="Models as the list names them; without a revision, all revisions.",
        show_default=False,
    ),
]


@cache_app.command("list")
def cache_list(cache: CacheFolder = None, json: Json = False) -> None:
    """Print which models are in the cache, who signed them, and when they were last used.

    Example:

        oms-gate cache list
    """
    from oms_gate.cli.cache import print_list

    raise typer.Exit(print_list(cache, json=json))


@cache_app.command("verify")
def cache_verify(
    references: References = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove what is wrong, and what killed transfers have left: it is transferred "
            "again when it is asked for.",
        ),
    ] = False,
    cache: CacheFolder = None,
    json: Json = False,
) -> None:
    """Hash the files in the cache again. Exit status 1 if one is not what it is to be.

    That is also so where it was repaired.

    Examples:

        oms-gate cache verify

        oms-gate cache verify hf://org/name --repair
    """
    from oms_gate.cli.cache import verify

    raise typer.Exit(verify(cache, references or (), repair=repair, json=json))


@cache_app.command("prune")
def cache_prune(
    references: References = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Remove models that were not used for so long: 90m, 12h, 30d or 8w.  [default: "
            "30d; for models that are named, however short]",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all models, however short ago they were used.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    cache: CacheFolder = None,
    json: Json = False,
) -> None:
    """Remove models that were not used for long, and what killed transfers have left.

    What is being transferred stays.

    Examples:

        oms-gate cache prune --older-than 8w

        oms-gate cache prune hf://org/name --dry-run
    """
    from oms_gate.cli.cache import prune

    raise typer.Exit(
        prune(
            cache,
            references or (),
            older_than=older_than,
            everything=everything,
            dry_run=dry_run,
            json=json,
        )
    )
