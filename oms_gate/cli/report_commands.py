"""The command that reports, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oms_gate.cli.options import (
    CertificateRoot,
    Config,
    Identity,
    Issuer,
    Json,
    PublicKey,
    TimestampAuthority,
    TrustedRoot,
)


def report(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="Audit logs, and files of verdicts as verify --json prints them. By default the "
            "log that the configuration names.",
            show_default=False,
        ),
    ] = None,
    public_key: PublicKey = None,
    certificate_root: CertificateRoot = None,
    identity: Identity = None,
    issuer: Issuer = None,
    timestamp_authority: TimestampAuthority = None,
    trusted_root: TrustedRoot = None,
    archived: Annotated[
        bool,
        typer.Option(
            "--archived", help="Older files of the audit logs are elsewhere, and are not missing."
        ),
    ] = False,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST",
            help="Check models now and report on them, too: a file with one reference a line, or "
            "- for standard input. What follows # is a comment.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    assurance: Annotated[
        Literal["bytes", "declared", "signature"] | None,
        typer.Option(
            metavar="LEVEL",
            help="How far to check the models of --models: bytes, declared or signature. The last "
            "two are cheap.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one self-contained HTML page.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write Markdown.")] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write CSV, one row a model.")
    ] = None,
    json: Json = False,
    title: Annotated[str, typer.Option(help="The report's title.")] = "Admission of AI models",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only verdicts from this time: a day such as 2026-09-01, or RFC 3339; UTC.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only verdicts before this time; of a day, up to its end.",
            show_default=False,
        ),
    ] = None,
    stale_days: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=1, help="A model is stale that was not checked for so long."
        ),
    ] = 30,
    most_models: Annotated[
        int,
        typer.Option(
            metavar="COUNT",
            min=1,
            help="Most models that the page and Markdown list one by one.",
        ),
    ] = 500,
    most_verdicts: Annotated[
        int,
        typer.Option(
            metavar="COUNT",
            min=1,
            help="Most verdicts that are listed of one model, the newest.",
        ),
    ] = 20,
) -> None:
    """Report to people on verdicts: who let which model in, on what grounds.

    The options of the signer say who the gate is, whose checkpoints audit logs must have. It exits
    with 0 whatever the verdicts are; with 1 where an audit log is not as it was written.

    Examples:

        oms-gate report audit.jsonl --public-key gate.pub --html report.html --csv report.csv

        oms-gate report --config gate.yaml --html report.html

        oms-gate report audit.jsonl --since 2026-09-01 --until 2026-09-30 --markdown september.md

        oms-gate report --models models.txt --config gate.yaml --assurance declared --html now.html
    """
    from oms_gate.cli.admission import SignerOptions
    from oms_gate.cli.report import Asked, Outputs, run

    gate = SignerOptions(
        identity=identity,
        issuer=issuer,
        public_key=public_key,
        certificate_root=certificate_root,
        timestamp_authority=timestamp_authority,
        trusted_root=trusted_root,
    )
    asked = Asked(
        sources=sources or (),
        gate=gate,
        archived=archived,
        models=models,
        config=config,
        assurance=assurance,
        title=title,
        since=since,
        until=until,
        stale_days=stale_days,
        most_models=most_models,
        most_verdicts=most_verdicts,
    )
    raise typer.Exit(run(asked, Outputs(html, markdown, csv, json=json)))
