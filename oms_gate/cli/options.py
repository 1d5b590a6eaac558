"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
Level = Annotated[
    Literal["bytes", "declared", "signature"] | None,
    typer.Option(
        "--assurance",
        metavar="LEVEL",
        help="How far to check: bytes, declared or signature; see the guide on verdicts.",
        show_default=False,
    ),
]

# Whose signature counts already.
ReviewConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="A gate.yaml, for its stores, its limits and its signature's name; and, if it has "
        "publishers or a policy, for whose signature counts.",
        show_default=False,
    ),
]

# Who signs, and what.
Key = Annotated[
    str | None,
    typer.Option(help="The private key, PEM; or pkcs11:... (RFC 7512) for one in a token."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the key's passphrase; or set OMS_GATE_KEY_PASSPHRASE."),
]
Certificate = Annotated[
    str | None,
    typer.Option(help="The key's certificate, PEM; or 'token' for the one in the key's token."),
]
CertificateChain = Annotated[
    list[Path] | None,
    typer.Option(help="Certificates that follow it, towards the root, PEM. May be repeated."),
]
TimestampUrl = Annotated[
    str | None,
    typer.Option(help="RFC 3161 authority that proves when a key or certificate signed."),
]
Sigstore = Annotated[
    Literal["public", "staging", "private"] | None,
    typer.Option(
        metavar="INSTANCE",
        help="Sign in one's own name instead, through Sigstore: public, staging or private.",
    ),
]
IdentityToken = Annotated[
    str | None,
    typer.Option(
        help="OIDC token that says who signs; or set SIGSTORE_ID_TOKEN. On GitHub Actions, "
        "GitLab, Google Cloud and others the job's own; at a terminal, log in.",
        show_default=False,
    ),
]
SigningConfig = Annotated[
    Path | None, typer.Option(help="signing_config.json of a private Sigstore.")
]
IgnorePath = Annotated[
    list[str] | None,
    typer.Option(help="Path in the model to leave out, with all below it. May be repeated."),
]
HashName = Annotated[
    Literal["sha256", "blake2b", "blake3"],
    typer.Option(
        "--hash",
        metavar="NAME",
        help="Hash function of the files' digests: sha256, blake2b or blake3.",
    ),
]
Shards = Annotated[
    str | None,
    typer.Option(help="Sign parts of this size, such as 1GiB, in place of whole files."),
]

# Where a new signature goes.
SignatureName = Annotated[
    str | None,
    typer.Option(
        help="The signature's name in the model's folder; that of a single file x is x.sig.",
        show_default="model.sig",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(help="Write the signature to this local file, not beside the model."),
]
Message = Annotated[
    str | None,
    typer.Option(help="Hub: the commit's message.", show_default="Sign the model"),
]
PullRequest = Annotated[
    bool, typer.Option("--pull-request", help="Hub: propose the signature in a pull request.")
]
StoresConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="A gate.yaml, for its stores, its limits and its signature's name.",
        show_default=False,
    ),
]
