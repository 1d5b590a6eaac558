"""The certificate method: every member of a chain must be right, and one is wrong at a time."""

from __future__ import annotations

import copy
import dataclasses
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.errors import StepError
from oms_gate.oms.trust import CertificateRoot, Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import (
    CERT_SIGN,
    CODE_SIGNING,
    NOW,
    TLS_SERVER,
    Party,
    anchored,
    certified,
    checked,
    encode,
    issue,
    issue_leaf,
    refused,
)
from tests.sigstore import der

UNTRUSTED = ReasonCode.CERTIFICATE_UNTRUSTED
EXPIRED = ReasonCode.CERTIFICATE_EXPIRED
EARLY = ReasonCode.CERTIFICATE_NOT_YET_VALID
UNSUITABLE = ReasonCode.CERTIFICATE_UNSUITABLE

DAY = timedelta(days=1)


def chain(
    root: dict[str, Any] | None = None,
    intermediate: dict[str, Any] | None = None,
    leaf: dict[str, Any] | None = None,
) -> tuple[Party, Party, Party]:
    """Leaf, intermediate and root, with differences from the usual settings."""
    top = issue("Root CA", **(root or {}))
    middle = issue("Signing CA", top, **(intermediate or {}))
    return issue_leaf("Publisher", middle, **(leaf or {})), middle, top


def test_a_chain_leads_to_its_root() -> None:
    leaf, middle, top = chain()
    verified = checked(certified(leaf, middle), anchored(top))
    signer = verified.signer
    assert verified.method == signer.method == "certificate"
    assert signer.identity == signer.subject == "CN=Publisher"
    assert signer.issuer == "CN=Signing CA"
    assert signer.chain == ("CN=Publisher", "CN=Signing CA", "CN=Root CA")
    assert signer.root.name == "anchors"
    assert signer.root.sha256 == forge.sha256(top.der)
    assert signer.alternative_names == ()
    assert verified.times == ()


def test_chains_may_hold_the_root_strangers_and_any_order() -> None:
    leaf, middle, top = chain()
    stranger = issue("Stranger")
    for others in ((middle, top), (top, middle), (stranger, middle), (middle, leaf, middle)):
        checked(certified(leaf, *others), anchored(top))


UNUSABLE: dict[str, dict[str, Any]] = {
    "for web servers": {"more": [TLS_SERVER]},
    "that may sign no certificates": {"key_usage": forge.DIGITAL_SIGNATURE},
    "that is none": {"ca": False},
    "for some names": {"more": [x509.NameConstraints([x509.DNSName("example.com")], None)]},
}


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_an_authority_may_have_a_double_that_is_unusable(flaw: str) -> None:
    """Both have one name and key, so that either could have issued the signer's certificate."""
    top = issue("Root CA")
    good, bad = issue("Middle", top), issue("Middle", top, **UNUSABLE[flaw])
    leaf = issue_leaf("Leaf", good)
    for doubles in ((good, bad), (bad, good)):
        checked(certified(leaf, *doubles), anchored(top))
        checked(certified(leaf), anchored(*doubles))
    refused(UNSUITABLE, certified(leaf, bad), anchored(top))
    refused(UNSUITABLE, certified(leaf), anchored(bad))


def test_a_root_that_is_not_trusted_is_no_part_of_the_path() -> None:
    """As where an authority has a new key, which the old one certifies."""
    old = issue("CA", private_key=forge.key("old"))
    new = [issue("CA", private_key=forge.key("new")) for _ in range(14)]
    link = issue("CA", old, private_key=forge.key("new"))
    leaf = issue_leaf("Leaf", new[0])
    for others in ((link, new[0]), (new[0], link), (*new, link)):
        found = checked(certified(leaf, *others), anchored(old))
        assert found.signer.chain == ("CN=Leaf", "CN=CA", "CN=CA")
    refused(UNTRUSTED, certified(leaf, *new), anchored(old))


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_each_curve_signs(curve: type[ec.EllipticCurve]) -> None:
    keys = [forge.key(name, curve) for name in ("root", "middle", "leaf")]
    members = chain(*({"private_key": key} for key in keys))
    checked(certified(*members[:2]), anchored(members[2]))


# -- Anchors


