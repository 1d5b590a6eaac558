"""The commands of who publishes models, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oms_gate.cli.options import Json, Quiet, Ref, TrustedRoot


def sign(
    reference: Ref,
    key: Annotated[
        str | None,
        typer.Option(help="The private key, PEM; or pkcs11:... (RFC 7512) for one in a token."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="File with the key's passphrase; or set OMS_GATE_KEY_PASSPHRASE."),
    ] = None,
    certificate: Annotated[
        str | None,
        typer.Option(help="The key's certificate, PEM; or 'token' for the one in the key's token."),
    ] = None,
    certificate_chain: Annotated[
        list[Path] | None,
        typer.Option(help="Certificates that follow it, towards the root, PEM. May be repeated."),
    ] = None,
    timestamp_url: Annotated[
        str | None,
        typer.Option(help="RFC 3161 authority that proves when a key or certificate signed."),
    ] = None,
    sigstore: Annotated[
        Literal["public", "staging", "private"] | None,
        typer.Option(
            metavar="INSTANCE",
            help="Sign in one's own name instead, through Sigstore: public, staging or private.",
        ),
    ] = None,
    identity_token: Annotated[
        str | None,
        typer.Option(
            help="OIDC token that says who signs; or set SIGSTORE_ID_TOKEN. On GitHub Actions, "
            "GitLab, Google Cloud and others the job's own; at a terminal, log in.",
            show_default=False,
        ),
    ] = None,
    trusted_root: TrustedRoot = None,
    signing_config: Annotated[
        Path | None, typer.Option(help="signing_config.json of a private Sigstore.")
    ] = None,
    ignore_path: Annotated[
        list[str] | None,
        typer.Option(help="Path in the model to leave out, with all below it. May be repeated."),
    ] = None,
    hash_type: Annotated[
        Literal["sha256", "blake2b", "blake3"],
        typer.Option(
            "--hash",
            metavar="NAME",
            help="Hash function of the files' digests: sha256, blake2b or blake3.",
        ),
    ] = "sha256",
    shards: Annotated[
        str | None,
        typer.Option(help="Sign parts of this size, such as 1GiB, in place of whole files."),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            help="The signature's name in the model's folder; that of a single file x is x.sig.",
            show_default="model.sig",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the signature to this local file, not beside the model."),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(help="Hub: the commit's message.", show_default="Sign the model"),
    ] = None,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Hub: propose the signature in a pull request.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="OMS_GATE_CONFIG",
            help="A gate.yaml, for its stores, its limits and its signature's name.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sign a model where it lies, and put the signature beside it.

    A remote model is hashed by streaming and never downloaded. Exit status: 0 signed, 1 the model
    cannot be signed as it is, 2 usage or configuration, 3 a store, service or identity failed.

    Examples:

        oms-gate sign ./model --key release.key

        oms-gate sign s3://models/llama/ --key release.key --certificate release.pem

        oms-gate sign hf://org/name --sigstore public --pull-request

        oms-gate sign ./model --key 'pkcs11:token=release?module-path=/usr/lib/libsofthsm2.so'
    """
    from oms_gate.cli.sign import SignerOptions, run

    signer = SignerOptions(
        key=key,
        passphrase_file=passphrase_file,
        certificate=certificate,
        certificate_chain=tuple(certificate_chain or ()),
        timestamp_url=timestamp_url,
        sigstore=sigstore,
        identity_token=identity_token,
        trusted_root=trusted_root,
        signing_config=signing_config,
    )
    raise typer.Exit(
        run(
            reference,
            signer,
            config=config,
            signature=signature,
            output=output,
            ignore_paths=ignore_path or (),
            hash_type=hash_type,
            shards=shards,
            message=message,
            pull_request=pull_request,
            json=json,
            quiet=quiet,
        )
    )


def keygen(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Writes NAME.key and NAME.pub.")
    ] = "oms-gate",
    curve: Annotated[
        Literal["P-256", "P-384", "P-521"], typer.Option(help="The elliptic curve.")
    ] = "P-256",
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="File with the passphrase; or set OMS_GATE_KEY_PASSPHRASE."),
    ] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Do not encrypt the private key.")
    ] = False,
) -> None:
    """Make a key pair to sign models with.

    Examples:

        oms-gate keygen release

        oms-gate keygen ci --no-passphrase
    """
    from oms_gate.cli.keygen import run

    raise typer.Exit(run(name, curve, passphrase_file=passphrase_file, no_passphrase=no_passphrase))
