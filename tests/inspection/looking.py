"""Files to inspect, and secrets to hide in them: none of these is in this repository as such."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from oms_gate.inspection.findings import Findings
from oms_gate.inspection.inspect import inspect
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.publish.overlay import overlay
from oms_gate.reference import Reference
from tests import models

ALPHANUMERIC = string.ascii_letters + string.digits
BASE64 = ALPHANUMERIC + "+/"
_KEY = models.new_key()


def look(
    files: Mapping[str, bytes],
    settings: PublishSettings | None = None,
    limits: Limits | None = None,
) -> Findings:
    """What an inspection of files comes to that are in memory."""
    snapshot = overlay(Reference.parse("hf://org/model"), None, None, contents=files)
    return inspect(snapshot, list(files), settings or PublishSettings(), limits or Limits())


def drawn(count: int, alphabet: str = ALPHANUMERIC, seed: int = 7) -> str:
    """Text as random as a token is, the same for the same arguments."""
    return "".join(random.Random(seed).choices(alphabet, k=count))


def hub_token(seed: int = 7) -> bytes:
    return b"hf" + b"_" + drawn(34, string.ascii_letters, seed).encode()


def private_pem(form: PrivateFormat = PrivateFormat.PKCS8, *, encrypted: bool = False) -> bytes:
    return _KEY.private_bytes(
        Encoding.PEM, form, BestAvailableEncryption(b"word") if encrypted else NoEncryption()
    )


def private_der(*, encrypted: bool = False) -> bytes:
    return _KEY.private_bytes(
        Encoding.DER,
        PrivateFormat.PKCS8,
        BestAvailableEncryption(b"word") if encrypted else NoEncryption(),
    )


def sec1_der() -> bytes:
    return _KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def public_pem() -> bytes:
    return models.public_pem(_KEY)


def public_der() -> bytes:
    return _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_ssh() -> bytes:
    return _KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def wrapped(pem: bytes, width: int) -> bytes:
    """A block of PEM in lines of another length."""
    first, *lines, last = pem.splitlines()
    text = b"".join(lines)
    parts = (text[place : place + width] for place in range(0, len(text), width))
    return b"\n".join([first, *parts, last, b""])


def json_web_key(*, private: bool) -> dict[str, str]:
    def text(number: int) -> str:
        return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()

    numbers = _KEY.private_numbers()
    point = numbers.public_numbers
    public = {"kty": "EC", "crv": "P-256", "x": text(point.x), "y": text(point.y)}
    return {**public, "d": text(numbers.private_value)} if private else public


def armour(label: str, *, hyphens: str = "-----", space: str = "") -> bytes:
    """A block of PEM, with noise in it."""
    noise = base64.b64encode(random.Random(3).randbytes(96)).decode()
    lines = "\n".join(noise[place : place + 64] for place in range(0, len(noise), 64))
    begin, end = (f"{hyphens}{space}{word} {label}{space}{hyphens}" for word in ("BEGIN", "END"))
    return f"{begin}\n{lines}\n{end}\n".encode()


def elliptic_key() -> ec.EllipticCurvePrivateKey:
    return _KEY
