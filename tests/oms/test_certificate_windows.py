"""Certificates whose windows, places and keys differ: all verify but the one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import NOW, Party, anchored, certified, checked, issue, issue_leaf, refused

UNTRUSTED = ReasonCode.CERTIFICATE_UNTRUSTED
EXPIRED = ReasonCode.CERTIFICATE_EXPIRED
EARLY = ReasonCode.CERTIFICATE_NOT_YET_VALID
UNSUITABLE = ReasonCode.CERTIFICATE_UNSUITABLE

DAY = timedelta(days=1)
FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
MEMBERS = ("leaf", "intermediate", "root")
ROLES = {
    "leaf": "the signer's certificate 'CN=Publisher'",
    "intermediate": "the intermediate certificate 'CN=Signing CA'",
    "root": "the trusted certificate 'CN=Root CA'",
}


def chain(**differences: dict[str, Any]) -> tuple[Party, Party, Party]:
    """Leaf, intermediate and root, each valid for a month before and after now."""
    top = issue("Root CA", **differences.get("root", {}))
    middle = issue("Signing CA", top, **differences.get("intermediate", {}))
    return issue_leaf("Publisher", middle, **differences.get("leaf", {})), middle, top


# -- Windows


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(
    ("window", "offset", "code"),
    [
        ({"start": NOW - 10 * DAY}, -11, EARLY),
        ({"end": NOW + 10 * DAY}, 11, EXPIRED),
    ],
)
def test_one_member_is_outside_its_window_while_the_others_are_inside(
    member: str, window: dict[str, Any], offset: int, code: ReasonCode
) -> None:
    """Members were issued before, or for longer than, their issuers; only the time counts."""
    leaf, middle, top = chain(**{member: window})
    for presented in ((leaf, middle), (leaf, middle, top)):
        for inside in (-10, 0, 10):
            checked(certified(*presented), anchored(top), at=NOW + inside * DAY)
        outside = NOW + offset * DAY
        message = refused(code, certified(*presented), anchored(top), at=outside)
        assert ROLES[member] in message


@pytest.mark.parametrize("member", MEMBERS)
def test_the_leafs_first_moment_is_not_the_time(member: str) -> None:
    """At the leaf's own notBefore, which its signer chose, every member was valid."""
    began = {"start": NOW - 20 * DAY}
    expired = {"start": NOW - 30 * DAY, "end": NOW - 10 * DAY}
    differences = {"leaf": began, member: expired | (began if member == "leaf" else {})}
    leaf, middle, top = chain(**differences)
    data = certified(leaf, middle)
    checked(data, anchored(top), at=leaf.certificate.not_valid_before_utc)
    assert ROLES[member] in refused(EXPIRED, data, anchored(top))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_to_the_year_9999_lends_its_life_to_nobody(member: str) -> None:
    for_ever = {name: {"end": FOR_EVER} for name in MEMBERS}
    leaf, middle, top = chain(**for_ever)
    checked(certified(leaf, middle, top), anchored(top))
    leaf, middle, top = chain(**for_ever | {member: {"end": NOW - DAY}})
    message = refused(EXPIRED, certified(leaf, middle, top), anchored(top))
    assert ROLES[member] in message
    leaf, middle, top = chain(**{member: {"end": FOR_EVER}})
    checked(certified(leaf, middle, top), anchored(top))


def test_an_anchor_lower_down_outlives_an_expired_root() -> None:
    leaf, middle, top = chain(root={"end": NOW - DAY})
    refused(EXPIRED, certified(leaf, middle), anchored(top))
    for anchors in ((middle,), (top, middle), (middle, top)):
        signer = checked(certified(leaf, middle, top), anchored(*anchors)).signer
        assert signer.chain == ("CN=Publisher", "CN=Signing CA")


# -- Places


def test_only_the_first_certificate_is_the_signers() -> None:
    leaf, middle, top = chain()
    payload = forge.encode(forge.statement())
    bundle = forge.certificate_bundle(payload, leaf, middle, top)
    checked(forge.encode(bundle), anchored(top))
    presented = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"]
    presented.reverse()
    refused(UNSUITABLE, forge.encode(bundle), anchored(top))
    presented.sort(key=lambda member: member["rawBytes"] != forge.b64(middle.der))
    refused(UNSUITABLE, forge.encode(bundle), anchored(top))


