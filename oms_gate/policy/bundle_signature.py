"""Signatures of OPA bundles: ``.signatures.json``, a JWT over the digest of every file.

See openpolicyagent.org/docs/management-bundles, "Signing". Stricter than OPA itself in this: the
key says which algorithms there are, only SHA-2 digests count, and names are in the list once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, ValidationError

from oms_gate.errors import ConfigError
from oms_gate.policy.bundle import Bundle

SIGNATURES: Final = ".signatures.json"

_RSA_BITS: Final = 2048
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_DIGESTS: Final = {
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}
_STRUCTURED: Final = ("data.json", "data.yaml", "data.yml", ".manifest")


@dataclass(frozen=True)
class BundleKey:
    """The public key that signs bundles, and the algorithms that it can have signed with."""

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    algorithms: tuple[str, ...]

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> BundleKey:
        """Read a public key.

        name: what messages call the file.

        Raises:
            ConfigError: it is not a key that can be used.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"{name} is not a public key in PEM; make it with openssl pkey -pubout"
            ) from error
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS:
            return cls(key, _RSA)
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
            return cls(key, (_CURVES[key.curve.name],))
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(key, ("EdDSA",))
        raise ConfigError(
            f"{name} cannot be used for bundles; use EC (P-256, P-384, P-521), Ed25519, or RSA of "
            f"{_RSA_BITS} bits or more"
        )


def check_signature(bundle: Bundle, key: BundleKey, scope: str = "") -> None:
    """Make sure that every file of a bundle is one that was signed, and none is missing.

    scope: as the signer must have stated it (``opa sign --claims-file``).

    Raises:
        ConfigError: it is not, and why.
    """
    signed = _signed_files(bundle, key, scope)
    names = bundle.files.keys() - {SIGNATURES}
    if added := sorted(names - signed.keys()):
        raise _refused(bundle, f"nobody signed its file {added[0]!r}")
    if missing := sorted(signed.keys() - names):
        raise _refused(bundle, f"its signed file {missing[0]!r} is not there")
    for name, file in signed.items():
        if (digest := _DIGESTS.get(file.algorithm)) is None:
            raise _refused(
                bundle, f"the digest of {name!r} is {file.algorithm!r}, which does not count"
            )
        found = digest(_hashed(bundle, name)).hexdigest()
        if not hmac.compare_digest(found, file.hash.lower()):
            raise _refused(bundle, f"{name!r} was changed after it was signed")


class _File(BaseModel):
    name: str
    hash: str
    algorithm: str


class _Payload(BaseModel):
    files: list[_File]
    scope: str = ""


class _Signatures(BaseModel):
    model_config = ConfigDict(strict=True)

    signatures: list[str]
    plugin: str = "_default"


def _signed_files(bundle: Bundle, key: BundleKey, scope: str) -> dict[str, _File]:
    content = bundle.files.get(SIGNATURES)
    if content is None:
        raise _refused(bundle, "it is not signed")
    try:
        signatures = _Signatures.model_validate_json(content)
    except ValidationError:
        raise _refused(bundle, f"its {SIGNATURES} is not as OPA writes it") from None
    if len(signatures.signatures) != 1 or signatures.plugin != "_default":
        raise _refused(bundle, f"its {SIGNATURES} has not exactly one signature in OPA's own form")
    token = signatures.signatures[0]
    try:
        payload = jwt.PyJWS().decode(token, key.key, algorithms=list(key.algorithms))
    except jwt.InvalidAlgorithmError:
        raise _refused(
            bundle,
            f"its signature is not by an algorithm of this key ({', '.join(key.algorithms)})",
        ) from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _refused(bundle, "its signature is not by this key") from None
    try:
        stated = _Payload.model_validate_json(payload)
    except ValidationError:
        raise _refused(bundle, "what was signed is not a list of files") from None
    if stated.scope != scope:
        raise _refused(bundle, f"it was signed for the scope {stated.scope!r}, not {scope!r}")
    files = {file.name.lstrip("/"): file for file in stated.files}
    if len(files) != len(stated.files):
        raise _refused(bundle, "a file is in its signature twice")
    return files


def _refused(bundle: Bundle, why: str) -> ConfigError:
    return ConfigError(
        f"{bundle.origin} is refused: {why}; sign it with opa build --signing-key and the key that "
        "belongs to 'policy: bundle: key', or find out who changed it"
    )


class _Number(str):
    """A number as it is written: what is signed."""

    __slots__ = ()


def _hashed(bundle: Bundle, name: str) -> bytes:
    """What of a file is digested: of JSON, a form without white space and order."""
    content = bundle.files[name]
    if name.rpartition("/")[2] not in _STRUCTURED:
        return content
    try:
        value = json.loads(
            content, parse_int=_Number, parse_float=_Number, object_pairs_hook=_object
        )
        return "".join(_canonical(value)).encode()
    except (ValueError, RecursionError):
        raise _refused(bundle, f"{name!r} is not JSON") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _canonical(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, key in enumerate(sorted(value)):
            yield f"{',' if number else ''}{_text(key)}:"
            yield from _canonical(value[key])
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield "," if number else ""
            yield from _canonical(item)
        yield "]"
    elif isinstance(value, _Number):
        yield value
    elif isinstance(value, str):
        yield _text(value)
    else:
        yield json.dumps(value)


def _text(text: str) -> str:
    # Go escapes these two, whatever it is told.
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
