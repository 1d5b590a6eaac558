"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="hf://org/name[@revision][/folder], s3://bucket/prefix, a folder, a file, "
        "or any fsspec URL.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; see the exit status.")]

# Which models are admitted.
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="The gate.yaml with trust roots and publishers. None is looked for by itself.",
        show_default=False,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(help="A folder of .rego files, a bundle.tar.gz, or the URL of an OPA server."),
]
Identity = Annotated[
    str | None, typer.Option(help="Who must have signed: an email, URI or subject, exactly.")
]
IdentityPattern = Annotated[
    str | None,
    typer.Option(help="Instead: a regular expression that the whole identity matches."),
]
Issuer = Annotated[
    str | None, typer.Option(help="Sigstore: the OIDC issuer that vouched for --identity.")
]
PublicKey = Annotated[Path | None, typer.Option(help="The public key of the signer, PEM.")]
CertificateRoot = Annotated[
    Path | None,
    typer.Option(help="The root that certifies the signer, PEM. Alone: anyone it certifies."),
]
TimestampAuthority = Annotated[
    Path | None,
    typer.Option(
        help="Root of an RFC 3161 authority, PEM: its timestamp may prove that a certificate "
        "signed before it expired."
    ),
]
TrustedRoot = Annotated[Path | None, typer.Option(help="trusted_root.json of a private Sigstore.")]
Signature = Annotated[
    str | None,
    typer.Option(
        help="The bundle's name in the model's folder; or its URL, or a path that begins "
        "with / or ./, elsewhere."
    ),
]