@pytest.mark.parametrize("member", ["intermediate", "root"])
def test_the_right_name_with_another_key_issues_nothing(member: str) -> None:
    """Both authorities of that name are presented, and only the genuine one is trusted."""
    leaf, middle, top = chain()
    other = {"private_key": forge.key("impostor")}
    forged_top = issue("Root CA", private_key=forge.key("other")) if member == "root" else top
    forged_middle = issue("Signing CA", forged_top if member == "root" else None, **other)
    forged = issue_leaf("Publisher", forged_middle)
    authorities = (forged_middle, middle, forged_top, top)
    for others in (authorities, authorities[::-1]):
        refused(UNTRUSTED, certified(forged, *others), anchored(top))
        checked(certified(leaf, *others), anchored(top))


def test_a_root_that_copies_everything_but_the_key_is_not_the_root() -> None:
    identifier = x509.SubjectKeyIdentifier(b"the same for both...")
    issuer = x509.AuthorityKeyIdentifier(identifier.digest, None, None)
    genuine, impostor = (
        issue("Root CA", private_key=forge.key(label), more=[identifier])
        for label in ("genuine", "impostor")
    )
    by_genuine, by_impostor = (
        issue_leaf("Publisher", top, more=[issuer]) for top in (genuine, impostor)
    )
    for anchor, good, bad in (
        (genuine, by_genuine, by_impostor),
        (impostor, by_impostor, by_genuine),
    ):
        checked(certified(good, genuine, impostor), anchored(anchor))
        refused(UNTRUSTED, certified(bad, genuine, impostor), anchored(anchor))


def test_a_cross_signed_authority_leads_to_whichever_root_is_trusted() -> None:
    old, new = issue("Old Root"), issue("New Root")
    by_old, by_new = (
        issue("Signing CA", top, private_key=forge.key("shared")) for top in (old, new)
    )
    leaf = issue_leaf("Publisher", by_old)
    for top, names in ((old, "CN=Old Root"), (new, "CN=New Root")):
        signer = checked(certified(leaf, by_old, by_new), anchored(top)).signer
        assert signer.chain[-1] == names
    refused(UNTRUSTED, certified(leaf, by_old), anchored(new))
    expired = issue("Signing CA", new, private_key=forge.key("shared"), end=NOW - DAY)
    refused(EXPIRED, certified(leaf, expired), anchored(new))
    checked(certified(leaf, expired, by_new), anchored(new))


# -- Chains as they are in the wild


def in_production(**leaf: Any) -> tuple[Party, Party, Party]:
    """P-384 throughout, authorities for ever, neither alternative names nor purposes."""

    def named(common_name: str) -> dict[str, Any]:
        names = [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Corporation"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
        key = forge.key(common_name, ec.SECP384R1)
        return {"subject": x509.Name(names), "private_key": key}

    top = issue("", **named("Capabilities CA"), end=FOR_EVER)
    middle = issue("", top, **named("Capabilities ICA 01"), path_length=0, end=FOR_EVER)
    return issue_leaf("", middle, **named("Signing 001"), **leaf), middle, top


@pytest.mark.parametrize("authority", [False, True, None])
def test_a_chain_as_in_production_verifies(authority: bool | None) -> None:
    """Some real signing certificates are marked as authorities, and issue nothing."""
    leaf, middle, top = in_production(ca=authority)
    for presented in ((leaf, middle, top), (leaf, middle)):
        signer = checked(certified(*presented), anchored(top)).signer
        assert signer.identity == "CN=Signing 001,O=Example Corporation,C=US"
        assert signer.alternative_names == ()
        refused(UNTRUSTED, certified(*presented), anchored(in_production_elsewhere()))
        refused(ReasonCode.TRUST_NOT_CONFIGURED, certified(*presented), Trust())
    refused(EXPIRED, certified(leaf, middle, top), anchored(top), at=NOW + 31 * DAY)


def in_production_elsewhere() -> Party:
    """The same publisher's other root, under a name of its own."""
    return issue("Internal Capabilities CA", end=FOR_EVER)


def test_a_leaf_that_is_marked_as_an_authority_extends_no_path() -> None:
    """Its key usage would let it issue; the length that its own issuer was given does not."""
    both = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    for path_length, is_sound in ((1, True), (0, False)):
        top = issue("Root CA")
        middle = issue("Signing CA", top, path_length=path_length)
        leaf = issue_leaf("Publisher", middle, ca=True, key_usage=both)
        checked(certified(leaf, middle), anchored(top))
        child = certified(issue_leaf("Somebody else", leaf), leaf, middle)
        if is_sound:
            checked(child, anchored(top))
        else:
            refused(UNSUITABLE, child, anchored(top))
