"""``oms-gate sign``: sign a model where it lies, by one method."""

from __future__ import annotations

import json as json_module
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.markup import escape

from oms_gate.cli.output import after
from oms_gate.cli.render import human_bytes, new_console, print_beside, progress_bar
from oms_gate.config import GateConfig, load_config
from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms.digests import HashType
from oms_gate.operator_files import read_file, read_secret
from oms_gate.reference import Reference
from oms_gate.signing.keys import (
    PASSPHRASE_VARIABLE,
    PassphraseMissing,
    load_certificates,
    load_private_key,
)
from oms_gate.signing.model import BESIDE, ModelSigner, SignedModel, Signing, sign_model
from oms_gate.signing.timestamps import timestamper
from oms_gate.stores.local_names import portable
from oms_gate.verdict import printable

if TYPE_CHECKING:
    from cryptography import x509

    from oms_gate.oms.dsse import SigningKey
    from oms_gate.signing.sigstore import SigstoreInstance

IN_TOKEN = "token"  # noqa: S105 - a place, not a secret
"""In place of a certificate's path: the one that the token holds for the key."""


@dataclass(frozen=True)
class SignerOptions:
    """Who signs, as the options say it: by one method.

    key: a file's path, or the URI of a key in a token.
    certificate: a file's path, or `IN_TOKEN`.
    sigstore: ``public``, ``staging`` or ``private``.
    """

    key: str | None = None
    passphrase_file: Path | None = None
    certificate: str | None = None
    certificate_chain: tuple[Path, ...] = ()
    timestamp_url: str | None = None
    sigstore: str | None = None
    identity_token: str | None = None
    trusted_root: Path | None = None
    signing_config: Path | None = None