def test_a_root_in_the_bundle_is_never_an_anchor() -> None:
    members = chain()
    checked(certified(*members), anchored(members[2]))
    message = refused(UNTRUSTED, certified(*members), anchored(issue("Another Root")))
    assert "CN=Root CA" in message
    alone = issue_leaf("Alone")
    refused(UNTRUSTED, certified(alone), anchored(members[2]))


def test_a_plausible_root_is_not_the_root() -> None:
    leaf, middle, top = chain()
    impostor = issue("Root CA", private_key=forge.key("impostor"))
    refused(UNTRUSTED, certified(leaf, middle, top), anchored(impostor))
    refused(UNTRUSTED, certified(leaf, middle), anchored(impostor))
    checked(certified(leaf, middle), anchored(impostor, top))


def test_an_intermediate_or_a_leaf_may_be_pinned() -> None:
    leaf, middle, top = chain()
    other_leaf = issue_leaf("Other publisher", middle)
    for presented in ((leaf,), (leaf, middle), (leaf, middle, top)):
        assert checked(certified(*presented), anchored(middle)).signer.chain == (
            "CN=Publisher",
            "CN=Signing CA",
        )
        assert checked(certified(*presented), anchored(leaf)).signer.chain == ("CN=Publisher",)
    refused(UNTRUSTED, certified(other_leaf, middle, top), anchored(leaf))
    sibling = issue("Other CA", top)
    refused(UNTRUSTED, certified(issue_leaf("P", sibling), sibling, top), anchored(middle))


def test_a_self_signed_leaf_may_be_pinned_and_signs_for_itself_only() -> None:
    alone = issue_leaf("Alone")
    assert checked(certified(alone), anchored(alone)).signer.chain == ("CN=Alone",)
    refused(UNSUITABLE, certified(issue_leaf("Child", alone), alone), anchored(alone))


def test_a_missing_intermediate_is_named() -> None:
    leaf, middle, top = chain()
    checked(certified(leaf, middle), anchored(top))
    assert "CN=Signing CA" in refused(UNTRUSTED, certified(leaf), anchored(top))


def test_the_root_that_verified_is_reported() -> None:
    leaf, middle, top = chain()
    roots = {
        name: CertificateRoot.from_pem(name, pem)
        for name, pem in {"a": issue("A").pem, "b": issue("B").pem + top.pem}.items()
    }
    root = checked(certified(leaf, middle), Trust(certificates=roots)).signer.root
    assert (root.name, root.sha256) == ("b", forge.sha256(top.der))


def test_no_anchor_means_no_trust_and_not_the_webs_roots() -> None:
    refused(ReasonCode.TRUST_NOT_CONFIGURED, certified(*chain()), Trust())
    refused(ReasonCode.TRUST_NOT_CONFIGURED, certified(*chain()), forge.trusting())


# -- Validity

MEMBERS = ("leaf", "intermediate", "root")
ROLES = {
    "leaf": "the signer's certificate 'CN=Publisher'",
    "intermediate": "the intermediate certificate 'CN=Signing CA'",
    "root": "the trusted certificate 'CN=Root CA'",
}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(
    ("sound", "attack", "code"),
    [
        ({"end": NOW}, {"end": NOW - timedelta(seconds=1)}, EXPIRED),
        ({"start": NOW}, {"start": NOW + timedelta(seconds=1)}, EARLY),
    ],
)
def test_one_member_outside_its_validity(
    member: str, sound: dict[str, Any], attack: dict[str, Any], code: ReasonCode
) -> None:
    for difference, is_sound in ((sound, True), (attack, False)):
        leaf, middle, top = chain(**{member: difference})
        for presented in ((leaf, middle), (leaf, middle, top)):
            if is_sound:
                checked(certified(*presented), anchored(top))
            else:
                message = refused(code, certified(*presented), anchored(top))
                assert ROLES[member] in message


def test_the_time_is_that_of_verification_not_of_signing() -> None:
    leaf, middle, top = chain(leaf={"start": NOW - DAY, "end": NOW + DAY})
    data = certified(leaf, middle)
    checked(data, anchored(top))
    refused(EXPIRED, data, anchored(top), at=NOW + 2 * DAY)
    refused(EARLY, data, anchored(top), at=NOW - 2 * DAY)


