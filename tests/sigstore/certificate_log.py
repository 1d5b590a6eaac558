"""A certificate transparency log: it promises to publish each certificate (RFC 6962)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sigstore import der
from tests.sigstore.trust import ALWAYS, Json, LogKey, Period

URL = "https://ctfe.private.example"

_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_V1, _CERTIFICATE_TIMESTAMP, _PRECERTIFICATE = 0, 0, 1
_SHA256_WITH_ECDSA = b"\x04\x03"


@dataclass(frozen=True)
class CertificateLog:
    """The log, with the key of its promises."""

    key: LogKey = field(default_factory=LogKey)
    valid_for: Period = ALWAYS

    def promise(
        self, precertificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> x509.UnrecognizedExtension:
        """The list of one signed certificate timestamp that goes into the certificate.

        precertificate: all of the certificate but this extension.
        """
        issuer_key = issuer.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        time = struct.pack("!Q", int(at.timestamp()) * 1000)
        body = precertificate.tbs_certificate_bytes
        signature = self.key.sign(
            bytes([_V1, _CERTIFICATE_TIMESTAMP])
            + time
            + struct.pack("!H", _PRECERTIFICATE)
            + hashlib.sha256(issuer_key).digest()
            + len(body).to_bytes(3, "big")
            + body
            + _opaque(b"")
        )
        timestamp = (
            bytes([_V1])
            + self.key.id
            + time
            + _opaque(b"")
            + _SHA256_WITH_ECDSA
            + _opaque(signature)
        )
        return x509.UnrecognizedExtension(_SCT_LIST, der.octets(_opaque(_opaque(timestamp))))

    def trusted(self) -> Json:
        """What a trusted root says about it."""
        return self.key.instance(URL, self.key.id, self.valid_for)


def _opaque(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
