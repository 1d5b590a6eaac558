"""The signature file: a Sigstore bundle around a DSSE envelope (OMS v1.0, bundle and envelope).

Reading establishes what the bundle says, in one reading only; nothing in it is verified here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.dsse import PAYLOAD_TYPE
from oms_gate.oms.evidence import LogEntry, read_log_entry, read_timestamps
from oms_gate.oms.quoting import quoted
from oms_gate.oms.strict_json import JsonObject, MalformedJson, parse
from oms_gate.reason_codes import ReasonCode

Method = Literal["key", "certificate", "sigstore"]

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MEDIA_TYPES = (MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3")

MOST_CERTIFICATES: Final = 16
"""Most certificates in one bundle, as a count; real chains have two to four."""

LARGEST_CERTIFICATE: Final = 32 * 1024
"""Largest certificate, in bytes of DER; real ones have one or two thousand. Names and extensions
are read by slower code than their bytes."""

MOST_VALUES: Final = 10_000
"""Most values in the bundle's own JSON, as a count. Real bundles have some fifty: of what grows
with the model all is in one string, and the proof of a log with 2**63 entries has 63 hashes."""

_MATERIAL: Final[dict[str, Method]] = {
    "publicKey": "key",
    "x509CertificateChain": "certificate",
    "certificate": "sigstore",
}


@dataclass(frozen=True)
class Bundle:
    """What a signature file says.

    payload: the in-toto statement, as signed.
    signature: DER of the ECDSA signature over the payload's encoding (see `dsse`).
    key_hint, key_raw: how a key-signed bundle names its key; at least one of the two is there.
    certificates: DER, the signer's first; empty for keys.
    log_entry: for Sigstore only.
    timestamps: RFC 3161 responses in DER, said to be over the signature.
    raw, sha256: the file itself and its SHA-256 in hex.
    """

    method: Method
    payload: bytes
    signature: bytes
    key_hint: str | None
    key_raw: bytes | None
    certificates: tuple[bytes, ...]
    log_entry: LogEntry | None
    timestamps: tuple[bytes, ...]
    raw: bytes
    sha256: str


def parse_bundle(data: bytes, limits: Limits) -> Bundle:
    """Read a signature file.

    Raises:
        SignatureError: ``signature.too-large``, ``bundle.malformed``, or ``bundle.unsupported``
            for a sound Sigstore bundle of another kind than OMS v1.0 writes.
    """
    if len(data) > limits.bundle_bytes:
        raise SignatureError(
            ReasonCode.SIGNATURE_TOO_LARGE,
            f"the signature bundle has {len(data)} bytes, but limits.bundle_bytes allows "
            f"{limits.bundle_bytes}; raise the limit if the model is that large",
        )
    try:
        value = parse(data, depth=limits.json_depth, values=MOST_VALUES)
        return _read(data, JsonObject(value, "the bundle"))
    except MalformedJson as error:
        raise SignatureError(
            ReasonCode.BUNDLE_MALFORMED,
            f"the signature bundle is malformed: {error}; get the publisher's own bundle or have "
            "it signed again",
        ) from error


def _read(data: bytes, document: JsonObject) -> Bundle:
    if "payload" in document and "mediaType" not in document:
        raise _unsupported("it is a bare DSSE envelope, without what it would be verified with")
    if (media_type := document.text("mediaType")) not in _MEDIA_TYPES:
        raise _unsupported(f"its media type is {quoted(media_type)} and not {MEDIA_TYPE}")
    document.only("mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature")
    if "messageSignature" in document and "dsseEnvelope" not in document:
        raise _unsupported("it signs a bare message and not a model's manifest")
    document.only("mediaType", "verificationMaterial", "dsseEnvelope")

    payload, signature = _read_envelope(document.object("dsseEnvelope"))
    material = document.object("verificationMaterial")
    material.only(*_MATERIAL, "tlogEntries", "timestampVerificationData")
    methods = [name for name in _MATERIAL if name in material]
    if len(methods) != 1:
        raise MalformedJson(
            "the bundle.verificationMaterial must have exactly one of publicKey, "
            f"x509CertificateChain and certificate, but has {len(methods)}"
        )
    method = _MATERIAL[methods[0]]
    key_hint, key_raw = _read_key(material) if method == "key" else (None, None)
    return Bundle(
        method=method,
        payload=payload,
        signature=signature,
        key_hint=key_hint,
        key_raw=key_raw,
        certificates=_read_certificates(material, method),
        log_entry=_read_log_entry(material, method),
        timestamps=_read_timestamps(material),
        raw=data,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _read_envelope(envelope: JsonObject) -> tuple[bytes, bytes]:
    envelope.only("payload", "payloadType", "signatures")
    if (payload_type := envelope.text("payloadType")) != PAYLOAD_TYPE:
        raise _unsupported(f"its payload type is {quoted(payload_type)} and not {PAYLOAD_TYPE}")
    signatures = list(envelope.objects("signatures"))
    if len(signatures) != 1:
        envelope.fault(
            "signatures", f"must hold exactly one signature, but holds {len(signatures)}"
        )
    signatures[0].only("sig", "keyid")
    signatures[0].optional_text("keyid")
    return envelope.base64("payload"), signatures[0].base64("sig")


def _read_key(material: JsonObject) -> tuple[str | None, bytes | None]:
    key = material.object("publicKey")
    hint = key.text("hint") if "hint" in key else None
    raw = key.base64("rawBytes") if "rawBytes" in key else None
    if hint is None and raw is None:
        material.fault("publicKey", "names no key: it has neither hint nor rawBytes")
    return hint, raw


def _read_certificates(material: JsonObject, method: Method) -> tuple[bytes, ...]:
    if method == "key":
        return ()
    if method == "sigstore":
        certificate = material.object("certificate")
        certificate.only("rawBytes")
        return (_read_certificate(certificate),)
    chain = material.object("x509CertificateChain")
    certificates = list(chain.objects("certificates"))
    if not 1 <= len(certificates) <= MOST_CERTIFICATES:
        chain.fault(
            "certificates",
            f"must hold 1 to {MOST_CERTIFICATES} certificates, but holds {len(certificates)}",
        )
    return tuple(map(_read_certificate, certificates))


def _read_certificate(holder: JsonObject) -> bytes:
    der = holder.base64("rawBytes")
    if len(der) > LARGEST_CERTIFICATE:
        holder.fault("rawBytes", f"has {len(der)} bytes, more than {LARGEST_CERTIFICATE}")
    return der


def _read_log_entry(material: JsonObject, method: Method) -> LogEntry | None:
    entries = list(material.objects("tlogEntries")) if "tlogEntries" in material else []
    if method != "sigstore":
        # Neither method verifies them, so they are nothing but baggage.
        return None
    if not entries:
        material.fault("tlogEntries", "must hold the entry of a transparency log")
    if len(entries) > 1:
        raise _unsupported(f"it has {len(entries)} transparency log entries and not one")
    return read_log_entry(entries[0])


def _read_timestamps(material: JsonObject) -> tuple[bytes, ...]:
    if "timestampVerificationData" not in material:
        return ()
    return read_timestamps(material.object("timestampVerificationData"))


def _unsupported(what: str) -> SignatureError:
    return SignatureError(
        ReasonCode.BUNDLE_UNSUPPORTED,
        f"the signature bundle is of a kind that is not supported: {what}; sign the model with a "
        "current OpenSSF Model Signing tool, or attest with one that writes Sigstore bundles v0.3",
    )
