"""Who signs, whatever says so: options of a command, or the configuration of the gate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oms_gate.errors import ConfigError
from oms_gate.operator_files import read_file, read_secret
from oms_gate.settings import is_token_uri
from oms_gate.signing.keys import (
    PASSPHRASE_VARIABLE,
    PassphraseMissing,
    load_certificates,
    load_private_key,
)
from oms_gate.signing.model import ModelSigner
from oms_gate.signing.timestamps import timestamper

if TYPE_CHECKING:
    from cryptography import x509

    from oms_gate.oms.dsse import SigningKey
    from oms_gate.signing.sigstore import SigstoreInstance

IN_TOKEN = "token"  # noqa: S105 - a place, not a secret
"""In place of a certificate's path: the one that the token holds for the key."""


@dataclass(frozen=True)
class SigningIdentity:
    """Who signs: by one method.

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


TokenSource = Callable[["SigstoreInstance"], Callable[[], str]]
"""Says where an identity token for an instance comes from, once it is needed."""


@contextmanager
def open_signer(
    identity: SigningIdentity,
    token: TokenSource,
    ask: Callable[[str], bytes] | None = None,
) -> Iterator[ModelSigner]:
    """What signs, as long as the context lasts.

    ask: asks for a passphrase that is missing; None where there is nobody to ask.

    Raises:
        UsageError: it is nobody's identity.
        ConfigError: a file that is named cannot be used.
        SigningError: a token or a service failed.
    """
    if identity.sigstore is not None:
        instance = _instance(identity)
        yield ModelSigner.by_sigstore(instance, token(instance))
        return
    url = identity.timestamp_url
    stamped = timestamper(url) if url is not None else None
    with _key(identity, ask) as (key, held):
        chain = _chain(identity, held)
        yield (
            ModelSigner.by_certificate(key, chain, stamped)
            if chain
            else ModelSigner.by_key(key, stamped)
        )


@contextmanager
def _key(
    identity: SigningIdentity, ask: Callable[[str], bytes] | None
) -> Iterator[tuple[SigningKey, x509.Certificate | None]]:
    """The key, and the certificate that a token holds for it."""
    name = identity.key or ""
    if is_token_uri(name):
        from oms_gate.signing.pkcs11 import open_token_key

        with open_token_key(name) as token_key:
            yield token_key, token_key.certificate
        return
    passphrase = passphrase_from(identity.passphrase_file)
    try:
        yield load_private_key(Path(name), passphrase), None
    except PassphraseMissing:
        if ask is None:
            raise
        yield load_private_key(Path(name), ask(f"Passphrase of {name}: ")), None


def _chain(identity: SigningIdentity, held: x509.Certificate | None) -> list[x509.Certificate]:
    if identity.certificate is None:
        return []
    others = load_certificates(identity.certificate_chain)
    if identity.certificate != IN_TOKEN:
        return [*load_certificates([Path(identity.certificate)]), *others]
    if held is None:
        raise ConfigError("the token holds no certificate of the key; give --certificate FILE")
    return [held, *others]


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


def _instance(identity: SigningIdentity) -> SigstoreInstance:
    from oms_gate.signing.sigstore import SigstoreInstance

    if identity.trusted_root is not None and identity.signing_config is not None:
        return SigstoreInstance.from_files(
            read_file(identity.trusted_root, "the trusted root"),
            read_file(identity.signing_config, "the signing configuration"),
        )
    if identity.sigstore == "staging":
        return SigstoreInstance.staging()
    return SigstoreInstance.public_good()
