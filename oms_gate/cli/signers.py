"""Who signs, as the options of a command say it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from oms_gate.errors import UsageError
from oms_gate.reference import Reference
from oms_gate.settings import is_token_uri
from oms_gate.signing.model import BESIDE, ModelSigner
from oms_gate.signing.opening import IN_TOKEN, SigningIdentity, open_signer

if TYPE_CHECKING:
    from oms_gate.signing.sigstore import SigstoreInstance


def check_apart(options: SigningIdentity, model: Reference, output: Path | None) -> None:
    """What signs must not give way to the signature.

    Nor may a key lie in the model's folder: it would be published as a part of the model.

    output: a local file for the signature, or None.

    Raises:
        UsageError: it would, or it does.
    """
    root = Path(model.location).resolve() if model.is_local else None
    secrets = [path for path in (options.passphrase_file,) if path is not None]
    if options.key is not None and not is_token_uri(options.key):
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


@contextmanager
def signer_of(options: SigningIdentity) -> Iterator[ModelSigner]:
    """What signs, as long as the context lasts.

    Raises:
        UsageError: the options cannot be meant together, or give nobody's identity.
        ConfigError: a file that they name cannot be used.
        SigningError: a token or a service failed.
    """
    _check_together(options)
    ask = ask_passphrase if sys.stdin.isatty() else None
    with open_signer(options, lambda instance: _token(options, instance), ask) as signer:
        yield signer


def _check_together(options: SigningIdentity) -> None:
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
    if "pin-value" in options.key and not is_token_uri(options.key):
        raise UsageError("the URI of a key in a token begins with pkcs11: (it is not shown here)")
    if options.passphrase_file is not None and is_token_uri(options.key):
        raise UsageError("a token has a PIN and no passphrase; give it by pin-source in the URI")
    if options.certificate == IN_TOKEN and not is_token_uri(options.key):
        raise UsageError("--certificate token is for a key in a token; name the certificate's file")


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


def _token(options: SigningIdentity, instance: SigstoreInstance) -> Callable[[], str]:
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
