"""RFC 3161 timestamps in Sigstore bundles: right ones, and forged ones.

Each forgery is signed validly by somebody, and everything else in its bundle is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rfc3161_client import decode_timestamp_response

from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import NOW, TLS_SERVER, b64
from tests.sigstore.authority import CertificateAuthority
from tests.sigstore.instance import Sigstore, payload_of, signature_of, stamp
from tests.sigstore.timestamps import (
    GRANTED_WITH_CHANGES,
    REJECTED,
    TIME_STAMPING,
    TimestampAuthority,
)
from tests.sigstore.trust import Json
from tests.sigstore.verdicts import PAYLOAD, admitted, refused, timestamps

SECOND = timedelta(seconds=1)
SIGSTORE = Sigstore()
CLOCK = SIGSTORE.timestamp_authority


def unstamped(rekor: int) -> Json:
    """A bundle without timestamp, which is good as it is where a log of version 1 promised it."""
    return SIGSTORE.sign(PAYLOAD, rekor=1 if rekor == 1 else 2, stamped=False)


def stamped_by(bundle: Json, timestamp: bytes) -> Json:
    """The bundle with this timestamp alone."""
    data = {"rfc3161Timestamps": [{"signedTimestamp": b64(timestamp)}]}
    bundle["verificationMaterial"]["timestampVerificationData"] = data
    return bundle


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"algorithm": "sha384"},
        {"algorithm": "sha512"},
        {"embedded": False},
        {"nonce": 1},
        {"nonce": (1 << 64) - 1, "embedded": False, "algorithm": "sha512"},
    ],
    ids=str,
)
def test_timestamps_of_every_kind(rekor: int, how: Json) -> None:
    bundle = unstamped(rekor)
    stamp(bundle, CLOCK, NOW + SECOND, **how)
    assert admitted(bundle, SIGSTORE).times[-1].time == NOW + SECOND


def test_what_is_asked_for_is_in_the_response() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for embedded in (True, False):
        made = CLOCK.timestamp(b"message", at, nonce=128, embedded=embedded)
        response = decode_timestamp_response(made)
        assert (response.tst_info.gen_time, response.tst_info.nonce) == (at, 128)
        assert len(response.signed_data.certificates) == embedded


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_authorities_with_intermediates(levels: int) -> None:
    above = CertificateAuthority.make()
    for _ in range(levels - 1):
        above = CertificateAuthority.make(under=above)
    changed = dataclasses.replace(SIGSTORE, timestamp_authority=TimestampAuthority.make(above))
    admitted(changed.sign(PAYLOAD, rekor=2), changed)


def test_all_timestamps_are_reported() -> None:
    bundle = unstamped(1)
    for seconds in (3, 1, 2):
        stamp(bundle, CLOCK, NOW + seconds * SECOND)
    assert [time.time for time in admitted(bundle, SIGSTORE).times] == [
        NOW,
        *(NOW + seconds * SECOND for seconds in (3, 1, 2)),
    ]


# -- Forgeries


def of_another_message(bundle: Json) -> bytes:
    return CLOCK.timestamp(payload_of(bundle))


def of_its_text(bundle: Json) -> bytes:
    return CLOCK.timestamp(b64(signature_of(bundle)).encode())


def by_another(**differences: Any) -> Callable[[Json], bytes]:
    """By another certificate of the same authority."""
    authority = CertificateAuthority(CLOCK.chain[1:])
    other = TimestampAuthority.make(authority, **differences)
    return lambda bundle: other.timestamp(signature_of(bundle))


def by_a_stranger(*, embedded: bool) -> Callable[[Json], bytes]:
    stranger = TimestampAuthority.make()
    return lambda bundle: stranger.timestamp(signature_of(bundle), embedded=embedded)


def under_its_name(bundle: Json) -> bytes:
    """By a stranger's key, in the name of the right certificate, which is embedded."""
    false = forge.Party(CLOCK.chain[0].certificate, forge.key("stranger"))
    return TimestampAuthority((false, *CLOCK.chain[1:])).timestamp(signature_of(bundle))


def by_its_superior(*, embedded: bool) -> Callable[[Json], bytes]:
    """By the root, which certifies the authority but makes no timestamps."""
    root = TimestampAuthority(CLOCK.chain[1:])
    return lambda bundle: root.timestamp(signature_of(bundle), embedded=embedded)


FORGERIES: dict[str, Callable[[Json], bytes]] = {
    "of the payload": of_another_message,
    "of the signature's base64": of_its_text,
    "of nothing": lambda _: CLOCK.timestamp(b""),
    "by a stranger": by_a_stranger(embedded=True),
    "by a stranger who is not embedded": by_a_stranger(embedded=False),
    "by a stranger in the right name": under_its_name,
    "by another certificate of the same authority": by_another(),
    "by the root above it": by_its_superior(embedded=True),
    "by the root above it, which is not embedded": by_its_superior(embedded=False),
    "rejected": lambda b: CLOCK.timestamp(signature_of(b), status=REJECTED),
    "granted with changes": lambda b: CLOCK.timestamp(signature_of(b), status=GRANTED_WITH_CHANGES),
    "with a weak hash": lambda b: CLOCK.timestamp(signature_of(b), algorithm="sha1"),
    "cut short": lambda b: CLOCK.timestamp(signature_of(b))[:-1],
    "with more behind it": lambda b: CLOCK.timestamp(signature_of(b)) + b"\0",
    "no timestamp at all": lambda _: b"0",
}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(FORGERIES))
def test_forged_timestamps_are_refused(what: str, rekor: int) -> None:
    """Also where the log proves the time, and no timestamp is needed."""
    bundle = unstamped(rekor)
    admitted(stamped_by(bundle, CLOCK.timestamp(signature_of(bundle))), SIGSTORE)
    refused(stamped_by(bundle, FORGERIES[what](bundle)), SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(FORGERIES))
