"""The commands about the audit log, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import (
    CertificateRoot,
    Identity,
    Issuer,
    Json,
    PublicKey,
    Quiet,
    TimestampAuthority,
    TrustedRoot,
)

audit_log_app = typer.Typer(
    help="See whether the log of verdicts is as it was written, or sign it.\n\n"
    "Example: oms-gate audit-log verify audit.jsonl --public-key gate.pub",
    no_args_is_help=True,
)

LogConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="The gate.yaml, with the log's file under evidence.audit_log.",
        show_default=False,
    ),
]


@audit_log_app.command("verify")
def audit_log_verify(
    log: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LOG]",
            help="The log's file, or a copy; those that were full are beside it. By default that "
            "of the configuration.",
            show_default=False,
        ),
    ] = None,
    config: LogConfig = None,
    public_key: PublicKey = None,
    certificate_root: CertificateRoot = None,
    identity: Identity = None,
    issuer: Issuer = None,
    timestamp_authority: TimestampAuthority = None,
    trusted_root: TrustedRoot = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256",
            help="The digest of a line, as it was kept elsewhere: the log must have that line.",
            show_default=False,
        ),
    ] = None,
    archived: Annotated[
        bool,
        typer.Option(
            "--archived", help="Older files are elsewhere: begin with the line that is there."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether lines of the log were removed, changed or moved, and which.

    The options of the signer say who the gate is. On the gate's own machine its configuration does,
    where it signs by a key. Exit status: 0 whole, 1 not whole.

    Examples:

        oms-gate audit-log verify audit.jsonl --public-key gate.pub

        oms-gate audit-log verify --config gate.yaml

        oms-gate audit-log verify audit.jsonl --public-key gate.pub --head "$(cat kept.sha256)"
    """
    from oms_gate.cli.admission import SignerOptions
    from oms_gate.cli.audit_log import verify

    signer = SignerOptions(
        identity=identity,
        issuer=issuer,
        public_key=public_key,
        certificate_root=certificate_root,
        timestamp_authority=timestamp_authority,
        trusted_root=trusted_root,
    )
    raise typer.Exit(
        verify(
            log,
            config,
            signer,
            expected_hash=head,
            archived=archived,
            json=json,
            quiet=quiet,
        )
    )


@audit_log_app.command("checkpoint")
def audit_log_checkpoint(config: LogConfig = None, json: Json = False) -> None:
    """Sign what is written in the log, now.

    The gate does so by itself every so often; see checkpoint_lines and checkpoint_seconds.

    Example:

        oms-gate audit-log checkpoint --config gate.yaml
    """
    from oms_gate.cli.audit_log import checkpoint

    raise typer.Exit(checkpoint(config, json=json))