def test_disjoint_validities_never_verify() -> None:
    # The intermediate expired before the leaf was issued, so no time at all suits both.
    leaf, middle, top = chain(
        intermediate={"start": NOW - 20 * DAY, "end": NOW - 10 * DAY},
        leaf={"start": NOW - 5 * DAY, "end": NOW + 5 * DAY},
    )
    for offset in (-15, -7, 0):
        refused(
            EARLY if offset < -5 else EXPIRED,
            certified(leaf, middle),
            anchored(top),
            at=NOW + offset * DAY,
        )


def test_pinned_members_expire_too() -> None:
    leaf, middle, _ = chain(intermediate={"end": NOW - DAY})
    refused(EXPIRED, certified(leaf, middle), anchored(middle))
    leaf, middle, _ = chain(leaf={"end": NOW - DAY})
    refused(EXPIRED, certified(leaf, middle), anchored(leaf))


def test_a_renewed_root_takes_over_from_the_expired_one() -> None:
    old = issue("Root CA", end=NOW - DAY)
    new = issue("Root CA")
    leaf = issue_leaf("Publisher", new)
    for anchors in ((old, new), (new, old)):
        checked(certified(leaf, old), anchored(*anchors))
    refused(EXPIRED, certified(leaf, new), anchored(old))


def test_certificates_to_the_year_9999_verify() -> None:
    for_ever = {"end": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}
    leaf, middle, top = chain(for_ever, for_ever, for_ever)
    checked(certified(leaf, middle), anchored(top))
    checked(certified(leaf, middle), anchored(top), at=datetime(9999, 12, 31, tzinfo=UTC))


def test_the_time_must_have_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        checked(certified(*chain()), at=NOW.replace(tzinfo=None))


# -- Suitability


def usage(*purposes: x509.ObjectIdentifier) -> dict[str, Any]:
    return {"more": [x509.ExtendedKeyUsage(purposes)]}


CODE = ExtendedKeyUsageOID.CODE_SIGNING
WEB = ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
NON_REPUDIATION = x509.KeyUsage(False, True, False, False, False, False, False, False, False)
ED25519 = ed25519.Ed25519PrivateKey.generate()
CONSTRAINED = {"more": [x509.NameConstraints([x509.DNSName("example.com")], None)]}


@pytest.mark.parametrize(
    ("member", "sound", "attack"),
    [
        ("leaf", usage(CODE), usage(WEB)),
        ("leaf", usage(CODE, WEB), usage(WEB, ANY)),
        ("leaf", {}, usage(ANY)),
        ("leaf", {"key_usage": None}, {"key_usage": NON_REPUDIATION}),
        ("leaf", {}, {"key_usage": CERT_SIGN}),
        ("leaf", {"ca": True}, {"ca": True, "key_usage": CERT_SIGN}),
        ("leaf", {"ca": None}, {"ca": None, "key_usage": CERT_SIGN}),
        ("intermediate", usage(CODE), usage(WEB)),
        ("intermediate", usage(CODE, ANY), usage(ANY)),
        ("intermediate", {}, {"ca": False}),
        ("intermediate", {}, {"ca": None}),
        ("intermediate", {"key_usage": None}, {"key_usage": forge.DIGITAL_SIGNATURE}),
        ("intermediate", {"path_length": 0}, CONSTRAINED),
        (
            "intermediate",
            {"private_key": forge.rsa_key(2048, "intermediate")},
            {"private_key": forge.rsa_key(1024, "intermediate")},
        ),
        (
            "intermediate",
            {"private_key": forge.key("i", ec.SECP384R1)},
            {"private_key": forge.key("i", ec.SECP256K1)},
        ),
        ("root", usage(CODE), usage(WEB)),
        ("root", {}, {"ca": False}),
        ("root", {"path_length": 1}, {"path_length": 0}),
        ("root", {"key_usage": None}, {"key_usage": forge.DIGITAL_SIGNATURE}),
        (
            "root",
            {"private_key": forge.rsa_key(2048, "root")},
            {"private_key": forge.rsa_key(1024, "root")},
        ),
    ],
)
def test_one_unsuitable_member(member: str, sound: dict[str, Any], attack: dict[str, Any]) -> None:
    for difference, is_sound in ((sound, True), (attack, False)):
        leaf, middle, top = chain(**{member: difference})
        if is_sound:
            checked(certified(leaf, middle, top), anchored(top))
        else:
            refused(UNSUITABLE, certified(leaf, middle, top), anchored(top))
            refused(UNSUITABLE, certified(leaf, middle), anchored(top))


