"""The commands that let models out to registries, and their options."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from oms_gate.cli.options import (
    Certificate,
    CertificateChain,
    CertificateRoot,
    Config,
    Identity,
    IdentityPattern,
    IdentityToken,
    Issuer,
    Json,
    Key,
    PassphraseFile,
    Policy,
    PublicKey,
    Quiet,
    Signature,
    SigningConfig,
    Sigstore,
    TimestampAuthority,
    TimestampUrl,
    TrustedRoot,
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The model's folder.", show_default=False)
]
To = Annotated[
    str,
    typer.Option(
        help="Where it is to be published: hf://org/name[@branch] or s3://bucket/prefix.",
        show_default=False,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(help="Pattern of files to send. May be repeated.", show_default="all"),
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Pattern of files not to send. May be repeated.")
]
Delete = Annotated[
    list[str] | None,
    typer.Option(
        help="Pattern of files that are there, are not in DIR and are to go. May be repeated."
    ),
]
Sign = Annotated[
    bool, typer.Option("--sign", help="Sign first what will be there: whole files, by SHA-256.")
]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code-scanning pages.")]


def pre_publish(
    folder: Folder,
    to: To,
    include: Include = None,
    exclude: Exclude = None,
    delete: Delete = None,
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
    sign: Sign = False,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    certificate: Certificate = None,
    certificate_chain: CertificateChain = None,
    timestamp_url: TimestampUrl = None,
    sigstore: Sigstore = None,
    identity_token: IdentityToken = None,
    signing_config: SigningConfig = None,
    json: Json = False,
    sarif: Sarif = False,
    quiet: Quiet = False,
) -> None:
    """Say whether a folder may be published as it is. Nothing is sent.

    Signed, by somebody whom policy lets publish there; the signature covers all that will be there;
    nothing stale, no secrets, no trust anchors, no formats that run code, no way back to an older
    release.

    Examples:

        oms-gate pre-publish ./model --to hf://org/name --config gate.yaml

        oms-gate pre-publish ./model --to s3://models/llama --sign --key release.key -c gate.yaml

        oms-gate pre-publish . --to hf://org/name -c gate.yaml --sarif > oms-gate.sarif
    """
    _run(locals(), publish=False)


def publish(
    folder: Folder,
    to: To,
    include: Include = None,
    exclude: Exclude = None,
    delete: Delete = None,
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
    sign: Sign = False,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    certificate: Certificate = None,
    certificate_chain: CertificateChain = None,
    timestamp_url: TimestampUrl = None,
    sigstore: Sigstore = None,
    identity_token: IdentityToken = None,
    signing_config: SigningConfig = None,
    message: Annotated[
        str | None,
        typer.Option(help="Hub: the commit's message.", show_default="Publish the model ..."),
    ] = None,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Hub: propose it in a pull request.")
    ] = False,
    json: Json = False,
    sarif: Sarif = False,
    quiet: Quiet = False,
) -> None:
    """Publish a folder if it may be (see pre-publish): model and signature at once, or nothing.

    On the Hub that is one commit; on S3 a release of its own, which readers see when all of it is
    there. Whoever else publishes meanwhile wins or loses as a whole.

    Examples:

        oms-gate publish ./model --to hf://org/name --sign --sigstore public -c gate.yaml

        oms-gate publish ./model --to s3://models/llama --sign --key release.key -c gate.yaml

        oms-gate publish . --to hf://org/name -c gate.yaml --exclude 'checkpoint-*' --delete '*.bin'
    """
    _run(locals(), publish=True)


def promote(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The model: a reference as of verify.", show_default=False
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="Where it is to be published: hf://org/name[@branch] or s3://bucket/prefix.",
            show_default=False,
        ),
    ],
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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy an admitted model from one registry to another, with its signature, if it may be there.

    The signed files, the signature and attestations beside it; nothing that nobody signed. Exit
    status: 0 promoted, 1 denied, 2 usage or configuration, 3 could not.

    Examples:

        oms-gate promote hf://org/name s3://models/name --config gate.yaml

        oms-gate promote s3://staging/name s3://production/name --public-key release.pub
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.promote import run
    from oms_gate.cli.publish import Output

    signer = SignerOptions(
        identity=identity,
        identity_pattern=identity_pattern,
        issuer=issuer,
        public_key=public_key,
        certificate_root=certificate_root,
        timestamp_authority=timestamp_authority,
        trusted_root=trusted_root,
    )
    admission = Admission(config, signer, policy, signature)
    raise typer.Exit(run(source, target, admission, output=Output(json=json, quiet=quiet)))


def _run(options: dict[str, Any], *, publish: bool) -> None:
    """Do either, with the values of its options by their names."""
    from oms_gate.cli import admission
    from oms_gate.cli.publish import Output, run
    from oms_gate.errors import UsageError
    from oms_gate.publish.release import Upload
    from oms_gate.signing.opening import SigningIdentity

    def of(kind: type) -> dict[str, Any]:
        names = {part.name for part in fields(kind)} & options.keys()
        return {name: options[name] for name in names}

    expected = of(admission.SignerOptions)
    signing = of(SigningIdentity)
    signing["certificate_chain"] = tuple(signing["certificate_chain"] or ())
    if options["sign"] and expected["identity"] is expected["identity_pattern"] is None:
        # It describes the instance to sign with.
        expected["trusted_root"] = None
    if not options["sign"]:
        del signing["trusted_root"]
        if any(signing.values()):
            raise UsageError(
                "options to sign with are given, but not --sign; give both, or neither"
            )
    raise typer.Exit(
        run(
            Upload(
                options["folder"],
                include=options["include"] or (),
                exclude=options["exclude"] or (),
                delete=options["delete"] or (),
            ),
            options["to"],
            admission.Admission(
                options["config"],
                admission.SignerOptions(**expected),
                options["policy"],
                options["signature"],
            ),
            SigningIdentity(**signing) if options["sign"] else None,
            publish=publish,
            message=options.get("message"),
            pull_request=options.get("pull_request", False),
            output=Output(options["json"], options["sarif"], options["quiet"]),
        )
    )
