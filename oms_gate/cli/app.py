"""The commands. What a command does is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from oms_gate.cli import (
    admission_commands,
    annotation_commands,
    audit_log_commands,
    bom_commands,
    cache_commands,
    config_commands,
    hooks_commands,
    policy_commands,
    publishing_commands,
    report_commands,
    run_commands,
    server_commands,
    signing_commands,
    trust_commands,
)

app = typer.Typer(
    name="oms-gate",
    help="The admission gate for AI models: who signed it, may they, is it what they signed?\n\n"
    "Exit status: 0 admitted, 1 denied, 2 usage or configuration, 3 could not decide.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    admission_commands.verify,
    admission_commands.pull,
    admission_commands.storage_initializer,
    signing_commands.sign,
    signing_commands.diff,
    signing_commands.resign,
    signing_commands.keygen,
    publishing_commands.pre_publish,
    publishing_commands.publish,
    publishing_commands.promote,
    annotation_commands.annotate,
    admission_commands.inspect,
    bom_commands.bom,
    trust_commands.history,
    report_commands.report,
    admission_commands.demo,
    server_commands.serve,
):
    app.command()(_command)
# What follows the program is the program's.
app.command(context_settings={"allow_interspersed_args": False})(run_commands.run)
app.add_typer(config_commands.config_app, name="config")
app.add_typer(policy_commands.policy_app, name="policy")
app.add_typer(trust_commands.trust_app, name="trust")
app.add_typer(audit_log_commands.audit_log_app, name="audit-log")
app.add_typer(cache_commands.cache_app, name="cache")
app.add_typer(hooks_commands.hooks_app, name="hooks")


def _version(asked: bool) -> None:
    if asked:
        from oms_gate import __version__

        typer.echo(f"oms-gate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
