"""The commands of who publishes models, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oms_gate.cli.options import (
    Certificate,
    CertificateChain,
    CertificateRoot,
    HashName,
    Identity,
    IdentityPattern,
    IdentityToken,
    IgnorePath,
    Issuer,
    Json,
    Key,
    Message,
    Output,
    PassphraseFile,
    Policy,
    PublicKey,
    PullRequest,
    Quiet,
    Ref,
    ReviewConfig,
    Shards,
    Signature,
    SignatureName,
    SigningConfig,
    Sigstore,
    StoresConfig,
    TimestampAuthority,
    TimestampUrl,
    TrustedRoot,
)


def sign(
    reference: Ref,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    certificate: Certificate = None,
    certificate_chain: CertificateChain = None,
    timestamp_url: TimestampUrl = None,
    sigstore: Sigstore = None,
    identity_token: IdentityToken = None,
    trusted_root: TrustedRoot = None,
    signing_config: SigningConfig = None,
    ignore_path: IgnorePath = None,
    hash_type: HashName = "sha256",
    shards: Shards = None,
    signature: SignatureName = None,
    output: Output = None,
    message: Message = None,
    pull_request: PullRequest = False,
    config: StoresConfig = None,
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
    from oms_gate.cli.sign import run
    from oms_gate.signing.opening import SigningIdentity

    signer = SigningIdentity(
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


def diff(
    reference: Ref,
    config: ReviewConfig = None,
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
    """Print what changed in a model since it was signed.

    The signature is verified if the options or --config say by whom it must be; a certificate may
    have expired since. If it is by nobody of them, all files are shown as new. Digests that the
    store declares are believed, so large files on the Hub are not read. Exit status: 0 nothing
    changed, 1 something did, 2 usage or no signature, 3 a store failed.

    Examples:

        oms-gate diff ./model --public-key release.pub

        oms-gate diff hf://org/name@branch --config gate.yaml --json
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.diff import run

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
    raise typer.Exit(run(reference, admission, json=json, quiet=quiet))


def resign(
    reference: Ref,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    certificate: Certificate = None,
    certificate_chain: CertificateChain = None,
    timestamp_url: TimestampUrl = None,
    sigstore: Sigstore = None,
    identity_token: IdentityToken = None,
    trusted_root: TrustedRoot = None,
    signing_config: SigningConfig = None,
    ignore_path: IgnorePath = None,
    signature: SignatureName = None,
    output: Output = None,
    message: Message = None,
    pull_request: PullRequest = False,
    config: ReviewConfig = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Sign without asking, whatever changed since you signed it."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what changed in a model since it was signed, and sign it again if that is confirmed.

    Every byte is read; what is signed is what was shown. Hash, shards and what is left out stay as
    they are in the signature. It counts if it is by whom the publishers of --config name or,
    without them, by the same signer: the same key, or the same identity under the last certificate
    given or of the Sigstore instance, where the two are compared before anything is written. A
    certificate may have expired. If the signature does not count, all files are shown as new, and
    --yes is refused. Exit status: as of sign; 1 also if it is not confirmed.

    Examples:

        oms-gate resign ./model --key release.key

        oms-gate resign hf://org/name --sigstore public --pull-request

        oms-gate resign s3://models/llama/ --key release.key --yes --json
    """
    from oms_gate.cli.resign import run
    from oms_gate.signing.opening import SigningIdentity

    signer = SigningIdentity(
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
            message=message,
            pull_request=pull_request,
            yes=yes,
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
