"""Whom a signing certificate names: its only alternative name, or else its subject."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from oms_gate.errors import SignatureError
from oms_gate.oms.verify import inspect
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Signer
from tests.oms import forge
from tests.oms.forge import LIMITS, anchored, certified, checked, refused

UNSUITABLE = ReasonCode.CERTIFICATE_UNSUITABLE
ROOT = forge.issue("Root CA")


def certificate(*names: x509.GeneralName, subject: x509.Name) -> bytes:
    """A bundle signed with a certificate of these names."""
    more = [x509.SubjectAlternativeName(names)] if names else []
    return certified(forge.issue_leaf("Publisher", ROOT, more=more, subject=subject))


def signer(*names: x509.GeneralName, subject: x509.Name) -> Signer:
    return checked(certificate(*names, subject=subject), anchored(ROOT)).signer


PUBLISHER = forge.name("Publisher")
NOBODY = x509.Name([])
EMAIL = x509.RFC822Name("release@example.com")
URI = x509.UniformResourceIdentifier("https://example.com/release")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (EMAIL, "release@example.com"),
        (URI, "https://example.com/release"),
        (x509.UniformResourceIdentifier("ips://example.com"), "ips://example.com"),
        (x509.DNSName("example.com"), "example.com"),
        (x509.IPAddress(ipaddress.ip_address("::1")), "ip:::1"),
        (x509.DirectoryName(forge.name("D, E")), "directory:CN=D\\, E"),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), "oid:1.2.3"),
        (x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01x"), "other:1.2.3:0c0178"),
    ],
)
def test_the_only_alternative_name_is_the_identity(name: x509.GeneralName, text: str) -> None:
    found = signer(name, subject=PUBLISHER)
    assert found.identity == text
    assert found.alternative_names == (text,)
    assert found.subject == "CN=Publisher"
    assert found.issuer == "CN=Root CA"


def test_without_one_the_subject_is() -> None:
    assert signer(subject=PUBLISHER).identity == "CN=Publisher"
    both = signer(EMAIL, URI, subject=PUBLISHER)
    assert both.identity == "CN=Publisher"
    assert both.alternative_names == ("release@example.com", "https://example.com/release")


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("release@example.com"),
        x509.UniformResourceIdentifier("release@example.com"),
        x509.RFC822Name._init_without_validation("https://example.com/@release"),
        x509.RFC822Name._init_without_validation("example.com"),
        x509.DNSName("https://example.com/release"),
        x509.UniformResourceIdentifier("example.com"),
        x509.UniformResourceIdentifier("ip:::1"),
        x509.UniformResourceIdentifier("IP:10.0.0.1"),
        x509.UniformResourceIdentifier("directory:CN=D"),
        x509.UniformResourceIdentifier("oid:1.2.3"),
        x509.UniformResourceIdentifier("other:1.2.3:0c0178"),
        x509.DNSName("a example.com"),
        x509.DNSName(""),
    ],
)
def test_one_kind_of_name_does_not_pass_for_another(name: x509.GeneralName) -> None:
    for names in ((name,), (EMAIL, name)):
        refused(UNSUITABLE, certificate(*names, subject=PUBLISHER), anchored(ROOT))


def test_nobody_is_not_an_identity() -> None:
    assert signer(EMAIL, subject=NOBODY).identity == "release@example.com"
    for names in ((), (EMAIL, URI)):
        refused(UNSUITABLE, certificate(*names, subject=NOBODY), anchored(ROOT))


@pytest.mark.parametrize("name", ["Pub\u202elisher", "Pub\nlisher", "Pub\x1blisher", "\u2028"])
def test_identities_are_readable(name: str) -> None:
    subject = forge.name(name)
    refused(UNSUITABLE, certificate(subject=subject), anchored(ROOT))
    found = signer(EMAIL, subject=subject)
    assert found.identity == "release@example.com"
    assert found.subject is not None
    assert found.subject.isprintable()


def test_subjects_are_written_unambiguously() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Evil,CN=Publisher"),
            x509.NameAttribute(NameOID.COMMON_NAME, "x+y"),
        ]
    )
    assert signer(subject=subject).identity == "CN=x\\+y,O=Evil\\,CN=Publisher"


def test_claims_are_told_or_refused_in_the_same_way() -> None:
    assert inspect(certificate(EMAIL, subject=PUBLISHER), LIMITS).claimed_identity == EMAIL.value
    for data, code in (
        (certificate(subject=NOBODY), UNSUITABLE),
        (certificate(x509.DNSName("a@b"), subject=PUBLISHER), ReasonCode.BUNDLE_MALFORMED),
    ):
        with pytest.raises(SignatureError) as caught:
            inspect(data, LIMITS)
        assert caught.value.reason.code is code
