"""The command that writes a verdict to where a model is, and its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from oms_gate.cli.options import (
    CertificateRoot,
    Config,
    Identity,
    IdentityPattern,
    Issuer,
    Json,
    Policy,
    PublicKey,
    Quiet,
    Ref,
    Signature,
    TimestampAuthority,
    TrustedRoot,
)


def annotate(
    reference: Ref,
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
    assurance: Annotated[
        Literal["bytes", "declared"],
        typer.Option(
            metavar="LEVEL",
            help="How far to check, at least. With declared, objects are tagged admitted whose "
            "bytes nobody has read.",
        ),
    ] = "bytes",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a model in S3, and tag its objects with the verdict.

    Each object gets the tag oms-gate=admitted or denied, at the version that was checked; other
    tags stay. A bucket policy can then refuse to give out anything else.

    Examples:

        oms-gate annotate s3://models/acme/llama --config gate.yaml

        oms-gate annotate s3://models/acme/llama --public-key signer.pub --json
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.annotate import run

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
            json=json,
            quiet=quiet,
        )
    )