def test_signers_have_keys_on_the_three_curves() -> None:
    """Validly certified, and each refused before its signature is looked at."""
    payload = encode(forge.statement())
    middle = issue("Signing CA")
    for private_key in (forge.key("k", ec.SECP256K1), forge.rsa_key(2048), ED25519):
        leaf = issue_leaf("Publisher", middle, private_key=private_key)
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": forge.b64(leaf.der)}]}}
        data = encode(forge.bundle(payload, b"\0", material))
        assert "P-256" in refused(UNSUITABLE, data, anchored(middle))


def test_sha1_is_refused_below_the_anchor() -> None:
    root = issue("Root CA", private_key=forge.rsa_key(2048, "root"))
    middle = issue("Signing CA", root, private_key=forge.rsa_key(2048, "middle"))
    leaf = issue_leaf("Publisher", middle)
    checked(certified(leaf, middle), anchored(root))
    weak_leaf, weak_middle = forge.with_sha1(leaf, middle), forge.with_sha1(middle, root)
    for attack in ((weak_leaf, middle), (leaf, weak_middle)):
        assert "hash function" in refused(UNSUITABLE, certified(*attack), anchored(root))
    # What an anchor signed itself with decides nothing.
    checked(certified(leaf, middle), anchored(forge.with_sha1(root, root)))


def test_path_lengths_are_counted() -> None:
    root = issue("Root CA", path_length=1)
    first = issue("First CA", root, path_length=0)
    second = issue("Second CA", first)
    checked(certified(issue_leaf("P", first), first), anchored(root))
    refused(UNSUITABLE, certified(issue_leaf("P", second), second, first), anchored(root))


def test_a_leaf_cannot_issue() -> None:
    leaf, middle, top = chain()
    forged = issue_leaf("Somebody else", leaf)
    refused(UNSUITABLE, certified(forged, leaf, middle), anchored(top))
    # Even where the leaf is marked as an authority, as some real ones are.
    leaf, middle, top = chain(leaf={"ca": True})
    checked(certified(leaf, middle), anchored(top))
    refused(UNSUITABLE, certified(issue_leaf("Somebody else", leaf), leaf, middle), anchored(top))


def test_unknown_critical_extensions_are_refused() -> None:
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
    unknown = x509.UnrecognizedExtension(oid, b"\x05\x00")
    leaf, middle, top = chain(leaf={"more": [unknown]})
    checked(certified(leaf, middle), anchored(top))
    builder_leaf = issue_leaf("Publisher", middle, critical=[unknown])
    refused(UNSUITABLE, certified(builder_leaf, middle), anchored(top))


def test_endless_chains_end() -> None:
    one, other = forge.key("one"), forge.key("other")
    ones = [
        issue("One", Party(issue("Other").certificate, other), private_key=one) for _ in range(7)
    ]
    others = [issue("Other", Party(ones[0].certificate, one), private_key=other) for _ in range(7)]
    leaf = issue_leaf("Publisher", ones[0])
    started = datetime.now(UTC)
    refused(UNTRUSTED, certified(leaf, *ones, *others), anchored(issue("Root CA")))
    assert datetime.now(UTC) - started < timedelta(seconds=1)


# -- The signature


def test_the_key_of_the_leaf_signs() -> None:
    leaf, middle, top = chain()
    thief = dataclasses.replace(leaf, private_key=forge.key("thief"))
    refused(ReasonCode.SIGNATURE_INVALID, certified(thief, middle), anchored(top))
    # Signed by the intermediate's key is not signed by the leaf's.
    borrowed = dataclasses.replace(leaf, private_key=middle.private_key)
    refused(ReasonCode.SIGNATURE_INVALID, certified(borrowed, middle), anchored(top))


def test_an_authority_that_signs_models_itself_is_unsuitable() -> None:
    _, middle, top = chain()
    refused(UNSUITABLE, certified(middle, top), anchored(top))


# -- Damage


