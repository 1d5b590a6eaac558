"""A private Sigstore: what it vouches for verifies, and nobody can stand in for a party of it."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from oms_gate.errors import SignatureError, StepError
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.sigstore import verify_sigstore
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import LIMITS, NOW, encode, statement
from tests.sigstore.authority import ISSUER, CertificateAuthority, email, other_name, uri
from tests.sigstore.certificate_log import CertificateLog
from tests.sigstore.instance import Rekor, Sigstore, stamp
from tests.sigstore.timestamps import TimestampAuthority
from tests.sigstore.transparency_log import RekorV1, RekorV2
from tests.sigstore.trust import Json, LogKey, Period
from tests.sigstore.verdicts import PAYLOAD, admitted, entry, proof, refused

SECOND = timedelta(seconds=1)

SIGSTORE = Sigstore()
# Signs with a promise of the log and a timestamp, so that all parties but one log take part.
EVERYBODY: Json = {"rekor": 1, "stamped": True}


# -- Good bundles


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize(
    ("rekor", "stamped", "sources"),
    [
        (1, False, ["transparency-log"]),
        (1, True, ["transparency-log", "timestamp-authority"]),
        (2, True, ["timestamp-authority"]),
    ],
)
def test_what_all_parties_vouch_for_is_admitted(
    levels: int, rekor: Rekor, stamped: bool, sources: list[str]
) -> None:
    authority = CertificateAuthority.make()
    for _ in range(levels - 1):
        authority = CertificateAuthority.make(under=authority)
    sigstore = Sigstore(authority)
    bundle = sigstore.sign(PAYLOAD, rekor=rekor, stamped=stamped)
    found = admitted(bundle, sigstore)
    assert found.method == found.signer.method == "sigstore"
    assert (found.signer.identity, found.signer.issuer) == ("release@example.com", ISSUER)
    assert [(time.source, time.time) for time in found.times] == [
        (source, NOW) for source in sources
    ]
    # Only a promise speaks of the number in the whole log; else the one in the shard is proven.
    assert found.log_index == int((entry if rekor == 1 else proof)(bundle)["logIndex"])


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (email(), "release@example.com"),
        (uri("https://example.com/a/b@refs/heads/main"), "https://example.com/a/b@refs/heads/main"),
        (other_name("robot!example.com"), "robot!example.com"),
    ],
)
def test_every_kind_of_identity(rekor: Rekor, name: x509.GeneralName, identity: str) -> None:
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor, names=[name], claims={8: ISSUER, 13: "abc"})
    found = admitted(bundle, SIGSTORE)
    assert (found.signer.identity, found.signer.issuer) == (identity, ISSUER)
    assert found.signer.claims == {"source_repository_digest": "abc"}
    assert found.signer.alternative_names == (identity,)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_other_media_type_of_the_bundle_format(rekor: Rekor) -> None:
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor)
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3"
    admitted(bundle, SIGSTORE)


@pytest.mark.parametrize("claims", [{1: ISSUER}, {8: ISSUER}, {1: ISSUER, 8: ISSUER}])
def test_the_issuer_in_either_form(claims: dict[int, str]) -> None:
    assert admitted(SIGSTORE.sign(PAYLOAD, claims=claims), SIGSTORE).signer.issuer == ISSUER


@pytest.mark.parametrize("kind", [LogKey, LogKey.ed25519])
@pytest.mark.parametrize("rekor", [1, 2])
def test_logs_sign_with_keys_of_either_kind(kind: Callable[[], LogKey], rekor: Rekor) -> None:
    sigstore = dataclasses.replace(
        SIGSTORE, rekor_v1=RekorV1("v1.example - 1", kind()), rekor_v2=RekorV2("v2.example", kind())
    )
    admitted(sigstore.sign(PAYLOAD, rekor=rekor), sigstore)


@pytest.mark.parametrize("others", range(9))
def test_proofs_in_trees_of_every_shape(others: int) -> None:
    log = RekorV2("v2.example", leaves=[b"%d" % number for number in range(others)])
    sigstore = dataclasses.replace(SIGSTORE, rekor_v2=log)
    bundle = sigstore.sign(PAYLOAD, rekor=2)
    for size in range(others + 1, others + 3):
        entry(bundle)["inclusionProof"] = log.prove(others, size)
        assert admitted(bundle, sigstore).log_index == others


def test_an_instance_is_found_among_others() -> None:
    bundle, stranger = SIGSTORE.sign(PAYLOAD), Sigstore()
    for order in ((SIGSTORE, stranger), (stranger, SIGSTORE)):
        name = f"root {order.index(SIGSTORE)}"
        assert admitted(bundle, *order).signer.root.name == name
    refused(bundle, stranger)


# -- Strangers, and periods

STRANGERS: dict[str, Callable[[], Any]] = {
    "authority": CertificateAuthority.make,
    "certificate_log": CertificateLog,
    "rekor_v1": lambda: RekorV1(SIGSTORE.rekor_v1.origin),
    "timestamp_authority": TimestampAuthority.make,
    # The same certificates by another key, and the other way round.
    "authority of the same key": lambda: CertificateAuthority.make(
        private_key=SIGSTORE.authority.chain[0].private_key, subject=forge.name("another")
    ),
}


@pytest.mark.parametrize("party", sorted(STRANGERS))
def test_no_stranger_stands_in_for_a_party(party: str) -> None:
    """Everything is right but one party, which nobody trusts; where it is trusted, all is well."""
    changed = dataclasses.replace(SIGSTORE, **{party.partition(" ")[0]: STRANGERS[party]()})
    bundle = changed.sign(PAYLOAD, **EVERYBODY)
    admitted(bundle, changed)
    refused(bundle, SIGSTORE)


def test_no_stranger_stands_in_for_the_log_in_tiles() -> None:
    for key in (LogKey(), LogKey.ed25519()):
        changed = dataclasses.replace(SIGSTORE, rekor_v2=RekorV2(SIGSTORE.rekor_v2.origin, key))
        bundle = changed.sign(PAYLOAD, rekor=2)
        admitted(bundle, changed)
        refused(bundle, SIGSTORE)


PARTIES = ["authority", "certificate_log", "rekor_v1", "rekor_v2", "timestamp_authority"]
IN_FORCE: list[Period] = [(NOW, None), (NOW - SECOND, NOW + SECOND), (NOW, NOW + SECOND)]
NOT_IN_FORCE: list[Period] = [
    (NOW - 9 * SECOND, NOW - SECOND),
    (NOW + SECOND, NOW + 9 * SECOND),
    (NOW + SECOND, None),
]


def limited(party: str, valid_for: Period) -> Sigstore:
    """The same instance; one party is trusted for a time only."""
    changed = dataclasses.replace(getattr(SIGSTORE, party), valid_for=valid_for)
    return dataclasses.replace(SIGSTORE, **{party: changed})


@pytest.mark.parametrize("party", PARTIES)
def test_parties_count_while_they_are_in_force(party: str) -> None:
    how: Json = {"rekor": 2} if party == "rekor_v2" else EVERYBODY
    bundle = SIGSTORE.sign(PAYLOAD, **how)
    for period in IN_FORCE:
        admitted(bundle, limited(party, period))
    for period in NOT_IN_FORCE:
        refused(bundle, limited(party, period))


@pytest.mark.parametrize("party", PARTIES)
def test_nobody_else_in_force_stands_in_for_one_who_is_not(party: str) -> None:
    """The root has another of each kind, as roots have that rotate their keys."""
    how: Json = {"rekor": 2} if party == "rekor_v2" else EVERYBODY
    bundle = SIGSTORE.sign(PAYLOAD, **how)
    another = Sigstore()
    for period, check in ((IN_FORCE[0], admitted), (NOT_IN_FORCE[0], refused)):
        changed = limited(party, period)
        check(bundle, changed.root("both", another))
        check(bundle, another.root("both", changed))


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_that_took_no_part_may_have_ended(party: str) -> None:
    """The log of the other version, and the timestamp authority where there is no timestamp."""
    bundle = SIGSTORE.sign(PAYLOAD, rekor=1)
    took_part = party in ("authority", "certificate_log", "rekor_v1")
    for period in NOT_IN_FORCE:
        (refused if took_part else admitted)(bundle, limited(party, period))


@pytest.mark.parametrize("party", ["authority", "rekor_v1"])
def test_every_time_must_be_in_the_period(party: str) -> None:
    """The log says one time, the timestamp another; the party must have been in force at both."""
    bundle = SIGSTORE.sign(PAYLOAD)
    stamp(bundle, SIGSTORE.timestamp_authority, NOW + 60 * SECOND)
    admitted(bundle, limited(party, (NOW, NOW + 60 * SECOND)))
    refused(bundle, limited(party, (NOW, NOW + 59 * SECOND)))
    refused(bundle, limited(party, (NOW + SECOND, NOW + 60 * SECOND)))


def test_the_key_of_a_certificate_log_counts_when_the_certificate_was_made() -> None:
    certificate = SIGSTORE.certify(start=NOW - 60 * SECOND)
    bundle = SIGSTORE.sign(PAYLOAD, certificate=certificate)
    at_that_time = (NOW - 60 * SECOND, NOW - 59 * SECOND)
    admitted(bundle, limited("certificate_log", at_that_time))
    refused(bundle, limited("certificate_log", (NOW - 59 * SECOND, None)))


def test_what_was_read_is_what_was_verified() -> None:
    roots = {"private": SIGSTORE.root()}
    bundle = parse_bundle(encode(SIGSTORE.sign(PAYLOAD)), LIMITS)
    verify_sigstore(bundle, roots, at=NOW)
    for attack in (
        dataclasses.replace(bundle, payload=encode(statement({"a": b"b"}))),
        dataclasses.replace(bundle, raw=encode(SIGSTORE.sign(encode(statement({"a": b"b"}))))),
        dataclasses.replace(bundle, log_entry=None),
    ):
        with pytest.raises(SignatureError) as caught:
            verify_sigstore(attack, roots, at=NOW)
        assert caught.value.reason.code is ReasonCode.SIGSTORE_INVALID


# -- Anything altered

# keyid: never used. logIndex: the outer one, where no promise covers it. integratedTime: none is
# claimed where it is zero, and a timestamp must prove one.
HARMLESS = {"keyid", "logIndex", "integratedTime"}


def scalars(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values that hold no other."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from scalars(child, (*path, key))
        else:
            yield (*path, key)


def neighbours(text: str) -> Iterator[str]:
    """Values of the same kind: other numbers, other bytes, other words."""
    if text.isdecimal():
        yield from (str(int(text) + step) for step in (1, 2, 4, 1 << 31))
        yield "0"
        return
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    for position in {0, len(data) // 2, len(data) - 1} if data else ():
        other = bytearray(data)
        other[position] ^= 1
        yield forge.b64(bytes(other))
    yield from (text + "x", "")


@pytest.mark.parametrize("how", [{"rekor": 1}, EVERYBODY, {"rekor": 2}], ids=["v1", "both", "v2"])
def test_whatever_is_altered_is_refused_or_says_nothing(how: Json) -> None:
    """Some members are signed by nobody; none of those can change what the gate goes by."""
    bundle = SIGSTORE.sign(PAYLOAD, **how)
    genuine = admitted(bundle, SIGSTORE)
    harmless = set()
    for path in scalars(bundle):
        altered = json.loads(json.dumps(bundle))
        *way, last = path
        holder = altered
        for step in way:
            holder = holder[step]
        for other in neighbours(holder[last]):
            holder[last] = other
            try:
                found = admitted(altered, SIGSTORE)
            except StepError:
                continue
            harmless.add(last)
            assert (found.signer, found.manifest) == (genuine.signer, genuine.manifest)
            assert set(found.times) <= set(genuine.times)
            assert str(found.log_index) in (entry(bundle)["logIndex"], proof(bundle)["logIndex"])
    assert harmless <= HARMLESS