def test_a_right_timestamp_does_not_carry_a_forged_one(what: str, rekor: int) -> None:
    bundle = unstamped(rekor)
    right = CLOCK.timestamp(signature_of(bundle))
    forged = FORGERIES[what](bundle)
    for both in ((right, forged), (forged, right)):
        data = [{"signedTimestamp": b64(timestamp)} for timestamp in both]
        bundle["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": data}
        refused(bundle, SIGSTORE)


def test_the_same_timestamp_does_not_count_twice() -> None:
    bundle = unstamped(2)
    stamp(bundle, CLOCK)
    timestamps(bundle).append(timestamps(bundle)[0])
    refused(bundle, SIGSTORE)
    timestamps(bundle).pop()
    stamp(bundle, CLOCK)
    admitted(bundle, SIGSTORE)


def test_a_timestamp_needs_an_authority_of_the_root() -> None:
    bundle = unstamped(1)
    admitted(bundle, SIGSTORE)
    admitted(stamped_by(bundle, CLOCK.timestamp(signature_of(bundle))), SIGSTORE)
    alone = TimestampAuthority(CLOCK.chain[:1])
    refused(bundle, dataclasses.replace(SIGSTORE, timestamp_authority=alone))


# -- The authority's certificates


def clock(**differences: Any) -> Sigstore:
    """The same instance with another timestamp authority, which its root trusts."""
    authority = TimestampAuthority.make(**differences)
    return dataclasses.replace(SIGSTORE, timestamp_authority=authority)


PURPOSES: dict[str, Json] = {
    "none": {"critical": []},
    "not critical": {"critical": [], "more": [TIME_STAMPING]},
    "another": {"critical": [TLS_SERVER]},
    "code signing": {"critical": [forge.CODE_SIGNING]},
}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_only_certificates_for_time_stamping_make_timestamps(purpose: str, rekor: int) -> None:
    for embedded in (True, False):
        for sigstore, check in ((clock(), admitted), (clock(**PURPOSES[purpose]), refused)):
            bundle = unstamped(rekor)
            stamp(bundle, sigstore.timestamp_authority, embedded=embedded)
            check(bundle, sigstore)


VALID = [(0, 60), (-60, 1)]
NOT_VALID = [(-60, -1), (1, 60)]


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("period", [*VALID, *NOT_VALID])
def test_the_certificate_is_valid_at_the_time_that_it_tells(
    period: tuple[int, int], rekor: int, embedded: bool
) -> None:
    start, end = (NOW + seconds * SECOND for seconds in period)
    sigstore = clock(start=start, end=end)
    bundle = unstamped(rekor)
    stamp(bundle, sigstore.timestamp_authority, embedded=embedded)
    (admitted if period in VALID else refused)(bundle, sigstore)


@pytest.mark.parametrize("level", ["root", "intermediate"])
@pytest.mark.parametrize("period", [*VALID, *NOT_VALID])
def test_those_above_it_are_valid_then_too(level: str, period: tuple[int, int]) -> None:
    start, end = (NOW + seconds * SECOND for seconds in period)
    times: Json = {"start": start, "end": end}
    root = CertificateAuthority.make(**(times if level == "root" else {}))
    above = CertificateAuthority.make(root, **(times if level == "intermediate" else {}))
    sigstore = clock(under=above)
    bundle = sigstore.sign(PAYLOAD, rekor=2)
    (admitted if period in VALID else refused)(bundle, sigstore)


@pytest.mark.parametrize("ca", [False, None])
def test_those_above_it_are_authorities(ca: bool | None) -> None:
    for differences, check in (({}, admitted), ({"ca": ca}, refused)):
        above = CertificateAuthority.make(CertificateAuthority.make(), **differences)
        sigstore = clock(under=above)
        check(sigstore.sign(PAYLOAD, rekor=2), sigstore)


# -- The signer's certificate, at the time of the timestamp


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("seconds", "valid"), [(-1, False), (0, True), (600, True), (601, False), (10**8, False)]
)
def test_the_signers_certificate_is_valid_at_every_time(
    seconds: int, valid: bool, rekor: int
) -> None:
    """It lives for ten minutes, and where a log says when, that is right."""
    bundle = unstamped(rekor)
    stamp(bundle, CLOCK, NOW + seconds * SECOND)
    (admitted if valid else refused)(bundle, SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_right_time_does_not_carry_a_wrong_one(rekor: int) -> None:
    for order in ((0, 601), (601, 0)):
        bundle = unstamped(rekor)
        for seconds in order:
            stamp(bundle, CLOCK, NOW + seconds * SECOND)
        refused(bundle, SIGSTORE)


def test_too_many_timestamps() -> None:
    bundle = unstamped(2)
    for _ in range(16):
        stamp(bundle, CLOCK)
    admitted(bundle, SIGSTORE)
    for _ in range(17):
        stamp(bundle, CLOCK)
    refused(bundle, SIGSTORE, code=ReasonCode.BUNDLE_MALFORMED)


@pytest.mark.parametrize("past", [False, True])
def test_an_authority_of_the_past_stamps_nothing_beside_a_promise(past: bool) -> None:
    """The log's promise proves the time already; but what is there must be right."""
    period = (NOW - 60 * SECOND, NOW - SECOND) if past else (NOW - 60 * SECOND, None)
    clock = dataclasses.replace(CLOCK, valid_for=period)
    sigstore = dataclasses.replace(SIGSTORE, timestamp_authority=clock)
    bundle = sigstore.sign(PAYLOAD, rekor=1, stamped=True)
    (refused if past else admitted)(bundle, sigstore)
