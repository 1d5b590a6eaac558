"""Signing keys and certificates in the signer's own files, and new key pairs.

A key file that other users can read is used, with a warning in the log: container platforms
mount secrets that way. One that every user can write is refused: whose key it is, nobody knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from oms_gate.durable import sync_folder
from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms import dsse
from oms_gate.oms import pem as pem_format
from oms_gate.operator_files import read_file, read_secret

CurveName = Literal["P-256", "P-384", "P-521"]

_CURVES: Final[dict[CurveName, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
PASSPHRASE_VARIABLE: Final = "OMS_GATE_KEY_PASSPHRASE"  # noqa: S105 - its name, not a passphrase
"""The environment variable for a private key's passphrase."""

_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|\nProc-Type: 4,ENCRYPTED")
_KEY_LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY")
_OTHER_FILES = {
    "PUBLIC KEY": "is a public key; name the file with its private half",
    "CERTIFICATE": "is a certificate; name the file with its private key",
    "OPENSSH PRIVATE KEY": (
        "is in the format of OpenSSH; convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY"
    ),
    "RSA PRIVATE KEY": (
        "is an RSA key, but models are signed on P-256, P-384 or P-521; make a key with oms-gate "
        "keygen"
    ),
}
_LONGEST_PASSPHRASE = 1023


class PassphraseMissing(ConfigError):  # noqa: N818 - reads as what is the matter
    """A private key is encrypted, and no passphrase was given."""


def load_private_key(path: Path, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file: PKCS #8, plain or encrypted, or SEC 1.

    Raises:
        PassphraseMissing: the key is encrypted, and there is no passphrase.
        ConfigError: the file cannot be read, or every user may write it; it holds something else
            than one private key on P-256, P-384 or P-521; the passphrase is wrong, or given for a
            key that has none.
    """
    pem = read_secret(path, "the private key", partial(_check_kind, path))
    encrypted = _ENCRYPTED.search(pem) is not None
    if encrypted and not passphrase:
        raise PassphraseMissing(
            f"the private key {path} is encrypted; give its passphrase by --passphrase-file (in "
            f"gate.yaml, passphrase_file) or {PASSPHRASE_VARIABLE}"
        )
    if passphrase and not encrypted:
        raise ConfigError(
            f"the private key {path} is not encrypted, but a passphrase was given; leave it out, "
            "or name the file that you mean"
        )
    try:
        key = load_pem_private_key(pem, passphrase or None)
    except Exception as error:
        raise ConfigError(
            f"the private key {path} cannot be opened with this passphrase: it is another one, or "
            "the file is damaged"
            if encrypted
            else f"the private key {path} is damaged: what its file holds between BEGIN and END "
            "is no private key"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not dsse.is_supported(key.public_key()):
        found = (
            f"is on {key.curve.name}"
            if isinstance(key, ec.EllipticCurvePrivateKey)
            else f"is of the kind {type(key).__name__.removesuffix('PrivateKey')}"
        )
        raise ConfigError(
            f"the private key {path} {found}, but models are signed on P-256, P-384 or P-521; "
            "make a key with oms-gate keygen"
        )
    return key


def _check_kind(path: Path, pem: bytes) -> None:
    # OpenSSL writes the curve once more before the key.
    labels = [label for label in pem_format.labels(pem) if label != "EC PARAMETERS"]
    if len(labels) == 1 and labels[0] in _OTHER_FILES:
        raise ConfigError(f"the private key {path} {_OTHER_FILES[labels[0]]}")
    if len(labels) != 1 or labels[0] not in _KEY_LABELS:
        raise ConfigError(
            f"the private key {path} must be exactly one private key in PEM, but its file holds "
            f"{pem_format.content(pem)}"
        )


def load_certificates(paths: Iterable[Path]) -> tuple[x509.Certificate, ...]:
    """The certificates in PEM files, in the order of the files and in each: the signer's first.

    Raises:
        ConfigError: a file cannot be read, or holds something else than certificates.
    """
    found: list[x509.Certificate] = []
    for path in paths:
        pem = read_file(path, "the certificate")
        if b"PRIVATE KEY-----" in pem:
            raise ConfigError(
                f"the certificate {path} is beside a private key in one file; give the "
                "certificate in a file of its own, which may be shown to everybody"
            )
        labels = pem_format.labels(pem)
        if not labels or not set(labels).issubset(pem_format.CERTIFICATES):
            raise ConfigError(
                f"the certificate {path} must be one or more certificates in PEM, but its file "
                f"holds {pem_format.content(pem)}"
            )
        try:
            found += pem_format.certificates(pem)
        except Exception as error:
            raise ConfigError(
                f"the certificate {path} is damaged: what its file holds between BEGIN and END is "
                "no certificate"
            ) from error
    return tuple(found)


def generate_key(curve: CurveName) -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(_CURVES[curve])


def write_key_pair(
    private_path: Path,
    public_path: Path,
    key: ec.EllipticCurvePrivateKey,
    passphrase: bytes | None,
) -> None:
    """Write a key into two new files in PEM: its private half (PKCS #8) and its public half.

    The private half is its owner's alone from the first moment, and encrypted where there is a
    passphrase. Both files are written, or none.

    Raises:
        UsageError: the passphrase is empty or longer than 1023 bytes.
        ConfigError: one of the files is there already, or cannot be written.
    """
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        if not 1 <= len(passphrase) <= _LONGEST_PASSPHRASE:
            raise UsageError(
                f"the passphrase must have from 1 to {_LONGEST_PASSPHRASE} bytes, but has "
                f"{len(passphrase)}"
            )
        encryption = BestAvailableEncryption(passphrase)
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    check_new(private_path, public_path)
    with ExitStack() as undo:
        _create(private_path, private_pem, 0o600, undo)
        _create(public_path, public_pem, 0o644, undo)
        undo.pop_all()


def check_new(*paths: Path) -> None:
    """Find out before anything is made or asked whether files are there already.

    Raises:
        ConfigError: one is.
    """
    for path in paths:
        if os.path.lexists(path):
            raise _taken(path)


def _create(path: Path, content: bytes, mode: int, undo: ExitStack) -> None:
    # Exclusive creation does not follow a link either.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
        undo.callback(path.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be written: {error.strerror}") from error


def _taken(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is there already, and a key is never overwritten; move it away, or give another "
        "name"
    )
