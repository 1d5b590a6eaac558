"""The envelope's signature: DSSE v1 with ECDSA (OMS v1.0, envelope; DSSE protocol).

What is signed is not the payload but its pre-authentication encoding. Each curve goes with one
hash function: P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeGuard

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import SignatureError
from oms_gate.reason_codes import ReasonCode

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class SigningKey(Protocol):
    """A private key on P-256, P-384 or P-521, in memory or in a token.

    The keys of ``cryptography`` are such keys.
    """

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half."""

    def sign(self, data: bytes, signature_algorithm: ec.ECDSA, /) -> bytes:
        """The signature in DER over `data`, hashed as the algorithm says."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a DSSE signature signs; lengths are in bytes."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def is_supported(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    """Whether `key` may sign models: a public key on P-256, P-384 or P-521."""
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES


def verify(public_key: ec.EllipticCurvePublicKey, payload: bytes, signature: bytes) -> None:
    """Check the signature of an in-toto payload by a supported key.

    Raises:
        SignatureError: ``signature.invalid``.
    """
    try:
        digest = _HASHES[public_key.curve.name]
        public_key.verify(signature, pae(PAYLOAD_TYPE, payload), ec.ECDSA(digest))
    except InvalidSignature as error:
        raise invalid() from error


def invalid() -> SignatureError:
    """The error for a signature that is not over the statement beside it."""
    return SignatureError(
        ReasonCode.SIGNATURE_INVALID,
        "the signature does not belong to the signed statement: the bundle was changed after "
        "signing, or the key that it names did not make it; get the publisher's own bundle",
    )


def sign(key: SigningKey, payload: bytes) -> bytes:
    """The DER signature of an in-toto payload by a supported key.

    A key in memory always makes the same one of the same payload (RFC 6979).
    """
    digest = _HASHES[key.public_key().curve.name]
    try:
        algorithm = ec.ECDSA(digest, deterministic_signing=True)
    except UnsupportedAlgorithm:  # by OpenSSL before 3.2
        algorithm = ec.ECDSA(digest)
    return key.sign(pae(PAYLOAD_TYPE, payload), algorithm)
