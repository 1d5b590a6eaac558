"""``oms-gate sign``: sign a model where it lies, by one method."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.markup import escape

from oms_gate.cli.output import after
from oms_gate.cli.pull import check_output
from oms_gate.cli.render import new_console, print_beside, progress_bar
from oms_gate.cli.signers import check_apart, signer_of
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import UsageError
from oms_gate.oms.digests import HashType
from oms_gate.reference import Reference
from oms_gate.signing.model import SignedModel, Signing, sign_model
from oms_gate.signing.opening import SigningIdentity
from oms_gate.sizes import human_bytes
from oms_gate.stores.local_names import portable
from oms_gate.verdict import printable


def run(
    reference: str,
    options: SigningIdentity,
    *,
    config: Path | None,
    signature: str | None,
    output: Path | None,
    ignore_paths: Sequence[str],
    hash_type: HashType,
    shards: str | None,
    message: str | None,
    pull_request: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Sign, and say what was signed; the exit status.

    config: for stores, limits and the signature's name.
    shards: their size as people write it, such as 64MiB; None for whole files.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: a file that they name cannot be used.
        SigningError: a token or a service failed.
        StepError: the store failed, or the model cannot be signed as it is.
    """
    check_output(json=json, quiet=quiet)
    model = Reference.parse(reference)
    signing = signing_of(
        model,
        config=config,
        signature=signature,
        output=output,
        ignore_paths=ignore_paths,
        message=message,
        pull_request=pull_request,
    )
    signing = replace(signing, hash_type=hash_type, shard_size=_shard_size(shards))
    check_apart(options, model, output)
    with (
        signer_of(options) as signer,
        nullcontext() if json or quiet else progress_bar(model.url) as on_progress,
    ):
        signed = sign_model(model, signer, signing, on_progress=on_progress)
    with after(f"the signature is written to {signed.url}"):
        if json:
            typer.echo(json_module.dumps(as_json(signed, options), indent=2))
        elif not quiet:
            print_signed(signed, options)
    return 0


def signing_of(
    model: Reference,
    *,
    config: Path | None,
    signature: str | None,
    output: Path | None,
    ignore_paths: Sequence[str],
    message: str | None,
    pull_request: bool,
) -> Signing:
    """What is to be signed, and where the signature goes, as the options say it.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: the configuration cannot be used.
    """
    settings = load_config(config) if config is not None else GateConfig()
    return Signing(
        signature=settings.signature if signature is None else portable(signature),
        named=signature is not None,
        output=output,
        ignore_paths=[portable(path) for path in ignore_paths],
        message=_message(message, model, output),
        pull_request=pull_request,
        stores=settings.stores,
        limits=settings.limits,
    )


def _message(text: str | None, model: Reference, output: Path | None) -> str:
    if text is None:
        return Signing.message
    if model.scheme != "hf" or output is not None:
        raise UsageError("--message is for a commit to the Hub, and none is made; leave it out")
    if not text.strip():
        raise UsageError("--message is empty; say what the commit does, or leave it out")
    return text


def _shard_size(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise UsageError(
            f"{text!r} is no size of shards; give bytes, or a size such as 64MiB"
        ) from None


def as_json(signed: SignedModel, options: SigningIdentity) -> dict[str, object]:
    """What was signed, and by whom, as JSON."""
    manifest = signed.manifest
    return {
        "model": signed.model.url,
        "signature": signed.url,
        "pull_request": signed.pull_request,
        "method": signed.signer.method,
        "identity": signed.signer.identity,
        "issuer": signed.signer.issuer,
        "root_digest": manifest.root_digest,
        "serialization": manifest.serialization,
        "shard_size": manifest.shard_size,
        "hash_type": manifest.hash_type,
        "ignore_paths": list(manifest.ignore_paths),
        "files": len(manifest.files),
        "bytes": signed.bytes,
        "timestamp_url": options.timestamp_url,
    }


def print_signed(signed: SignedModel, options: SigningIdentity) -> None:
    """What was signed, and by whom, for people."""
    console = new_console()
    console.print(f"[bold green]✓[/] [bold green]signed[/]  {escape(printable(signed.model.url))}")
    facts = [
        ("as", signed.signer.identity),
        ("files", f"{len(signed.manifest.files)} ({human_bytes(signed.bytes)})"),
        ("digest", f"sha256:{signed.manifest.root_digest}"),
        ("signature", signed.url),
    ]
    if options.timestamp_url is not None:
        facts.append(("timestamp", f"by {options.timestamp_url}"))
    if signed.pull_request is not None:
        facts.append(("proposed", signed.pull_request))
    for name, value in facts:
        print_beside(console, f"  [dim]{name:<9}[/]", escape(printable(value)))
