"""The command that writes bills of materials, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oms_gate.cli.options import (
    CertificateRoot,
    Config,
    Identity,
    IdentityPattern,
    Issuer,
    Level,
    Policy,
    PublicKey,
    Ref,
    Signature,
    TimestampAuthority,
    TrustedRoot,
)


def bom(
    reference: Ref,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, such as model.cdx.json.",
            show_default="standard output",
        ),
    ] = None,
    spec_version: Annotated[
        Literal["1.6", "1.7"],
        typer.Option(metavar="VERSION", help="Of CycloneDX: 1.6 or 1.7."),
    ] = "1.6",
    config: Config = None,
    policy: Policy = None,
    identity: Identity = None,
    identity_pattern: IdentityPattern = None,
    issuer: Issuer = None,
    public_key: PublicKey = None,
    certificate_root: CertificateRoot = None,
    timestamp_authority: TimestampAuthority = None,
    trusted_root: TrustedRoot = None,
    signature: Signature = None,
    assurance: Level = None,
) -> None:
    """Check a model, and write its bill of materials: CycloneDX, as JSON.

    It has the signed files with their digests, who signed them and how that is known, and what the
    model card declares: licence, base models, datasets. Of a model that is denied there is none;
    the reasons are on standard error.

    Examples:

        oms-gate bom hf://ibm-granite/granite-4.1-3b -c gate.yaml --output granite.cdx.json

        oms-gate bom s3://models/llama/ --public-key signer.pub --assurance declared

        SOURCE_DATE_EPOCH=1767225600 oms-gate bom ./model -c gate.yaml --spec-version 1.7
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.bom import run

    signer = SignerOptions(
        identity=identity,
        identity_pattern=identity_pattern,
        issuer=issuer,
        public_key=public_key,
        certificate_root=certificate_root,
        timestamp_authority=timestamp_authority,
        trusted_root=trusted_root,
    )
    raise typer.Exit(
        run(
            reference,
            Admission(config, signer, policy, signature),
            assurance=assurance,
            spec_version=spec_version,
            output=output,
        )
    )
