"""The identity in a Fulcio certificate: exactly one, from exactly one issuer."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.oms.sigstore import identity_of
from tests.oms import forge

ARC = "1.3.6.1.4.1.57264.1"
EMAIL = x509.RFC822Name("release@example.com")
ISSUER = "https://issuer.example.com"

Claims = Mapping[int, str | bytes]


def der(content: str | bytes) -> bytes:
    """A DER UTF8String."""
    data = content.encode() if isinstance(content, str) else content
    if len(data) < 0x80:
        return bytes([0x0C, len(data)]) + data
    length = len(data).to_bytes(1 if len(data) < 0x100 else 2, "big")
    return bytes([0x0C, 0x80 | len(length)]) + length + data


def fulcio(claims: Claims, *names: x509.GeneralName) -> x509.Certificate:
    """A certificate with extensions of Fulcio's arc; text is encoded as its number demands."""
    more: list[x509.ExtensionType] = [x509.SubjectAlternativeName(names)] if names else []
    for number, value in claims.items():
        text = value if isinstance(value, str) else ""
        encoded = text.encode() if number < 7 else der(text)
        raw = value if isinstance(value, bytes) else encoded
        oid = x509.ObjectIdentifier(f"{ARC}.{number}")
        more.append(x509.UnrecognizedExtension(oid, raw))
    return forge.issue_leaf("", more=more, subject=x509.Name([])).certificate


def other_name(value: bytes, last: int = 7) -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier(f"{ARC}.{last}"), value)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (EMAIL, "release@example.com"),
        (x509.UniformResourceIdentifier("https://github.com/a/b"), "https://github.com/a/b"),
        (other_name(der("robot!example.com")), "robot!example.com"),
        (other_name(der("a/b:c!example.com")), "a/b:c!example.com"),
    ],
)
def test_an_identity_is_an_address_a_uri_or_a_name(name: x509.GeneralName, identity: str) -> None:
    found = identity_of(fulcio({8: ISSUER}, name))
    assert (found.identity, found.issuer) == (identity, ISSUER)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (EMAIL, EMAIL),
        (EMAIL, x509.UniformResourceIdentifier("https://example.com")),
        (x509.DNSName("example.com"),),
        (x509.UniformResourceIdentifier("release@example.com"),),
        (x509.DirectoryName(forge.name("release@example.com")),),
        (other_name(der("x"), 8),),
        (other_name(b"\x13\x01x"),),
        (other_name(der("")),),
        (other_name(der("release@example.com")),),
        (other_name(der("https://github.com/a/b@refs/heads/main")),),
        (other_name(der("robot!evil!example.com")),),
        (other_name(der("!example.com")),),
        (other_name(der("a\u202eb")),),
        (other_name(der(b"\xff")),),
    ],
)
def test_anything_else_is_no_identity(names: tuple[x509.GeneralName, ...]) -> None:
    identity_of(fulcio({8: ISSUER}, EMAIL))
    with pytest.raises(ValueError, match=r"certificate|utf-8"):
        identity_of(fulcio({8: ISSUER}, *names))


@pytest.mark.parametrize("claims", [{1: ISSUER}, {8: ISSUER}, {1: ISSUER, 8: ISSUER}])
def test_the_issuer_is_read_in_both_forms(claims: Claims) -> None:
    found = identity_of(fulcio(claims, EMAIL))
    assert (found.issuer, found.claims) == (ISSUER, {})


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {1: ""},
        {8: ""},
        {9: ISSUER},
        {1: ISSUER, 8: "https://other.example.com"},
        {1: ISSUER + "/", 8: ISSUER},
        {1: der(ISSUER), 8: ISSUER},
        {8: ISSUER.encode()},
        {8: der(ISSUER)[:-1]},
        {8: der(ISSUER) + b"\0"},
        {8: b"\x0c\x81\x03abc"},
        {8: b"\x0c\x82\x00\x03abc"},
        {8: b"\x0c\x82\x00\x80" + b"a" * 128},
        {8: b"\x0c\x83\x00\x00\x03abc"},
        {8: b"\x0c\x80abc\0\0"},
        {8: b"\x0c\x82\xff"},
        {8: b"\x0c"},
        {8: b""},
        {1: b"\xff"},
        {8: "https://issuer.example.com\n"},
    ],
)
def test_issuers_that_are_absent_or_ambiguous_are_refused(claims: Claims) -> None:
    identity_of(fulcio({8: ISSUER}, EMAIL))
    with pytest.raises(ValueError, match=r"certificate|utf-8"):
        identity_of(fulcio(claims, EMAIL))


def test_claims_have_names() -> None:
    claims: Claims = {
        2: "push",
        5: "a/b",
        6: "refs/heads/main",
        8: ISSUER,
        12: "https://x/a/b",
        99: "not one of Fulcio's",
    }
    assert identity_of(fulcio(claims, EMAIL)).claims == {
        "github_workflow_trigger": "push",
        "github_workflow_repository": "a/b",
        "github_workflow_ref": "refs/heads/main",
        "source_repository_uri": "https://x/a/b",
    }


@given(st.text(max_size=40), st.integers(0, 400))
def test_strings_of_any_length_are_read(text: str, more: int) -> None:
    content = text + "x" * more
    found = identity_of(fulcio({8: ISSUER, 12: content}, EMAIL))
    assert found.claims["source_repository_uri"] == content
