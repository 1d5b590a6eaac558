"""A private Sigstore: its parties together, the bundles that they make, and what to trust."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from oms_gate.oms import dsse
from oms_gate.oms.trust import SigstoreRoot
from tests.oms import forge
from tests.oms.forge import NOW, b64, encode
from tests.sigstore.authority import CertificateAuthority
from tests.sigstore.certificate_log import CertificateLog
from tests.sigstore.timestamps import TimestampAuthority
from tests.sigstore.transparency_log import RekorV1, RekorV2, dsse_body, hashedrekord_body
from tests.sigstore.trust import ALWAYS, Json, LogKey, period

Rekor = Literal[1, 2]

# The key of whoever signs; a certificate is what ties it to an identity.
KEY: ec.EllipticCurvePrivateKey = forge.key("signer through Sigstore")


@dataclass(frozen=True)
class Sigstore:
    """The parties. For an attack, `dataclasses.replace` one of them.

    A bundle that a changed instance signs is right in all but what that party did; the trusted
    root of the unchanged one is what it must be refused under.
    """

    authority: CertificateAuthority = field(default_factory=CertificateAuthority.make)
    certificate_log: CertificateLog = field(default_factory=CertificateLog)
    rekor_v1: RekorV1 = field(
        default_factory=lambda: RekorV1("rekor.private.example - 1193050959916656506")
    )
    rekor_v2: RekorV2 = field(
        default_factory=lambda: RekorV2("log2026.private.example", LogKey.ed25519())
    )
    timestamp_authority: TimestampAuthority = field(default_factory=TimestampAuthority.make)

    def certify(
        self, signer: ec.EllipticCurvePrivateKey = KEY, **differences: Any
    ) -> x509.Certificate:
        """A certificate for a key (see `CertificateAuthority.certify`)."""
        return self.authority.certify(signer.public_key(), self.certificate_log, **differences)

    def sign(
        self,
        payload: bytes,
        *,
        rekor: Rekor = 1,
        at: datetime = NOW,
        stamped: bool | None = None,
        certificate: x509.Certificate | None = None,
        **differences: Any,
    ) -> Json:
        """A bundle around a payload, which every party vouches for at one time.

        stamped: with a timestamp; without a word, where the log says no time. certificate: in
        place of a new one for the signer's key (`KEY`), which has the `differences` of `certify`.
        """
        certificate = certificate or self.certify(**({"start": at} | differences))
        signature = dsse.sign(KEY, payload)
        bundle = forge.bundle(
            payload,
            signature,
            {"certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}},
        )
        bundle["verificationMaterial"]["tlogEntries"] = [self.entry(bundle, rekor=rekor, at=at)]
        if rekor == 2 if stamped is None else stamped:
            stamp(bundle, self.timestamp_authority, at)
        return bundle

    def entry(self, bundle: Json, *, rekor: Rekor = 1, at: datetime = NOW) -> Json:
        """The entry that a log makes for a bundle's signature by its certificate."""
        certificate = certificate_of(bundle)
        if rekor == 1:
            return self.rekor_v1.enter(dsse_body(bundle["dsseEnvelope"], certificate), at)
        signed = dsse.pae(dsse.PAYLOAD_TYPE, payload_of(bundle))
        digest = hashlib.sha256(signed).digest()
        return self.rekor_v2.enter(hashedrekord_body(digest, signature_of(bundle), certificate))

    def trusted_root(self, *others: Sigstore) -> Json:
        """The ``trusted_root.json``, with each party's own `valid_for`.

        others: instances whose parties are in it as well, after those of this one.
        """
        every = (self, *others)
        logs = [log for one in every for log in (one.rekor_v1, one.rekor_v2)]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [one.authority.trusted() for one in every],
            "ctlogs": [one.certificate_log.trusted() for one in every],
            "tlogs": [log.trusted() for log in logs],
            "timestampAuthorities": [one.timestamp_authority.trusted() for one in every],
        }

    def root(self, name: str = "private", *others: Sigstore) -> SigstoreRoot:
        """The same, as an operator configures it."""
        return SigstoreRoot.from_json(name, encode(self.trusted_root(*others)))


def signing_config(*, fulcio: str, rekor: Mapping[Rekor, str], tsa: str, oidc: str) -> Json:
    """A ``signing_config.json`` (Sigstore signing configuration, version 0.2) with these URLs.

    rekor: by the version that it speaks; a client takes the highest.
    """
    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [_service(fulcio)],
        "oidcUrls": [_service(oidc)],
        "rekorTlogUrls": [_service(url, version) for version, url in rekor.items()],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [_service(tsa)] if tsa else [],
        "tsaConfig": {"selector": "ANY"},
    }


def stamp(bundle: Json, authority: TimestampAuthority, at: datetime = NOW, **how: Any) -> None:
    """Add a timestamp over a bundle's signature (see `TimestampAuthority.timestamp`)."""
    response = authority.timestamp(signature_of(bundle), at, **how)
    data = bundle["verificationMaterial"].setdefault(
        "timestampVerificationData", {"rfc3161Timestamps": []}
    )
    data["rfc3161Timestamps"].append({"signedTimestamp": b64(response)})


def certificate_of(bundle: Json) -> x509.Certificate:
    """The signer's certificate."""
    return forge.load(_bytes(bundle["verificationMaterial"]["certificate"]["rawBytes"]))


def signature_of(bundle: Json) -> bytes:
    """The envelope's signature."""
    return _bytes(bundle["dsseEnvelope"]["signatures"][0]["sig"])


def payload_of(bundle: Json) -> bytes:
    """What the envelope holds."""
    return _bytes(bundle["dsseEnvelope"]["payload"])


def _service(url: str, version: int = 1) -> Json:
    return {
        "url": url,
        "majorApiVersion": version,
        "validFor": period(ALWAYS),
        "operator": "private.example",
    }


def _bytes(encoded: str) -> bytes:
    return base64.b64decode(encoded)
