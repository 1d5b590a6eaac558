"""How a ``trusted_root.json`` presents whom it trusts (Sigstore trusted root, version 0.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oms.forge import Party, b64

Json = dict[str, Any]
Period = tuple[datetime, datetime | None]

# What is trusted "always" was in force before the first test and will be after the last.
ALWAYS: Period = (datetime(2020, 1, 1, tzinfo=UTC), None)


@dataclass(frozen=True)
class LogKey:
    """The key with which a log signs: P-256 or Ed25519."""

    private_key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def ed25519(cls) -> LogKey:
        """A new key of the kind that Rekor v2 prefers."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @property
    def is_ed25519(self) -> bool:
        """Whether it is an Ed25519 key."""
        return isinstance(self.private_key, ed25519.Ed25519PrivateKey)

    @property
    def spki(self) -> bytes:
        """The DER SubjectPublicKeyInfo."""
        public_key = self.private_key.public_key()
        return bytes(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def id(self) -> bytes:
        """The log's identifier (RFC 6962, 3.2)."""
        return hashlib.sha256(self.spki).digest()

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`."""
        if self.is_ed25519:
            return bytes(self.private_key.sign(data))
        return bytes(self.private_key.sign(data, ec.ECDSA(hashes.SHA256())))

    def instance(self, base_url: str, log_id: bytes, valid_for: Period) -> Json:
        """A ``TransparencyLogInstance``."""
        return {
            "baseUrl": base_url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(self.spki),
                "keyDetails": "PKIX_ED25519" if self.is_ed25519 else "PKIX_ECDSA_P256_SHA_256",
                "validFor": period(valid_for),
            },
            "logId": {"keyId": b64(log_id)},
        }


def authority(uri: str, chain: Iterable[Party], valid_for: Period) -> Json:
    """A ``CertificateAuthority``, for certificates or for timestamps; its root comes last."""
    return {
        "subject": {"organization": "private.example", "commonName": "private"},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(member.der)} for member in chain]},
        "validFor": period(valid_for),
    }


def period(valid_for: Period) -> Json:
    """A ``TimeRange``."""
    ends = dict(zip(("start", "end"), valid_for, strict=True))
    return {
        name: time.isoformat().replace("+00:00", "Z")
        for name, time in ends.items()
        if time is not None
    }
