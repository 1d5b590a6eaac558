"""The commands that Git calls, and those that put them there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import Json

hooks_app = typer.Typer(
    help="Let Git push no model that is unsigned, incomplete or against policy.",
    no_args_is_help=True,
)

PreReceive = Annotated[
    bool,
    typer.Option(
        "--pre-receive",
        help="The hook of a repository that others push to, on the server of a registry.",
    ),
]


@hooks_app.command("install")
def hooks_install(
    pre_receive: PreReceive = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="The gate.yaml to go by; git config keeps it as oms-gate.config.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="The model that the repository is, as publishers of the gate.yaml name it; git "
            "config keeps it as oms-gate.model. Not needed to push to the Hub, where the URL says "
            "it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put the hook into this repository. One that is there already runs after it.

    Git LFS puts no hook beside another one: have it there first (git lfs install).

    Examples:

        oms-gate hooks install --config ~/gate.yaml

        oms-gate hooks install --pre-receive -c /etc/gate.yaml --model https://models.example/llama
    """
    from oms_gate.cli.hooks import install

    raise typer.Exit(install(pre_receive=pre_receive, config=config, model=model))


@hooks_app.command("uninstall")
def hooks_uninstall() -> None:
    """Take the gate's hooks out of this repository, and put back those that were there before.

    Example:

        oms-gate hooks uninstall
    """
    from oms_gate.cli.hooks import uninstall

    raise typer.Exit(uninstall())


@hooks_app.command("pre-push")
def hooks_pre_push(
    remote: Annotated[
        str | None, typer.Argument(metavar="[REMOTE]", help="The name of the remote, or its URL.")
    ] = None,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="The URL of the remote.")
    ] = None,
    json: Json = False,
) -> None:
    """Judge what a push would publish, before anything leaves. Git calls this, or pre-commit does.

    What is pushed comes from standard input, a line for each branch or tag; from pre-commit it
    comes by the environment. Exit status: 0 the push may go on, 1 denied, 2 usage or configuration,
    3 could not decide.

    Example:

        git config oms-gate.config ~/gate.yaml
    """
    from oms_gate.cli.hooks import pre_push

    raise typer.Exit(pre_push(remote, url, json=json))


@hooks_app.command("pre-receive")
def hooks_pre_receive(json: Json = False) -> None:
    """Judge what is being pushed to this repository, before any branch or tag names it.

    Git calls this on the server, with a line on standard input for each branch or tag. Exit status:
    as of pre-push.

    Example:

        git config oms-gate.model 'https://models.example/{repository}'
    """
    from oms_gate.cli.hooks import pre_receive

    raise typer.Exit(pre_receive(json=json))


@hooks_app.command("inspect")
def hooks_inspect(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Files below this folder.", show_default=False),
    ] = None,
) -> None:
    """Look for secrets, trust anchors and unsafe formats in files that are about to be committed.

    Exit status: 0 there are none, 1 there are, 2 usage or configuration, 3 could not look.

    Example:

        oms-gate hooks inspect config.json model.safetensors
    """
    from oms_gate.cli.hooks import inspect_files

    raise typer.Exit(inspect_files(files or ()))
