"""Signing: a manifest and a key become a signature file (OMS v1.0, key-based signing)."""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms import dsse
from oms_gate.oms.bundle import MEDIA_TYPE
from oms_gate.oms.key import key_hint
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.statement import serialize_statement


def sign_with_key(
    manifest: Manifest, subject_name: str, private_key: ec.EllipticCurvePrivateKey
) -> bytes:
    """The signature file for `manifest`: JSON, laid out the same way each time.

    subject_name: the signer's word for the model.
    private_key: on P-256, P-384 or P-521; the bundle names its public half by hint.

    Raises:
        UsageError: the subject name is empty or no Unicode text, or the resources are not in
            code point order, as the specification wants them.
        ConfigError: the key is on another curve.
    """
    if not subject_name or not subject_name.isprintable():
        raise UsageError(
            f"{subject_name!r} cannot name a model in a signature; give a name in readable text"
        )
    if not manifest.sorted_names:
        raise UsageError("the files to be signed must be listed in code point order")
    if not dsse.is_supported(private_key):
        raise ConfigError(
            "the signing key must be an elliptic curve key on P-256, P-384 or P-521, but is on "
            f"{private_key.curve.name}"
        )
    payload = serialize_statement(manifest, subject_name)
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": key_hint(private_key.public_key())},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": dsse.PAYLOAD_TYPE,
            "signatures": [
                {"sig": base64.b64encode(dsse.sign(private_key, payload)).decode("ascii")}
            ],
        },
    }
    return (json.dumps(bundle, indent=2) + "\n").encode("ascii")
