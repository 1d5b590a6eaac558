"""A timestamp authority: it saw these bytes at that time (RFC 3161, in CMS, RFC 5652).

It stands by itself: whatever accepts RFC 3161 timestamps can be tested with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.oms.forge import NOW, Party, issue_leaf
from tests.sigstore import der, trust
from tests.sigstore.authority import LASTING, CertificateAuthority
from tests.sigstore.trust import ALWAYS, Json, Period

URL = "https://timestamp.private.example/api/v1/timestamp"
TIME_STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
HASHES = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
GRANTED, GRANTED_WITH_CHANGES, REJECTED = 0, 1, 2

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
_POLICY = "1.3.6.1.4.1.57264.2"


@dataclass(frozen=True)
class TimestampAuthority:
    """The authority. chain: the certificate that signs timestamps first, its root last."""

    chain: tuple[Party, ...]
    valid_for: Period = ALWAYS

    @classmethod
    def make(
        cls, under: CertificateAuthority | None = None, **differences: Any
    ) -> TimestampAuthority:
        """A new authority, certified by another one or by a root of its own.

        Its signing certificate has these `differences`: the arguments of `forge.issue`, such as
        `start` and `end`, or `critical` and `more` for extensions. Without any, `critical` is the
        purpose of time-stamping.
        """
        under = under or CertificateAuthority.make()
        settings: Json = {
            "private_key": ec.generate_private_key(ec.SECP256R1()),
            "critical": [TIME_STAMPING],
            "start": ALWAYS[0],
            "end": ALWAYS[0] + LASTING,
        }
        own = issue_leaf("private timestamps", under.chain[0], **settings | differences)
        return cls((own, *under.chain))

    @property
    def pem(self) -> bytes:
        """The chain in PEM, the signing certificate first."""
        return b"".join(member.pem for member in self.chain)

    @property
    def root_pem(self) -> bytes:
        """The root alone in PEM."""
        return self.chain[-1].pem

    def timestamp(
        self,
        message: bytes,
        at: datetime = NOW,
        *,
        algorithm: str = "sha256",
        nonce: int | None = None,
        embedded: bool = True,
        status: int = GRANTED,
    ) -> bytes:
        """A DER ``TimeStampResp`` for a message: for a signature, its raw bytes.

        at: to the second. algorithm: the imprint's, one of `HASHES`. embedded: whether the
        signing certificate is in it.
        """
        digest = hashlib.new(algorithm, message).digest()
        return self.stamp(digest, at, algorithm, nonce=nonce, embedded=embedded, status=status)

    def stamp(
        self,
        digest: bytes,
        at: datetime,
        algorithm: str = "sha256",
        *,
        nonce: int | None = None,
        embedded: bool = True,
        status: int = GRANTED,
    ) -> bytes:
        """The same for a message of which only the digest is known."""
        info = der.sequence(
            der.integer(1),
            der.oid(_POLICY),
            der.sequence(_algorithm(algorithm), der.octets(digest)),
            der.integer(x509.random_serial_number()),
            der.generalized_time(at),
            b"" if nonce is None else der.integer(nonce),
        )
        return der.sequence(
            der.sequence(der.integer(status)),
            der.sequence(der.oid(_SIGNED_DATA), der.explicit(0, self._signed(info, embedded))),
        )

    def trusted(self) -> Json:
        """What a trusted root says about it."""
        return trust.authority(URL, self.chain, self.valid_for)

    def _signed(self, info: bytes, embedded: bool) -> bytes:
        signer = self.chain[0]
        certificate = signer.certificate
        attributes = (
            _attribute(_CONTENT_TYPE, der.oid(_TST_INFO)),
            _attribute(_MESSAGE_DIGEST, der.octets(hashlib.sha256(info).digest())),
            _attribute(
                _SIGNING_CERTIFICATE_V2,
                der.sequence(
                    der.sequence(der.sequence(der.octets(hashlib.sha256(signer.der).digest())))
                ),
            ),
        )
        # Signed as the SET that they are, sent with the tag of their place.
        signature = signer.private_key.sign(der.set_of(*attributes), ec.ECDSA(hashes.SHA256()))
        return der.sequence(
            der.integer(3),
            der.set_of(_algorithm("sha256")),
            der.sequence(der.oid(_TST_INFO), der.explicit(0, der.octets(info))),
            der.explicit(0, signer.der) if embedded else b"",
            der.set_of(
                der.sequence(
                    der.integer(1),
                    der.sequence(
                        certificate.issuer.public_bytes(),
                        der.integer(certificate.serial_number),
                    ),
                    _algorithm("sha256"),
                    der.explicit(0, *sorted(attributes)),
                    der.sequence(der.oid(_ECDSA_WITH_SHA256)),
                    der.octets(signature),
                )
            ),
        )


def _algorithm(name: str) -> bytes:
    return der.sequence(der.oid(HASHES[name]))


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of(value))
