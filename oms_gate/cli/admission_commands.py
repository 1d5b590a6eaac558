"""The commands of who uses models, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import (
    CertificateRoot,
    Config,
    Identity,
    IdentityPattern,
    Issuer,
    Json,
    Level,
    Policy,
    PublicKey,
    Quiet,
    Ref,
    Signature,
    TimestampAuthority,
    TrustedRoot,
)


def verify(
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
    assurance: Level = None,
    report_all: Annotated[
        bool, typer.Option("--report-all", help="Go on after a denial and report everything.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="RECORDED",
            help="Append what the policy was asked and answered to this file (x.jsonl), or to "
            "decisions.jsonl in this folder; see policy test --against.",
            show_default=False,
        ),
    ] = None,
    vsa: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the gate's signed summary of an admission to this new file (x.json), in "
            "place of where evidence.summaries says; see the guide on verification summaries.",
            show_default=False,
        ),
    ] = None,
    accept_vsa: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Where the summaries of the gates in evidence.accept_summaries are: a file "
            "(x.json), a folder, or the URL of either. One that holds spares hashing the bytes.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a model where it lies: signature, signer, policy and every signed byte.

    Examples:

        oms-gate verify hf://ibm-granite/granite-4.1-3b --config gate.yaml

        oms-gate verify s3://models/llama/ --public-key signer.pub --json

        oms-gate verify ./model --identity you@example.com --issuer https://accounts.example.com

        oms-gate verify hf://org/name --config gate.yaml --accept-vsa s3://evidence/summaries/
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.verify import run

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
            report_all=report_all,
            record=record,
            vsa=vsa,
            accept_vsa=accept_vsa,
            json=json,
            quiet=quiet,
        )
    )


def pull(
    reference: Ref,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="The folder to be: new, empty, or one that was pulled before.",
            show_default=False,
        ),
    ],
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only files whose path matches, such as '*.safetensors'. May be repeated.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="No files whose path matches. May be repeated."),
    ] = None,
    hub_cache: Annotated[
        bool,
        typer.Option(
            "--hub-cache",
            help="Lay DIR out as the cache of the Hub's client, so that HF_HUB_CACHE=DIR and "
            "HF_HUB_OFFLINE=1 let any library find the model by its name.",
        ),
    ] = False,
    ref: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --hub-cache: the branch or tag to find it by, if not that of REF or main.",
            show_default=False,
        ),
    ] = None,
    pinned_signature: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256",
            help="The signature file's digest, where signer and policy were decided on before: "
            "no other signature will do, and neither is asked again.",
            show_default=False,
        ),
    ] = None,
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
    """Check a model and put its signed files into a folder, in one pass.

    The folder is there when all of it is checked, and not before. What was interrupted goes on
    where it was; what is there already is not transferred again.

    Examples:

        oms-gate pull hf://ibm-granite/granite-4.1-3b ./granite --config gate.yaml

        oms-gate pull s3://models/llama/ /models/llama --public-key signer.pub

        oms-gate pull hf://org/name ./name -c gate.yaml --include '*.safetensors' --include '*.json'

        oms-gate pull hf://org/name /models/hub --hub-cache -c gate.yaml

        oms-gate pull hf://org/name@COMMIT ./name --pinned-signature SHA256
    """
    from oms_gate.cli.admission import Admission, SignerOptions
    from oms_gate.cli.pull import run

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
            folder,
            Admission(config, signer, policy, signature),
            include=include or (),
            exclude=exclude or (),
            pinned_signature=pinned_signature,
            hub_cache=hub_cache,
            ref=ref,
            json=json,
            quiet=quiet,
        )
    )


def storage_initializer(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC DEST",
            help="Models and the folders for them, by turns; a model of the Hub is "
            "hf://owner/name[:revision], as KServe has it.",
            show_default=False,
        ),
    ],
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pull models as KServe asks its storage initializer for them.

    The first model that is denied ends it.

    Examples:

        oms-gate storage-initializer hf://org/name:v1.0 /mnt/models --config gate.yaml

        oms-gate storage-initializer s3://models/a /mnt/a hf://org/b /mnt/b --config gate.yaml
    """
    from oms_gate.cli.storage_initializer import run

    raise typer.Exit(run(arguments, config, json=json, quiet=quiet))


def inspect(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE", help="A signature file: a path or a URL.", show_default=False
        ),
    ],
    json: Json = False,
) -> None:
    """Print who a bundle says signed what. Nothing of it is verified.

    Example:

        oms-gate inspect hf://ibm-granite/granite-4.1-3b/model.sig
    """
    from oms_gate.cli.inspect import run

    raise typer.Exit(run(bundle, json=json))


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
