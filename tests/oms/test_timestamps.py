"""What a timestamp by a configured authority proves for signatures by key and certificate."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oms_gate.errors import ConfigError
from oms_gate.oms.evidence import LARGEST_TIMESTAMP, MOST_TIMESTAMPS
from oms_gate.oms.trust import TimestampRoot, Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import NOW, checked, encode, refused
from tests.sigstore.authority import CertificateAuthority
from tests.sigstore.instance import signature_of
from tests.sigstore.timestamps import TIME_STAMPING, TimestampAuthority

EXPIRED = ReasonCode.CERTIFICATE_EXPIRED
# Certificates of forge are valid for thirty days around NOW.
LATER = NOW + timedelta(days=90)
SIGNED_AT = NOW - timedelta(days=2)
LONG: forge.Json = {"start": NOW - timedelta(days=400), "end": NOW + timedelta(days=400)}

ROOT = forge.issue("root", **LONG)
LEAF = forge.issue_leaf("leaf", ROOT)
ROOT_OF_TIME = CertificateAuthority.make()
AUTHORITY = TimestampAuthority.make(ROOT_OF_TIME)
STRANGER = TimestampAuthority.make()


def trusting(pem: bytes | None = None, *anchors: forge.Party) -> Trust:
    authorities = {"authority": TimestampRoot.from_pem("authority", pem or AUTHORITY.root_pem)}
    trust = forge.anchored(*(anchors or (ROOT,)))
    return dataclasses.replace(trust, timestamp_authorities=authorities)


def certified(*chain: forge.Party) -> forge.Json:
    return forge.certificate_bundle(encode(forge.statement()), *(chain or (LEAF,)))


def stamped(
    made: forge.Json,
    authority: TimestampAuthority = AUTHORITY,
    at: datetime = SIGNED_AT,
    **how: Any,
) -> bytes:
    """The bundle with one more timestamp over its signature."""
    return with_timestamp(made, authority.timestamp(signature_of(made), at, **how))


def with_timestamp(made: forge.Json, *timestamps: bytes) -> bytes:
    material = made["verificationMaterial"]
    data = material.setdefault("timestampVerificationData", {"rfc3161Timestamps": []})
    data["rfc3161Timestamps"] += [{"signedTimestamp": forge.b64(one)} for one in timestamps]
    return encode(made)


def test_a_timestamp_outlives_the_certificate() -> None:
    bundle = stamped(certified())
    found = checked(bundle, trusting(), at=LATER)
    assert [(time.source, time.time) for time in found.times] == [
        ("timestamp-authority", SIGNED_AT)
    ]
    assert found.signer.expired_at == LEAF.certificate.not_valid_after_utc
    assert "timestamp" in refused(EXPIRED, encode(certified()), trusting(), at=LATER)
    refused(EXPIRED, bundle, forge.anchored(ROOT), at=LATER)


def test_a_certificate_in_time_needs_no_timestamp_and_has_not_expired() -> None:
    for bundle in (stamped(certified()), encode(certified())):
        assert checked(bundle, trusting()).signer.expired_at is None
    assert len(checked(stamped(certified()), trusting()).times) == 1
    # What nobody here can judge proves nothing, and forbids nothing.
    for foreign in (stamped(certified(), STRANGER), with_timestamp(certified(), b"junk")):
        assert checked(foreign, trusting()).times == ()
    assert checked(stamped(certified()), forge.anchored(ROOT)).times == ()


def test_keys_have_proven_times_too() -> None:
    payload = encode(forge.statement())
    trust = dataclasses.replace(trusting(), keys=forge.trusting().keys, certificates={})
    bundle = stamped(forge.key_bundle(payload))
    assert [time.time for time in checked(bundle, trust).times] == [SIGNED_AT]
    assert checked(encode(forge.key_bundle(payload)), trust).times == ()


def test_every_member_must_have_been_valid_at_the_proven_time() -> None:
    intermediate = forge.issue("intermediate", ROOT, end=NOW + timedelta(days=60))
    late = forge.issue("late intermediate", ROOT, start=NOW, end=NOW + timedelta(days=60))
    good, bad = (forge.issue_leaf("signer", issuer, end=LATER) for issuer in (intermediate, late))
    found = checked(stamped(certified(good, intermediate)), trusting(), at=LATER)
    assert found.signer.expired_at == intermediate.certificate.not_valid_after_utc
    refused(EXPIRED, stamped(certified(bad, late)), trusting(), at=LATER)
    checked(stamped(certified(bad, late), at=NOW + timedelta(1)), trusting(), at=LATER)
    young_root = forge.issue("young root", start=NOW, end=LATER - timedelta(1))
    leaf = forge.issue_leaf("signer", young_root, end=NOW + timedelta(30))
    trust = trusting(None, young_root)
    refused(EXPIRED, stamped(certified(leaf)), trust, at=LATER)
    checked(stamped(certified(leaf), at=NOW + timedelta(1)), trust, at=LATER)


@pytest.mark.parametrize(
    "at",
    [
        LEAF.certificate.not_valid_after_utc + timedelta(seconds=1),
        LEAF.certificate.not_valid_before_utc - timedelta(seconds=1),
    ],
)
def test_a_timestamp_outside_the_certificates_validity_is_of_no_use(at: datetime) -> None:
    refused(EXPIRED, stamped(certified(), at=at), trusting(), at=LATER)
    edge = at - (at - NOW) / abs((at - NOW).total_seconds())
    checked(stamped(certified(), at=edge), trusting(), at=LATER)


def test_a_timestamp_from_the_future_proves_nothing() -> None:
    bundle = stamped(certified(), at=SIGNED_AT)
    assert len(checked(bundle, trusting(), at=SIGNED_AT).times) == 1
    assert checked(bundle, trusting(), at=SIGNED_AT - timedelta(seconds=1)).times == ()


def test_a_timestamp_does_not_make_a_certificate_valid_before_its_time() -> None:
    young = forge.issue_leaf("young", ROOT, start=NOW + timedelta(1))
    bundle = stamped(certified(young))
    refused(ReasonCode.CERTIFICATE_NOT_YET_VALID, bundle, trusting())
    checked(bundle, trusting(), at=NOW + timedelta(2))


def test_other_flaws_are_not_forgiven() -> None:
    web = forge.issue_leaf("web", ROOT, more=[forge.TLS_SERVER])
    refused(EXPIRED, stamped(certified(web)), trusting(), at=LATER)
    refused(ReasonCode.CERTIFICATE_UNTRUSTED, stamped(certified()), trusting(None, web), at=LATER)
    bundle = certified()
    another = certified(LEAF)
    another["dsseEnvelope"]["payload"] = forge.b64(encode(forge.statement({"a": b"b"})))
    refused(ReasonCode.SIGNATURE_INVALID, stamped(another), trusting(), at=LATER)
    checked(stamped(bundle), trusting(), at=LATER)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("embedded", [True, False])
def test_timestamps_of_every_usual_kind_count(algorithm: str, embedded: bool) -> None:
    bundle = stamped(certified(), algorithm=algorithm, embedded=embedded)
    # Without the certificate in the timestamp, the authority's must be configured.
    trust = trusting(AUTHORITY.root_pem if embedded else AUTHORITY.pem)
    assert len(checked(bundle, trust, at=LATER).times) == 1
    if not embedded:
        refused(EXPIRED, bundle, trusting(), at=LATER)


def test_a_configured_authority_is_that_one_and_no_other_of_its_root() -> None:
    sibling = TimestampAuthority.make(ROOT_OF_TIME)
    for authority, pem in ((sibling, AUTHORITY.pem), (AUTHORITY, sibling.pem)):
        refused(EXPIRED, stamped(certified(), authority), trusting(pem), at=LATER)
        checked(stamped(certified(), authority), trusting(authority.pem), at=LATER)
        checked(stamped(certified(), authority), trusting(AUTHORITY.root_pem), at=LATER)


BAD_AUTHORITIES: dict[str, forge.Json] = {
    "no purpose": {"critical": []},
    "purpose not critical": {"critical": [], "more": [TIME_STAMPING]},
    "another purpose": {"critical": [forge.CODE_SIGNING]},
    "expired": {"end": SIGNED_AT - timedelta(seconds=1)},
    "not yet valid": {"start": SIGNED_AT + timedelta(seconds=1)},
}


@pytest.mark.parametrize("flaw", BAD_AUTHORITIES)
def test_an_authority_that_may_not_stamp_proves_nothing(flaw: str) -> None:
    bad = TimestampAuthority.make(ROOT_OF_TIME, **BAD_AUTHORITIES[flaw])
    for pem in (AUTHORITY.root_pem, bad.pem):
        refused(EXPIRED, stamped(certified(), bad), trusting(pem), at=LATER)
    twin = TimestampAuthority.make(ROOT_OF_TIME)
    checked(stamped(certified(), twin), trusting(twin.pem), at=LATER)


def test_a_timestamp_over_something_else_proves_nothing() -> None:
    over_other = AUTHORITY.timestamp(b"another signature", SIGNED_AT)
    refused(EXPIRED, with_timestamp(certified(), over_other), trusting(), at=LATER)
    over_weak = stamped(certified(), algorithm="sha1")
    refused(EXPIRED, over_weak, trusting(), at=LATER)


def test_one_good_timestamp_among_others_is_enough() -> None:
    made = certified()
    stamped(made, STRANGER)
    with_timestamp(made, b"junk")
    bundle = stamped(made)
    assert len(checked(bundle, trusting(), at=LATER).times) == 1
    twice = with_timestamp(made, *2 * [AUTHORITY.timestamp(b"", SIGNED_AT)])
    assert len(checked(twice, trusting(), at=LATER).times) == 1


def test_the_same_timestamp_counts_once() -> None:
    made = certified()
    stamped(made)
    entries = made["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    entries += entries
    assert len(checked(encode(made), trusting()).times) == 1
    assert len(checked(stamped(made, at=NOW - timedelta(1)), trusting()).times) == 2


MALFORMED: dict[str, forge.Change] = {
    "too many": lambda data: data["rfc3161Timestamps"].append({"signedTimestamp": "AAAA"}),
    "not base64": lambda data: data["rfc3161Timestamps"][0].update(signedTimestamp="AAA"),
    "unknown member": lambda data: data["rfc3161Timestamps"][0].update(time="now"),
    "unknown kind": lambda data: data.update(rfc3161=[]),
}


@pytest.mark.parametrize("flaw", MALFORMED)
def test_timestamps_are_read_strictly(flaw: str) -> None:
    made = certified()
    checked(with_timestamp(made, *[b"junk"] * MOST_TIMESTAMPS), trusting())
    MALFORMED[flaw](made["verificationMaterial"]["timestampVerificationData"])
    refused(ReasonCode.BUNDLE_MALFORMED, encode(made), trusting())


def test_a_timestamp_has_a_size() -> None:
    """What is inside is decoded by slower code, before anybody knows who made it."""
    checked(with_timestamp(certified(), bytes(LARGEST_TIMESTAMP)), trusting())
    larger = with_timestamp(certified(), bytes(LARGEST_TIMESTAMP + 1))
    refused(ReasonCode.BUNDLE_MALFORMED, larger, trusting())


def test_of_several_times_one_in_the_certificates_validity_is_enough() -> None:
    made = certified()
    stamped(made, at=LEAF.certificate.not_valid_before_utc - timedelta(seconds=1))
    refused(EXPIRED, encode(made), trusting(), at=LATER)
    found = checked(stamped(made), trusting(), at=LATER)
    assert len(found.times) == 2
    assert found.signer.expired_at is not None


@pytest.mark.parametrize("anchors", [slice(0, 1), slice(0, 2)], ids=["signer", "without the root"])
def test_an_authority_is_configured_with_its_root(anchors: slice) -> None:
    middle = CertificateAuthority.make(ROOT_OF_TIME)
    chain = TimestampAuthority.make(middle).chain
    TimestampRoot.from_pem("tsa", b"".join(member.pem for member in chain))
    with pytest.raises(ConfigError, match="timestamp authority 'tsa' do not include its root"):
        TimestampRoot.from_pem("tsa", b"".join(member.pem for member in chain[anchors]))


def test_times_are_in_utc() -> None:
    assert checked(stamped(certified()), trusting()).times[0].time.tzinfo is UTC
