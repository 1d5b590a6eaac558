"""Forged certificates: authorities, promises of the certificate log, and whom a certificate names.

Each forgery is signed validly by somebody, and everything else in its bundle is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.x509.oid import ExtendedKeyUsageOID

from oms_gate.oms import dsse
from tests.oms.forge import NOW, TLS_SERVER, b64, key, load, rsa_key
from tests.sigstore import der
from tests.sigstore.authority import ISSUER, CertificateAuthority, email, other_name, uri
from tests.sigstore.certificate_log import CertificateLog
from tests.sigstore.instance import KEY, Rekor, Sigstore, stamp
from tests.sigstore.trust import Json
from tests.sigstore.verdicts import PAYLOAD, admitted, refused

SECOND = timedelta(seconds=1)
SIGSTORE = Sigstore()


# -- The promise of the certificate log (signed certificate timestamp)

Promise = tuple[x509.Certificate, x509.Certificate, datetime]


@dataclasses.dataclass(frozen=True)
class Forging(CertificateLog):
    """The log, but it is misled as to what it promises, or somebody changes what it has promised.

    asked: changes certificate, issuer and time. answered: changes the promises.
    """

    asked: Callable[[Promise], Promise] = lambda promise: promise
    answered: Callable[[bytes], bytes] = lambda promises: promises

    def promise(
        self, precertificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> x509.UnrecognizedExtension:
        made = super().promise(*self.asked((precertificate, issuer, at)))
        ((_, content),) = der.read(made.value)
        return x509.UnrecognizedExtension(made.oid, der.octets(self.answered(content)))


def flipped(place: int) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        data = bytearray(content)
        data[place] ^= 1
        return bytes(data)

    return flip


def repeated(count: int) -> Callable[[bytes], bytes]:
    """The list with its one promise so many times; the lengths take two bytes each."""
    return lambda content: ((len(content) - 2) * count).to_bytes(2, "big") + content[2:] * count


def forging(**how: Any) -> Forging:
    """The right log, misled or its answer changed."""
    return Forging(SIGSTORE.certificate_log.key, **how)


# Version, identifier of the log (32 bytes), time (8) and extensions (2) follow the two lengths.
VERSION, LOG_ID, TIME, EXTENSIONS, HASH = 4, 5, 37, 45, 47
CERTIFICATE_LOGS: dict[str, CertificateLog | None] = {
    "none": None,
    "a stranger": CertificateLog(),
    "a stranger under the log's name": Forging(
        answered=lambda c: c[:LOG_ID] + SIGSTORE.certificate_log.key.id + c[TIME:]
    ),
    "about another certificate": forging(
        asked=lambda p: (SIGSTORE.authority.certify(KEY.public_key(), None), *p[1:])
    ),
    "about a certificate of another authority": forging(
        asked=lambda p: (p[0], CertificateAuthority.make().chain[0].certificate, p[2])
    ),
    "made when the certificate was over": forging(asked=lambda p: (*p[:2], NOW + 700 * SECOND)),
    "twice": forging(answered=repeated(2)),
    "not at all": forging(answered=repeated(0)),
    "cut short": forging(answered=lambda content: content[:-1]),
    "another version": forging(answered=flipped(VERSION)),
    "another time": forging(answered=flipped(TIME + 7)),
    "other extensions": forging(answered=flipped(EXTENSIONS + 1)),
    "another hash": forging(answered=flipped(HASH)),
    "another signature": forging(answered=flipped(-1)),
}


def certified(log: CertificateLog | None, rekor: Rekor = 1) -> Json:
    certificate = SIGSTORE.authority.certify(KEY.public_key(), log)
    return SIGSTORE.sign(PAYLOAD, rekor=rekor, certificate=certificate)


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(CERTIFICATE_LOGS))
def test_certificates_without_a_right_promise_are_refused(what: str, rekor: Rekor) -> None:
    for log in (SIGSTORE.certificate_log, forging()):
        admitted(certified(log, rekor), SIGSTORE)
    refused(certified(CERTIFICATE_LOGS[what], rekor), SIGSTORE)


# -- The authority


def authority(**differences: Any) -> Sigstore:
    """The same instance with another authority below a root; its trusted root has them both."""
    made = CertificateAuthority.make(CertificateAuthority.make(), **differences)
    return dataclasses.replace(SIGSTORE, authority=made)


NO_CERT_SIGN = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
AUTHORITIES: dict[str, Json] = {
    "no authority": {"ca": False},
    "no word of it": {"ca": None},
    "not for certificates": {"key_usage": NO_CERT_SIGN},
    "ended": {"start": NOW - 60 * SECOND, "end": NOW - SECOND},
    "not begun": {"start": NOW + SECOND, "end": NOW + 60 * SECOND},
}


@pytest.mark.parametrize("what", sorted(AUTHORITIES))
def test_certificates_by_no_proper_authority_are_refused(what: str) -> None:
    for differences, check in (
        ({}, admitted),
        ({"path_length": 0}, admitted),
        ({"start": NOW, "end": NOW + SECOND}, admitted),
        (AUTHORITIES[what], refused),
    ):
        sigstore = authority(**differences)
        check(sigstore.sign(PAYLOAD), sigstore)


@pytest.mark.parametrize("rekor", [1, 2])
def test_only_the_authority_in_the_root_issues(rekor: Rekor) -> None:
    """Not one that it has certified itself, and that nobody configured: bundles bring no others."""
    below = CertificateAuthority.make(SIGSTORE.authority)
    changed = dataclasses.replace(SIGSTORE, authority=below)
    bundle = changed.sign(PAYLOAD, rekor=rekor)
    admitted(bundle, changed)
    refused(bundle, SIGSTORE)


@pytest.mark.parametrize(
    "period",
    [
        (0, 1),
        (-60, -1),
        (1, 60),
    ],
)
def test_the_root_above_an_authority_is_valid(period: tuple[int, int]) -> None:
    start, end = (NOW + seconds * SECOND for seconds in period)
    above = CertificateAuthority.make(start=start, end=end)
    sigstore = dataclasses.replace(SIGSTORE, authority=CertificateAuthority.make(above))
    (admitted if period == (0, 1) else refused)(sigstore.sign(PAYLOAD), sigstore)


# -- The certificate

SIGN_AND_CERTIFY = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
NO_SIGNATURE = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
LEAVES: dict[str, Json] = {
    "for servers": {"purposes": TLS_SERVER},
    "for clients": {"purposes": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])},
    "for time-stamping": {"purposes": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])},
    "for everything": {
        "purposes": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    },
    "not for signatures": {"key_usage": NO_SIGNATURE},
    "an authority": {"ca": True},
    "with the usage of an authority": {"key_usage": SIGN_AND_CERTIFY},
    "an authority in every respect": {"ca": True, "key_usage": SIGN_AND_CERTIFY},
    "ended": {"start": NOW - 60 * SECOND, "end": NOW - SECOND},
    "not begun": {"start": NOW + SECOND, "end": NOW + 60 * SECOND},
    "no name": {"names": []},
    "two names": {"names": [email(), email("other@example.com")]},
    "the same name twice": {"names": [email(), email()]},
    "two kinds of names": {"names": [email(), uri("https://example.com/a")]},
    "a host": {"names": [x509.DNSName("example.com")]},
    "a name and a host": {"names": [email(), x509.DNSName("example.com")]},
    "an empty name": {"names": [other_name("")]},
    "a name with a control character": {"names": [other_name("a\u202eb")]},
    "a name of another kind": {
        "names": [x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), der.utf8("a"))]
    },
    "no issuer": {"claims": {}},
    "an empty issuer": {"claims": {8: ""}},
    "an empty issuer of the old form": {"claims": {1: ""}},
    "two issuers": {"claims": {1: "https://other.example.com", 8: ISSUER}},
    "two issuers that differ in a slash": {"claims": {1: ISSUER + "/", 8: ISSUER}},
    "an empty issuer and a right one": {"claims": {1: "", 8: ISSUER}},
    "a right issuer and an empty one": {"claims": {1: ISSUER, 8: ""}},
    "an issuer that is not in DER": {"claims": {8: ISSUER.encode()}},
    "an issuer with more behind it": {"claims": {8: der.utf8(ISSUER) + b"\0"}},
    "an issuer with a line break": {"claims": {8: ISSUER + "\n"}},
    "another claim that is not in DER": {"claims": {8: ISSUER, 13: b"abc"}},
}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(LEAVES))
def test_improper_certificates_are_refused(what: str, rekor: Rekor) -> None:
    same: Json = {"start": NOW, "end": NOW + SECOND, "claims": {1: ISSUER, 8: ISSUER, 13: "abc"}}
    for differences, check in (({}, admitted), (same, admitted), (LEAVES[what], refused)):
        certificate = SIGSTORE.certify(**differences)
        check(SIGSTORE.sign(PAYLOAD, rekor=rekor, certificate=certificate), SIGSTORE)


def rsa_signed(data: bytes) -> tuple[Any, bytes]:
    private_key = rsa_key(2048)
    return private_key, private_key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def ed25519_signed(data: bytes) -> tuple[Any, bytes]:
    private_key = ed25519.Ed25519PrivateKey.generate()
    return private_key, private_key.sign(data)


def ecdsa_signed(data: bytes) -> tuple[Any, bytes]:
    return KEY, KEY.sign(data, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("sign", "check"),
    [(ecdsa_signed, admitted), (rsa_signed, refused), (ed25519_signed, refused)],
)
def test_models_are_signed_with_ecdsa(
    sign: Callable[[bytes], tuple[Any, bytes]], check: Callable[[Json, Sigstore], Any], rekor: Rekor
) -> None:
    """Certificate, signature, entry and timestamp are right; and no library may choke on them."""
    private_key, signature = sign(dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD))
    certificate = SIGSTORE.certify(private_key)
    bundle = SIGSTORE.sign(PAYLOAD, stamped=False, certificate=certificate)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(signature)
    bundle["verificationMaterial"]["tlogEntries"] = [SIGSTORE.entry(bundle, rekor=rekor)]
    stamp(bundle, SIGSTORE.timestamp_authority)
    check(bundle, SIGSTORE)


def test_a_claim_that_is_made_twice_is_no_claim() -> None:
    """Log and authority stand by a certificate with two issuers of one form: none may be chosen."""
    claims = {8: ISSUER, 9: "https://other.example.com"}
    nine, eight = (der.oid(f"1.3.6.1.4.1.57264.1.{number}") for number in (9, 8))
    assert nine in SIGSTORE.certify(claims=claims).tbs_certificate_bytes

    def issued(certificate: x509.Certificate, number: bytes) -> x509.Certificate:
        """The certificate with this number in the place of 9, signed by the authority."""
        body = certificate.tbs_certificate_bytes.replace(nine, number)
        signature = SIGSTORE.authority.chain[0].private_key.sign(body, ec.ECDSA(hashes.SHA256()))
        algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))
        return load(der.sequence(body, algorithm, der.tlv(der.BIT_STRING, b"\0", signature)))

    for number, check in ((nine, admitted), (eight, refused)):
        log = forging(asked=lambda p, number=number: (issued(p[0], number), *p[1:]))
        made = SIGSTORE.authority.certify(KEY.public_key(), log, claims=claims)
        check(SIGSTORE.sign(PAYLOAD, certificate=issued(made, number)), SIGSTORE)


# -- The key


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_the_key_is_on_the_one_curve(curve: type[ec.EllipticCurve]) -> None:
    """The sigstore library takes SHA-256 with any curve, which is no match for the others."""
    signer = key("signer", curve)
    bundle = SIGSTORE.sign(PAYLOAD, certificate=SIGSTORE.certify(signer))
    signature = signer.sign(dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD), ec.ECDSA(hashes.SHA256()))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(signature)
    bundle["verificationMaterial"]["tlogEntries"] = [SIGSTORE.entry(bundle)]
    (admitted if curve is ec.SECP256R1 else refused)(bundle, SIGSTORE)
