"""The key method: the model was signed with a private key whose public half is configured.

OMS v1.0, key-based signing. The bundle only says which key it means; what is verified with is
the configured key, never one that came with the bundle.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oms_gate.errors import SignatureError
from oms_gate.oms import dsse
from oms_gate.oms.bundle import Bundle
from oms_gate.oms.quoting import quoted
from oms_gate.oms.trust import KeyRoot
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Signer, TrustRoot

_MOST_HINTS = 3


def key_hint(public_key: ec.EllipticCurvePublicKey) -> str:
    """How bundles name a key: hex SHA-256 of its PEM, trailing newline included."""
    return hashlib.sha256(_encoded(public_key, Encoding.PEM)).hexdigest()


def verify_key(bundle: Bundle, roots: Mapping[str, KeyRoot]) -> Signer:
    """Check a key-signed bundle against the configured keys.

    Raises:
        SignatureError: ``trust.not-configured``, ``key.untrusted`` where the bundle names none of
            the keys, ``signature.invalid`` where the named key did not make the signature.
    """
    if not roots:
        raise SignatureError(
            ReasonCode.TRUST_NOT_CONFIGURED,
            "the signature is by a key, but no key is trusted; add the publisher's public "
            "key to the trusted keys",
        )
    for root in roots.values():
        if _names(bundle, root.public_key):
            dsse.verify(root.public_key, bundle.payload, bundle.signature)
            return Signer(
                method="key",
                identity=f"sha256:{root.sha256}",
                key_sha256=root.sha256,
                root=TrustRoot(name=root.name, sha256=root.sha256),
            )
    named = (
        f"its hint {quoted(bundle.key_hint)} (the SHA-256 of the public key's PEM file)"
        if bundle.key_hint
        else "its own bytes in the bundle"
    )
    raise SignatureError(
        ReasonCode.KEY_UNTRUSTED,
        f"the signature is by a key, named by {named}, that is none of the trusted keys "
        f"({_described(roots)}); add the publisher's public key if it is to be trusted",
    )


def _described(roots: Mapping[str, KeyRoot]) -> str:
    if len(roots) > _MOST_HINTS:
        return f"{len(roots)} keys: {', '.join(roots)}"
    return ", ".join(f"{root.name}: hint {key_hint(root.public_key)}" for root in roots.values())


def _names(bundle: Bundle, key: ec.EllipticCurvePublicKey) -> bool:
    # Bundles before 1.1.0 carry the key itself; where both are there, both must mean this key.
    return bundle.key_hint in (None, key_hint(key), _cosign_hint(key)) and bundle.key_raw in (
        None,
        _encoded(key, Encoding.PEM),
        _encoded(key, Encoding.DER),
    )


def _cosign_hint(key: ec.EllipticCurvePublicKey) -> str:
    """How the bundles of cosign name a key: base64 of the SHA-256 of its DER."""
    return base64.b64encode(hashlib.sha256(_encoded(key, Encoding.DER)).digest()).decode("ascii")


def _encoded(key: ec.EllipticCurvePublicKey, encoding: Encoding) -> bytes:
    return key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
