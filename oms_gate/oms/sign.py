"""Signing: a statement and a key become a bundle (OMS v1.0, key and certificate signing).

The private key may lie anywhere: in memory, or in a token that only ever shows signatures.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms import dsse
from oms_gate.oms.bundle import MEDIA_TYPE
from oms_gate.oms.dsse import SigningKey
from oms_gate.oms.key import key_hint
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.statement import serialize_statement

Timestamper = Callable[[bytes], bytes]
"""Has a message timestamped: the DER of the RFC 3161 response over it."""


def payload_of(manifest: Manifest, subject_name: str) -> bytes:
    """The statement that states `manifest`, ready to be signed.

    subject_name: the signer's word for the model.

    Raises:
        UsageError: the subject name is empty or no readable text, or the resources are not in
            code point order, as the specification wants them.
    """
    if not subject_name or not subject_name.isprintable():
        raise UsageError(
            f"{subject_name!r} cannot name a model in a signature; give a name in readable text"
        )
    if not manifest.sorted_names:
        raise UsageError("the files to be signed must be listed in code point order")
    return serialize_statement(manifest, subject_name)


def sign_with_key(
    payload: bytes, key: SigningKey, *, timestamper: Timestamper | None = None
) -> bytes:
    """The bundle of a statement: JSON, laid out the same way each time.

    It names the public half of `key` by its hint.

    payload: see `payload_of`; or any in-toto statement.

    Raises:
        ConfigError: the key is on another curve.
    """
    material = {"publicKey": {"hint": key_hint(key.public_key())}}
    return _bundle(payload, key, material, timestamper)


def sign_with_certificate(
    payload: bytes,
    key: SigningKey,
    chain: Sequence[x509.Certificate],
    *,
    timestamper: Timestamper | None = None,
) -> bytes:
    """The bundle of a statement, with the certificate that vouches for `key`.

    payload: as of `sign_with_key`.
    chain: the signer's certificate, then the intermediate ones towards the root.

    Raises:
        ConfigError: the first certificate is not that of the key, or the key is on another curve.
    """
    check_pair(key, chain)
    certificates = [{"rawBytes": _base64(member.public_bytes(Encoding.DER))} for member in chain]
    material = {"x509CertificateChain": {"certificates": certificates}}
    return _bundle(payload, key, material, timestamper)


def check_pair(key: SigningKey, chain: Sequence[x509.Certificate]) -> None:
    """Check that a chain begins with the certificate of `key`.

    Raises:
        ConfigError: it does not.
    """
    if not chain or chain[0].public_key() != key.public_key():
        raise ConfigError("the signing certificate belongs to another key than the one that signs")


def _bundle(
    payload: bytes,
    key: SigningKey,
    material: Mapping[str, object],
    timestamper: Timestamper | None,
) -> bytes:
    if not dsse.is_supported(key.public_key()):
        raise ConfigError(
            "the signing key must be an elliptic curve key on P-256, P-384 or P-521, but is on "
            f"{key.public_key().curve.name}"
        )
    signature = dsse.sign(key, payload)
    evidence: dict[str, object] = {"tlogEntries": []}
    if timestamper is not None:
        timestamp = {"signedTimestamp": _base64(timestamper(signature))}
        evidence["timestampVerificationData"] = {"rfc3161Timestamps": [timestamp]}
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, **evidence},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": dsse.PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signature)}],
        },
    }
    return (json.dumps(bundle, indent=2) + "\n").encode("ascii")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
