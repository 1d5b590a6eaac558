"""The commands and their options. What a command does is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
config_app = typer.Typer(
    help="Check a gate.yaml, or print what an OPA server needs of it.", no_args_is_help=True
)
app.add_typer(config_app, name="config")

_REFERENCE = typer.Argument(
    metavar="REF",
    help="hf://org/name[@revision][/folder], s3://bucket/prefix, a folder, a file, "
    "or any fsspec URL.",
    show_default=False,
)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; see the exit status.")]
_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OMS_GATE_CONFIG",
        help="The gate.yaml with trust roots and publishers. None is looked for by itself.",
        show_default=False,
    ),
]


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


@app.command()
def verify(
    reference: Annotated[str, _REFERENCE],
    config: _Config = None,
    policy: Annotated[
        str | None,
        typer.Option(help="A folder of .rego files, a bundle.tar.gz, or the URL of an OPA server."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(help="Who must have signed: an email, URI or subject, exactly.")
    ] = None,
    identity_pattern: Annotated[
        str | None,
        typer.Option(help="Instead: a regular expression that the whole identity matches."),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Sigstore: the OIDC issuer that vouched for --identity.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="The public key of the signer, PEM.")
    ] = None,
    certificate_root: Annotated[
        Path | None,
        typer.Option(help="The root that certifies the signer, PEM. Alone: anyone it certifies."),
    ] = None,
    timestamp_authority: Annotated[
        Path | None,
        typer.Option(
            help="Root of an RFC 3161 authority, PEM: its timestamp may prove that a certificate "
            "signed before it expired."
        ),
    ] = None,
    trusted_root: Annotated[
        Path | None, typer.Option(help="trusted_root.json of a private Sigstore.")
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            help="The bundle's name in the model's folder; or its URL, or a path that begins "
            "with / or ./, elsewhere."
        ),
    ] = None,
    assurance: Annotated[
        Literal["bytes", "declared", "signature"] | None,
        typer.Option(
            metavar="LEVEL",
            help="How far to check: bytes, declared or signature; see the guide on verdicts.",
            show_default=False,
        ),
    ] = None,
    report_all: Annotated[
        bool, typer.Option("--report-all", help="Go on after a denial and report everything.")
    ] = False,
    json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Check a model where it lies: signature, signer, policy and every signed byte.

    Examples:

        oms-gate verify hf://ibm-granite/granite-4.1-3b --config gate.yaml

        oms-gate verify s3://models/llama/ --public-key signer.pub --json

        oms-gate verify ./model --identity you@example.com --issuer https://accounts.example.com
    """
    from oms_gate.cli.verify import SignerOptions, run

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
            config=config,
            signer=signer,
            policy=policy,
            signature=signature,
            assurance=assurance,
            report_all=report_all,
            json=json,
            quiet=quiet,
        )
    )


@app.command()
def sign(
    reference: Annotated[str, _REFERENCE],
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
    trusted_root: Annotated[
        Path | None, typer.Option(help="trusted_root.json of a private Sigstore.")
    ] = None,
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
    json: _Json = False,
    quiet: _Quiet = False,
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


@app.command()
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


@app.command()
def inspect(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE", help="A signature file: a path or a URL.", show_default=False
        ),
    ],
    json: _Json = False,
) -> None:
    """Print who a bundle says signed what. Nothing of it is verified.

    Example:

        oms-gate inspect hf://ibm-granite/granite-4.1-3b/model.sig
    """
    from oms_gate.cli.inspect import run

    raise typer.Exit(run(bundle, json=json))


@app.command()
def demo(
    keep: Annotated[
        Path | None,
        typer.Option(help="Make the models in this new folder, and leave them there."),
    ] = None,
) -> None:
    """Sign a small model, then try to get five bad ones past the gate.

    It needs no server and no network, and leaves nothing behind.
    """
    from oms_gate.cli.demo import run

    raise typer.Exit(run(keep))


@config_app.command("check")
def config_check(
    path: Annotated[Path, typer.Argument(metavar="GATE_YAML", show_default=False)],
) -> None:
    """Check a configuration with all that it names: keys, roots, policy.

    Example:

        oms-gate config check gate.yaml
    """
    from oms_gate.cli.config import check

    raise typer.Exit(check(path))


@config_app.command("data")
def config_data(
    path: Annotated[Path, typer.Argument(metavar="GATE_YAML", show_default=False)],
) -> None:
    """Print the publishers as the data document of an OPA server.

    Example:

        oms-gate config data gate.yaml > data.json
    """
    from oms_gate.cli.config import data

    raise typer.Exit(data(path))


@config_app.command("policy")
def config_policy() -> None:
    """Print the policy that comes with the gate, to start one's own from or load into a server.

    Example:

        oms-gate config policy > admission.rego
    """
    from oms_gate.cli.config import policy

    raise typer.Exit(policy())