@pytest.mark.parametrize("der", [b"\0", b"\x30\x00", b"", bytes(3000)])
def test_what_is_not_a_certificate_is_malformed(der: bytes) -> None:
    leaf, middle, top = chain()
    bundle = forge.certificate_bundle(encode(forge.statement()), leaf, middle)
    for position in (0, 1):
        bad = copy.deepcopy(bundle)
        members = bad["verificationMaterial"]["x509CertificateChain"]["certificates"]
        members[position]["rawBytes"] = forge.b64(der)
        refused(ReasonCode.BUNDLE_MALFORMED, encode(bad), anchored(top))


@pytest.mark.parametrize("position", [0, 1])
def test_nothing_follows_a_certificate(position: int) -> None:
    leaf, middle, top = chain()
    bundle = forge.certificate_bundle(encode(forge.statement()), leaf, middle)
    checked(encode(bundle), anchored(top))
    member = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][position]
    for other in ((leaf, middle)[position].der + b"\0", (leaf, middle)[position].pem):
        member["rawBytes"] = forge.b64(other)
        refused(ReasonCode.BUNDLE_MALFORMED, encode(bundle), anchored(top))


@cache
def sample() -> tuple[forge.Json, Trust, tuple[bytes, ...]]:
    members = chain(leaf={"more": [CODE_SIGNING]})
    bundle = forge.certificate_bundle(encode(forge.statement()), *members[:2])
    return bundle, anchored(members[2]), tuple(member.der for member in members[:2])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_damaged_certificate_verifies(data: st.DataObject) -> None:
    bundle, trust, members = sample()
    checked(encode(bundle), trust)
    member = data.draw(st.integers(0, 1))
    der = bytearray(members[member])
    position = data.draw(st.integers(0, len(der) - 1))
    der[position] ^= data.draw(st.integers(1, 255))
    damaged = copy.deepcopy(bundle)
    presented = damaged["verificationMaterial"]["x509CertificateChain"]["certificates"]
    presented[member]["rawBytes"] = forge.b64(bytes(der))
    with pytest.raises(StepError):
        checked(encode(damaged), trust)


def test_a_web_certificate_does_not_sign_models() -> None:
    web = {"more": [TLS_SERVER, x509.SubjectAlternativeName([x509.DNSName("example.com")])]}
    signing = {"more": [CODE_SIGNING, x509.SubjectAlternativeName([x509.DNSName("example.com")])]}
    leaf, middle, top = chain(leaf=signing)
    checked(certified(leaf, middle), anchored(top))
    leaf, middle, top = chain(leaf=web)
    refused(UNSUITABLE, certified(leaf, middle), anchored(top))


def test_a_signature_has_no_bits_to_spare() -> None:
    """DER counts them in a byte that nobody signs: whoever passes it on can change it."""
    top = forge.issue("top")
    # About every second signature ends in a bit that could as well be spare.
    leaves = (forge.issue_leaf("leaf", top) for _ in range(64))
    leaf = next(leaf for leaf in leaves if leaf.der[-1] % 2 == 0)
    checked(certified(leaf), anchored(top))
    place = -len(leaf.certificate.signature) - 1
    spare = leaf.der[:place] + b"\1" + leaf.der[place + 1 :]
    changed = forge.Party(forge.load(spare), leaf.private_key)
    assert changed.certificate.signature == leaf.certificate.signature
    refused(UNSUITABLE, certified(changed), anchored(top))


def test_a_certificate_of_version_1_is_named_for_it() -> None:
    """As openssl issues them where nobody asks for extensions."""
    top = forge.issue("top")
    checked(certified(forge.issue_leaf("leaf", top)), anchored(top))
    assert "X.509 version before 3" in refused(UNSUITABLE, certified(version_1(top)), anchored(top))


def version_1(issuer: forge.Party) -> forge.Party:
    """A certificate without version and extensions."""
    plain = forge.issue_leaf("leaf", issuer, ca=None, key_usage=None)
    _, algorithm, _ = (der.tlv(*part) for part in der.read(next(der.read(plain.der))[1]))
    parts = der.read(next(der.read(plain.certificate.tbs_certificate_bytes))[1])
    body = der.sequence(*[der.tlv(*part) for part in list(parts)[1:]])
    signature = issuer.private_key.sign(body, ec.ECDSA(hashes.SHA256()))
    whole = der.sequence(body, algorithm, der.tlv(der.BIT_STRING, b"\0", signature))
    return forge.Party(forge.load(whole), plain.private_key)
