"""The Sigstore method, with real bundles of the public-good instance and forged variants."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.errors import StepError
from oms_gate.oms.trust import SigstoreRoot, Trust
from oms_gate.oms.verify import VerifiedSignature
from oms_gate.reason_codes import ReasonCode
from tests.corpus import CORPUS, needs_corpus
from tests.oms import forge
from tests.oms.forge import checked, encode, refused

INVALID = ReasonCode.SIGSTORE_INVALID

Json = dict[str, Any]

# Both were signed by one identity, with a promise of the log and one RFC 3161 timestamp.
GENUINE = "hub/ibm-granite__granite-4.1-3b/model.sig"
ANOTHER = "hub/unsloth__granite-4.1-3b/model.sig"


@cache
def text(path: str) -> str:
    return (CORPUS / path).read_text()


def genuine() -> Json:
    return dict(json.loads(text(GENUINE)))


def another() -> Json:
    return dict(json.loads(text(ANOTHER)))


def trusting(*roots: SigstoreRoot) -> Trust:
    return Trust(sigstore={root.name: root for root in roots or (SigstoreRoot.public_good(),)})


def verified(bundle: Json, *roots: SigstoreRoot) -> VerifiedSignature:
    return checked(encode(bundle), trusting(*roots))


def entry(bundle: Json) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


def proof(bundle: Json) -> Any:
    return entry(bundle)["inclusionProof"]


def timestamps(bundle: Json) -> Any:
    return bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]


def flipped(encoded: str) -> str:
    """The same bytes but for one bit of the last."""
    data = bytearray(base64.b64decode(encoded))
    data[-1] ^= 1
    return forge.b64(bytes(data))


def next_number(decimal: str) -> str:
    return str(int(decimal) + 1)


@needs_corpus
def test_a_genuine_bundle_tells_who_and_when() -> None:
    found = verified(genuine())
    assert found.method == found.signer.method == "sigstore"
    assert found.signer.identity == "Granite-sign@ibm.com"
    assert found.signer.issuer == "https://sigstore.verify.ibm.com/oauth2"
    assert found.signer.alternative_names == ("Granite-sign@ibm.com",)
    assert found.signer.claims == {}
    assert found.signer.root.name == "public-good"
    assert found.signer.root.sha256 == SigstoreRoot.public_good().sha256
    assert found.log_index == int(entry(genuine())["logIndex"])
    assert [time.source for time in found.times] == ["transparency-log", "timestamp-authority"]
    assert found.times[0].time.timestamp() == int(entry(genuine())["integratedTime"])


@needs_corpus
def test_a_timestamp_proves_the_time_where_the_log_promised_none() -> None:
    bundle = genuine()
    del entry(bundle)["inclusionPromise"]
    found = verified(bundle)
    assert [time.source for time in found.times] == ["timestamp-authority"]
    # Nothing signs the outer index then.
    assert found.log_index == int(entry(bundle)["inclusionProof"]["logIndex"])


@needs_corpus
def test_the_log_proves_the_time_where_there_is_no_timestamp() -> None:
    bundle = genuine()
    timestamps(bundle).clear()
    assert [time.source for time in verified(bundle).times] == ["transparency-log"]
    unpromised = copy.deepcopy(bundle)
    del entry(unpromised)["inclusionPromise"]
    refused(INVALID, encode(unpromised), trusting())
    entry(bundle)["integratedTime"] = "0"
    assert "nothing proves when" in refused(INVALID, encode(bundle), trusting())


def replace(part: Callable[[Json], Any], key: Any, edit: Callable[[Any], Any]) -> forge.Change:
    def change(bundle: Json) -> None:
        part(bundle)[key] = edit(part(bundle)[key])

    return change


TAMPERED: dict[str, forge.Change] = {
    "signature": lambda b: b["dsseEnvelope"]["signatures"][0].update(
        sig=flipped(b["dsseEnvelope"]["signatures"][0]["sig"])
    ),
    "signature of another": lambda b: b["dsseEnvelope"].update(
        signatures=another()["dsseEnvelope"]["signatures"]
    ),
    "statement of another": lambda b: b["dsseEnvelope"].update(
        payload=another()["dsseEnvelope"]["payload"]
    ),
    "envelope of another": lambda b: b.update(dsseEnvelope=another()["dsseEnvelope"]),
    "certificate of another": lambda b: b["verificationMaterial"].update(
        certificate=another()["verificationMaterial"]["certificate"]
    ),
    "certificate": lambda b: b["verificationMaterial"]["certificate"].update(
        rawBytes=flipped(b["verificationMaterial"]["certificate"]["rawBytes"])
    ),
    "no certificate": lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="AAAA"),
    "log entry of another": lambda b: b["verificationMaterial"].update(
        tlogEntries=another()["verificationMaterial"]["tlogEntries"]
    ),
    "promise": lambda b: entry(b)["inclusionPromise"].update(
        signedEntryTimestamp=flipped(entry(b)["inclusionPromise"]["signedEntryTimestamp"])
    ),
    "time": replace(entry, "integratedTime", next_number),
    "index": replace(entry, "logIndex", next_number),
    "body": replace(entry, "canonicalizedBody", flipped),
    "log": lambda b: entry(b)["logId"].update(keyId=flipped(entry(b)["logId"]["keyId"])),
    "kind": lambda b: entry(b)["kindVersion"].update(kind="hashedrekord"),
    "version": lambda b: entry(b)["kindVersion"].update(version="0.0.2"),
    "index in shard": replace(proof, "logIndex", next_number),
    "size of tree": replace(proof, "treeSize", lambda _: "1"),
    "root hash": replace(proof, "rootHash", flipped),
    "proof": lambda b: proof(b)["hashes"].append(proof(b)["hashes"][0]),
    "proof hash": lambda b: proof(b)["hashes"].__setitem__(0, flipped(proof(b)["hashes"][0])),
    "checkpoint of another": lambda b: proof(b).update(checkpoint=proof(another())["checkpoint"]),
    "checkpoint": lambda b: proof(b)["checkpoint"].update(envelope="x"),
    "timestamp of another": lambda b: timestamps(b).__setitem__(0, timestamps(another())[0]),
    "further timestamp of another": lambda b: timestamps(b).append(timestamps(another())[0]),
    "timestamp twice": lambda b: timestamps(b).append(timestamps(b)[0]),
    "timestamp": lambda b: timestamps(b)[0].update(
        signedTimestamp=flipped(timestamps(b)[0]["signedTimestamp"])
    ),
    "no timestamp": lambda b: timestamps(b)[0].update(signedTimestamp="AAAA"),
}


@needs_corpus
@pytest.mark.parametrize("what", sorted(TAMPERED))
def test_tampered_bundles_are_refused(what: str) -> None:
    bundle = genuine()
    verified(bundle)
    TAMPERED[what](bundle)
    assert bundle != genuine()
    refused(INVALID, encode(bundle), trusting())


# -- The root

LONG_AGO = {"start": "2021-01-01T00:00:00Z", "end": "2021-12-31T00:00:00Z"}
IN_TIME = {"start": "2021-01-01T00:00:00Z", "end": "2039-12-31T00:00:00Z"}
FUTURE = {"start": "2026-05-05T00:00:00Z"}


def root(name: str, edit: Callable[[Json], object]) -> SigstoreRoot:
    document = json.loads(SigstoreRoot.public_good().raw)
    edit(document)
    return SigstoreRoot.from_json(name, encode(document))


def periods(part: str, period: Json) -> Callable[[Json], object]:
    """All instances of one part of the root get this validity."""

    def edit(document: Json) -> None:
        for instance in document[part]:
            holder = instance if "certChain" in instance else instance["publicKey"]
            holder["validFor"] = period

    return edit


@needs_corpus
@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("certificateAuthorities", "no certificate authority"),
        ("tlogs", "no transparency log key"),
        ("ctlogs", "no certificate log key"),
        ("timestampAuthorities", "timestamp"),
    ],
)
def test_authorities_and_keys_count_while_they_are_in_force(part: str, says: str) -> None:
    verified(genuine(), root("private", periods(part, IN_TIME)))
    for period in (LONG_AGO, FUTURE):
        other = root("private", periods(part, period))
        assert says in refused(INVALID, encode(genuine()), trusting(other))


@needs_corpus
def test_a_key_without_a_period_is_always_in_force() -> None:
    def edit(document: Json) -> None:
        for log in (*document["tlogs"], *document["ctlogs"]):
            del log["publicKey"]["validFor"]

    verified(genuine(), root("private", edit))


@needs_corpus
@pytest.mark.parametrize("part", ["certificateAuthorities", "tlogs", "ctlogs"])
def test_each_part_of_the_root_is_needed(part: str) -> None:
    """One in-force instance is left, but it is not the one that took part."""

    def edit(document: Json) -> None:
        if part == "certificateAuthorities":
            stranger = forge.issue("sigstore")
            chain = document[part][0]["certChain"]["certificates"]
            chain[:] = [{"rawBytes": forge.b64(stranger.der)}]
            del document[part][1:]
        else:
            document[part] = [instance for instance in document[part] if not used(instance)]
        periods(part, IN_TIME)(document)

    def used(instance: Json) -> bool:
        return instance["baseUrl"] in (
            "https://rekor.sigstore.dev",
            "https://ctfe.sigstore.dev/2022",
        )

    verified(genuine(), root("private", periods(part, IN_TIME)))
    refused(INVALID, encode(genuine()), trusting(root("private", edit)))


@needs_corpus
def test_timestamps_need_a_trusted_authority() -> None:
    refused(
        INVALID,
        encode(genuine()),
        trusting(root("private", lambda document: document.update(timestampAuthorities=[]))),
    )


@needs_corpus
def test_the_root_that_verified_is_reported() -> None:
    wrong = root("wrong", periods("certificateAuthorities", LONG_AGO))
    right = root("right", periods("certificateAuthorities", IN_TIME))
    for order in ((wrong, right), (right, wrong)):
        found = verified(genuine(), *order).signer.root
        assert (found.name, found.sha256) == ("right", right.sha256)
    message = refused(INVALID, encode(genuine()), trusting(wrong))
    assert "wrong: no certificate authority of this root was in force" in message


@needs_corpus
def test_no_root_configured() -> None:
    refused(ReasonCode.TRUST_NOT_CONFIGURED, encode(genuine()), Trust())
    refused(ReasonCode.TRUST_NOT_CONFIGURED, encode(genuine()), forge.trusting())


@needs_corpus
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_damaged_bundle_verifies(data: st.DataObject) -> None:
    """One flipped bit of one base64 member: its bytes are others then, and all of them count."""
    bundle = genuine()
    holders: list[tuple[Any, Any]] = [
        (bundle["dsseEnvelope"], "payload"),
        (bundle["dsseEnvelope"]["signatures"][0], "sig"),
        (bundle["verificationMaterial"]["certificate"], "rawBytes"),
        (entry(bundle), "canonicalizedBody"),
        (entry(bundle)["inclusionPromise"], "signedEntryTimestamp"),
        (proof(bundle), "rootHash"),
        (proof(bundle)["hashes"], 3),
    ]
    holder, key = data.draw(st.sampled_from(range(len(holders))).map(holders.__getitem__))
    raw = bytearray(base64.b64decode(holder[key]))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    holder[key] = forge.b64(bytes(raw))
    with pytest.raises(StepError):
        verified(bundle)


@needs_corpus
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_timestamps_do_no_harm(data: st.DataObject) -> None:
    """A timestamp has parts that nothing signs; whatever is damaged, only refusals come out."""
    bundle = genuine()
    raw = bytearray(base64.b64decode(timestamps(bundle)[0]["signedTimestamp"]))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    timestamps(bundle)[0]["signedTimestamp"] = forge.b64(bytes(raw))
    try:
        found = verified(bundle)
    except StepError:
        return
    assert found.times == verified(genuine()).times