def run(
    reference: str,
    options: SignerOptions,
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
    if json and quiet:
        raise UsageError("--json prints and --quiet does not; give one of them")
    if quiet:
        logging.getLogger("oms_gate").setLevel(logging.ERROR)
    model = Reference.parse(reference)
    settings = load_config(config) if config is not None else GateConfig()
    signing = Signing(
        signature=settings.signature if signature is None else portable(signature),
        named=signature is not None,
        output=output,
        ignore_paths=[portable(path) for path in ignore_paths],
        hash_type=hash_type,
        shard_size=_shard_size(shards),
        message=_message(message, model, output),
        pull_request=pull_request,
        stores=settings.stores,
        limits=settings.limits,
    )
    _check_apart(options, model, output)
    with _signer(options) as signer:
        if json or quiet:
            signed = sign_model(model, signer, signing)
        else:
            with progress_bar(model.url) as on_progress:
                signed = sign_model(model, signer, signing, on_progress=on_progress)
    with after(f"the signature is written to {signed.url}"):
        if json:
            stamped = {"timestamp_url": options.timestamp_url}
            typer.echo(json_module.dumps(_as_json(signed) | stamped, indent=2))
        elif not quiet:
            _print(signed, options.timestamp_url)
    return 0


def _message(text: str | None, model: Reference, output: Path | None) -> str:
    if text is None:
        return Signing.message
    if model.scheme != "hf" or output is not None:
        raise UsageError("--message is for a commit to the Hub, and none is made; leave it out")
    if not text.strip():
        raise UsageError("--message is empty; say what the commit does, or leave it out")
    return text


def _check_apart(options: SignerOptions, model: Reference, output: Path | None) -> None:
    """What signs must not give way to the signature.

    Nor may a key lie in the model's folder: it would be published as a part of the model.
    """
    root = Path(model.location).resolve() if model.is_local else None
    secrets = [path for path in (options.passphrase_file,) if path is not None]
    if options.key is not None and not _is_in_token(options.key):
        secrets.append(Path(options.key))
    certificates = list(options.certificate_chain)
    if options.certificate not in (None, IN_TOKEN):
        certificates.append(Path(options.certificate))
    place = output
    if output is None and root is not None and root.is_file():
        place = Path(model.with_suffix(BESIDE).location)
    for path in [*secrets, *certificates]:
        if place is not None and path.resolve() == place.resolve():
            raise UsageError(
                f"{path} is what is signed with, and the signature would take its place; name "
                "another file with --output"
            )
    for path in secrets:
        if root is not None and path.resolve().is_relative_to(root):
            raise UsageError(
                f"{path} lies in the model that is to be signed, and would be published with it; "
                "move it elsewhere"
            )


def _shard_size(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise UsageError(
            f"{text!r} is no size of shards; give bytes, or a size such as 64MiB"
        ) from None


@contextmanager
def _signer(options: SignerOptions) -> Iterator[ModelSigner]:
    _check_together(options)
    if options.sigstore is not None:
        instance = _instance(options)
        yield ModelSigner.by_sigstore(instance, _token(options, instance))
        return
    url = options.timestamp_url
    stamped = timestamper(url) if url is not None else None
    with _key(options) as (key, held):
        chain = _chain(options, held)
        yield (
            ModelSigner.by_certificate(key, chain, stamped)
            if chain
            else ModelSigner.by_key(key, stamped)
        )


@contextmanager
def _key(options: SignerOptions) -> Iterator[tuple[SigningKey, x509.Certificate | None]]:
    """The key, and the certificate that a token holds for it."""
    name = options.key or ""
    if _is_in_token(name):
        from oms_gate.signing.pkcs11 import open_token_key

        with open_token_key(name) as token_key:
            yield token_key, token_key.certificate
        return
    passphrase = passphrase_from(options.passphrase_file)
    try:
        yield load_private_key(Path(name), passphrase), None
    except PassphraseMissing:
        if not sys.stdin.isatty():
            raise
        yield load_private_key(Path(name), ask_passphrase(f"Passphrase of {name}: ")), None


def _chain(options: SignerOptions, held: x509.Certificate | None) -> list[x509.Certificate]:
    if options.certificate is None:
        return []
    others = load_certificates(options.certificate_chain)
    if options.certificate != IN_TOKEN:
        return [*load_certificates([Path(options.certificate)]), *others]
    if held is None:
        raise ConfigError("the token holds no certificate of the key; give --certificate FILE")
    return [held, *others]


def _check_together(options: SignerOptions) -> None:
    given = {name for name, value in vars(options).items() if value not in (None, ())}
    of_key = {"key", "passphrase_file", "certificate", "certificate_chain", "timestamp_url"}
    if options.sigstore is not None:
        if given & of_key:
            raise UsageError(
                "--sigstore signs with a key and a certificate of its own, and its services give "
                "timestamps; leave out --key and what belongs to it"
            )
        private = {"trusted_root", "signing_config"}
        if options.sigstore == "private" and not private <= given:
            raise UsageError(
                "a private Sigstore is described by --trusted-root and --signing-config; give both"
            )
        if options.sigstore != "private" and private & given:
            raise UsageError(
                "--trusted-root and --signing-config describe a private Sigstore; give --sigstore "
                "private with them"
            )
        return
    if options.key is None:
        raise UsageError(
            "nothing is given to sign with: --key FILE (oms-gate keygen makes one), --key with "
            "--certificate, --key pkcs11:..., or --sigstore public"
        )
    if not options.key.strip():
        raise UsageError("--key is empty; name the private key's file")
    if given - of_key:
        raise UsageError("an identity token and Sigstore's files go with --sigstore")
    if options.certificate_chain and options.certificate is None:
        raise UsageError("--certificate-chain follows the signer's own: give --certificate too")
    if "pin-value" in options.key and not _is_in_token(options.key):
        raise UsageError("the URI of a key in a token begins with pkcs11: (it is not shown here)")
    if options.passphrase_file is not None and _is_in_token(options.key):
        raise UsageError("a token has a PIN and no passphrase; give it by pin-source in the URI")
    if options.certificate == IN_TOKEN and not _is_in_token(options.key):
        raise UsageError("--certificate token is for a key in a token; name the certificate's file")


def _is_in_token(key: str) -> bool:
    return key[:7].lower() == "pkcs11:"


def passphrase_from(path: Path | None) -> bytes | None:
    """The passphrase in a file, else in the environment, if there is one.

    Raises:
        ConfigError: the file cannot be read, or is empty.
    """
    if path is None:
        return os.environb.get(PASSPHRASE_VARIABLE.encode()) or None
    passphrase = read_secret(path, "the passphrase file").removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise ConfigError(f"the passphrase file {path} is empty; put the passphrase into it")
    return passphrase


def ask_passphrase(prompt: str) -> bytes:
    """Ask whoever is at the terminal.

    Raises:
        UsageError: they end the input instead.
    """
    try:
        return getpass(prompt).encode()
    except BaseException as error:
        print(file=sys.stderr)  # noqa: T201 - ends the line of the prompt
        if isinstance(error, EOFError):
            raise UsageError("no passphrase was given; nothing was done") from None
        raise


def _instance(options: SignerOptions) -> SigstoreInstance:
    from oms_gate.signing.sigstore import SigstoreInstance

    if options.trusted_root is not None and options.signing_config is not None:
        return SigstoreInstance.from_files(
            read_file(options.trusted_root, "the trusted root"),
            read_file(options.signing_config, "the signing configuration"),
        )
    if options.sigstore == "staging":
        return SigstoreInstance.staging()
    return SigstoreInstance.public_good()


def _token(options: SignerOptions, instance: SigstoreInstance) -> Callable[[], str]:
    """Where a token comes from once the model has been hashed: tokens live for minutes."""
    from oms_gate.signing.identity_tokens import (
        TOKEN_VARIABLE,
        ambient_token,
        interactive_token,
        read_token,
    )

    token = options.identity_token
    if token is None:
        token = ambient_token()
    if token is not None:
        read_token(token)
        given = token
        return lambda: (options.identity_token is None and ambient_token()) or given
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no identity to sign with: give --identity-token or set "
            f"{TOKEN_VARIABLE}, run where the platform gives one, or at a terminal to log in"
        )
    return lambda: interactive_token(instance)


def _as_json(signed: SignedModel) -> dict[str, object]:
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
    }


def _print(signed: SignedModel, timestamp_url: str | None) -> None:
    console = new_console()
    console.print(f"[bold green]✓[/] [bold green]signed[/]  {escape(printable(signed.model.url))}")
    facts = [
        ("as", signed.signer.identity),
        ("files", f"{len(signed.manifest.files)} ({human_bytes(signed.bytes)})"),
        ("digest", f"sha256:{signed.manifest.root_digest}"),
        ("signature", signed.url),
    ]
    if timestamp_url is not None:
        facts.append(("timestamp", f"by {timestamp_url}"))
    if signed.pull_request is not None:
        facts.append(("proposed", signed.pull_request))
    for name, value in facts:
        print_beside(console, f"  [dim]{name:<9}[/]", escape(printable(value)))
