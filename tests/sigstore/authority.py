"""A certificate authority like Fulcio: it binds a key to an identity for ten minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.oms.forge import CODE_SIGNING, DIGITAL_SIGNATURE, NOW, Party, issue
from tests.sigstore import der, trust
from tests.sigstore.certificate_log import CertificateLog
from tests.sigstore.trust import ALWAYS, Json, Period

URL = "https://fulcio.private.example"
IDENTITY = "release@example.com"
ISSUER = "https://issuer.example.com"
LASTING = timedelta(days=36500)

# Fulcio's extensions by the last number of their identifier: to 6 bare, then DER UTF8Strings.
Claims = Mapping[int, str | bytes]

_ARC = "1.3.6.1.4.1.57264.1"
_LAST_BARE = 6
_LIFE = timedelta(minutes=10)


def email(address: str = IDENTITY) -> x509.GeneralName:
    """The identity of a person."""
    return x509.RFC822Name(address)


def uri(text: str) -> x509.GeneralName:
    """The identity of a machine, such as a workflow."""
    return x509.UniformResourceIdentifier(text)


def other_name(text: str) -> x509.GeneralName:
    """The identity of somebody whom the issuer knows by a plain name."""
    return x509.OtherName(x509.ObjectIdentifier(f"{_ARC}.7"), der.utf8(text))


@dataclass(frozen=True)
class CertificateAuthority:
    """The authority. chain: its certificates, the one that issues first and the root last."""

    chain: tuple[Party, ...]
    valid_for: Period = ALWAYS

    @classmethod
    def make(
        cls, under: CertificateAuthority | None = None, **differences: Any
    ) -> CertificateAuthority:
        """A new authority, `under` another one or a root.

        Its certificate has these `differences` (see `forge.issue`).
        """
        issuer = under.chain[0] if under else None
        private_key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
        settings: Json = {
            "private_key": private_key,
            "more": [identifier, *([_key_of(issuer.certificate)] if issuer else [])],
            "start": ALWAYS[0],
            "end": ALWAYS[0] + LASTING,
        }
        above = under.chain if under else ()
        name = f"private intermediate {len(above)}" if under else "private root"
        return cls((issue(name, issuer, **settings | differences), *above))

    def certify(
        self,
        public_key: ec.EllipticCurvePublicKey,
        log: CertificateLog | None,
        *,
        names: Iterable[x509.GeneralName] = (email(),),
        claims: Claims = {8: ISSUER},  # noqa: B006 - nobody changes a Mapping
        start: datetime = NOW,
        end: datetime | None = None,
        key_usage: x509.KeyUsage = DIGITAL_SIGNATURE,
        purposes: x509.ExtendedKeyUsage = CODE_SIGNING,
        ca: bool = False,
    ) -> x509.Certificate:
        """A certificate for an identity, which a `log` has promised to publish.

        start: also the time of that promise. end: after ten minutes, if nothing else is said.
        """
        issuer = self.chain[0]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFE if end is None else end)
            .add_extension(key_usage, critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_key_of(issuer.certificate), critical=False)
        )
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        if names := list(names):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        for number, claim in claims.items():
            builder = builder.add_extension(_extension(number, claim), critical=False)
        precertificate = builder.sign(issuer.private_key, hashes.SHA256())
        if log is None:
            return precertificate
        promise = log.promise(precertificate, issuer.certificate, start)
        return builder.add_extension(promise, critical=False).sign(
            issuer.private_key, hashes.SHA256()
        )

    def trusted(self) -> Json:
        """What a trusted root says about it."""
        return trust.authority(URL, self.chain, self.valid_for)


def _key_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _extension(number: int, claim: str | bytes) -> x509.UnrecognizedExtension:
    if isinstance(claim, str):
        claim = claim.encode() if number <= _LAST_BARE else der.utf8(claim)
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_ARC}.{number}"), claim)
