"""Signature files: what is not one bundle with one signature of one method is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.errors import SignatureError, StepError
from oms_gate.limits import Limits
from oms_gate.oms.bundle import LARGEST_CERTIFICATE, MOST_CERTIFICATES, MOST_VALUES, parse_bundle
from oms_gate.oms.dsse import pae
from oms_gate.oms.trust import SigstoreRoot, Trust
from oms_gate.oms.verify import inspect, verify
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import LIMITS, NOW, Json, b64, changed, checked, encode, key_bundle, refused

MALFORMED = ReasonCode.BUNDLE_MALFORMED
UNSUPPORTED = ReasonCode.BUNDLE_UNSUPPORTED


def sound() -> Json:
    return key_bundle(encode(forge.statement()))


def sigstore_shaped() -> Json:
    """A bundle that has all of Sigstore's members, none of them genuine."""
    leaf = forge.issue_leaf("leaf")
    made = forge.bundle(encode(forge.statement()), b"signature", {})
    made["verificationMaterial"] = {
        "certificate": {"rawBytes": b64(leaf.der)},
        "tlogEntries": [
            {
                "logIndex": "7",
                "logId": {"keyId": b64(bytes(32))},
                "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                "integratedTime": "1750000000",
                "inclusionPromise": {"signedEntryTimestamp": b64(b"promise")},
                "inclusionProof": {
                    "logIndex": "3",
                    "rootHash": b64(bytes(32)),
                    "treeSize": "9",
                    "hashes": [b64(bytes(32))],
                    "checkpoint": {"envelope": "log\n9\n\n"},
                },
                "canonicalizedBody": b64(b"{}"),
            }
        ],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(b"time")}]},
    }
    return made


def at(path: str, edit: Callable[[Any], object]) -> forge.Change:
    """A change of the member at a dotted path to what `edit` makes of it; ... removes it."""

    def change(document: Any) -> None:
        *folders, last = (int(step) if step.isdecimal() else step for step in path.split("."))
        for step in folders:
            document = document[step]
        old = document.get(last) if isinstance(document, dict) else document[last]
        if (new := edit(old)) is ...:
            del document[last]
        else:
            document[last] = new

    return change


def put(path: str, value: object) -> forge.Change:
    return at(path, lambda _: value)


SIGNATURE = "dsseEnvelope.signatures.0"
KEY = "verificationMaterial.publicKey"
ENTRY = "verificationMaterial.tlogEntries.0"


@pytest.mark.parametrize(
    "change",
    [
        put(f"{SIGNATURE}.keyid", ...),
        put(f"{SIGNATURE}.keyid", None),
        put(f"{SIGNATURE}.keyid", "whatever, it is not used"),
        put("verificationMaterial.tlogEntries", ...),
        put("verificationMaterial.tlogEntries", [{"anything": 1}]),
        put("verificationMaterial.timestampVerificationData", {"rfc3161Timestamps": []}),
        put(f"{KEY}.keyDetails", "PKIX_ECDSA_P256_SHA_256"),
        put("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.3"),
    ],
)
def test_what_the_schema_leaves_open_is_accepted(change: forge.Change) -> None:
    verified = checked(encode(changed(sound(), change)))
    assert verified.times == ()
    assert verified.log_index is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        # The file.
        (put("mediaType", ...), MALFORMED),
        (put("mediaType", 3), MALFORMED),
        (put("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2"), UNSUPPORTED),
        (put("mediaType", "application/vnd.dev.sigstore.bundle.v0.4+json"), UNSUPPORTED),
        (put("mediaType", "application/json"), UNSUPPORTED),
        (put("extra", 1), MALFORMED),
        (put("verificationMaterial", ...), MALFORMED),
        (put("verificationMaterial", []), MALFORMED),
        (put("dsseEnvelope", ...), MALFORMED),
        (put("messageSignature", {}), MALFORMED),
        (lambda d: d.update(messageSignature=d.pop("dsseEnvelope")), UNSUPPORTED),
        (lambda d: d.update(dsse_envelope=d.pop("dsseEnvelope")), MALFORMED),
        # The envelope.
        (put("dsseEnvelope.extra", 1), MALFORMED),
        (put("dsseEnvelope.payloadType", "text/plain"), UNSUPPORTED),
        (put("dsseEnvelope.payloadType", None), MALFORMED),
        (put("dsseEnvelope.payload", ""), MALFORMED),
        (put("dsseEnvelope.payload", ...), MALFORMED),
        (put("dsseEnvelope.signatures", []), MALFORMED),
        (at("dsseEnvelope.signatures", lambda signatures: signatures * 2), MALFORMED),
        (at("dsseEnvelope.signatures", lambda signatures: signatures[0]), MALFORMED),
        (put(f"{SIGNATURE}.sig", ""), MALFORMED),
        (put(f"{SIGNATURE}.sig", ...), MALFORMED),
        (put(f"{SIGNATURE}.extra", 1), MALFORMED),
        (put(f"{SIGNATURE}.keyid", 1), MALFORMED),
        # The method.
        (put(KEY, ...), MALFORMED),
        (put(KEY, {}), MALFORMED),
        (put(KEY, {"keyDetails": "x"}), MALFORMED),
        (put(f"{KEY}.hint", 1), MALFORMED),
        (put(f"{KEY}.hint", ""), MALFORMED),
        (put(f"{KEY}.rawBytes", "!"), MALFORMED),
        (put("verificationMaterial.extra", 1), MALFORMED),
        (put("verificationMaterial.public_key", {}), MALFORMED),
        (put("verificationMaterial.tlogEntries", {}), MALFORMED),
        (put("verificationMaterial.certificate", {"rawBytes": "AAAA"}), MALFORMED),
        (put("verificationMaterial.certificate", None), MALFORMED),
        (put("verificationMaterial.x509CertificateChain", {"certificates": []}), MALFORMED),
    ],
)
def test_anything_else_is_refused(change: forge.Change, code: ReasonCode) -> None:
    checked(encode(sound()))
    refused(code, encode(changed(sound(), change)))


def test_the_size_limit_is_a_denial_that_names_it() -> None:
    data = encode(sound())
    trust = forge.trusting()
    verify(data, trust, at=NOW, limits=Limits(bundle_bytes=len(data)))
    with pytest.raises(SignatureError, match=r"limits\.bundle_bytes") as caught:
        verify(data + b" ", trust, at=NOW, limits=Limits(bundle_bytes=len(data)))
    assert caught.value.reason.code is ReasonCode.SIGNATURE_TOO_LARGE


MEMORY = """
import resource, sys
from oms_gate.errors import SignatureError
from oms_gate.limits import MIB, Limits
from oms_gate.oms.bundle import parse_bundle
count = int(sys.argv[2]) // len(sys.argv[1])
data = ('{"mediaType":"x","a":[' + sys.argv[1] * count + "0]}").encode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    parse_bundle(data, Limits())
except SignatureError as error:
    print(error, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, sep="\\n")
"""


@pytest.mark.parametrize("unit", ["[],", '{"":0},', "1.5,"])
def test_many_tiny_values_take_no_memory(unit: str) -> None:
    def run(size: int) -> tuple[str, int]:
        command = [sys.executable, "-c", MEMORY, unit, str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        message, mebibytes = done.stdout.splitlines()
        return message, int(mebibytes)

    message, mebibytes = run(16_000_000)
    assert f"more than {MOST_VALUES} values" in message
    assert mebibytes < 50
    assert "media type" in run(10_000)[0]


def test_the_longest_bundle_that_can_be_meant_is_read() -> None:
    leaf = forge.issue_leaf("leaf")
    payload = encode(forge.statement({f"{number},[{{": b"" for number in range(5000)}))
    made = forge.certificate_bundle(payload, *[leaf] * MOST_CERTIFICATES)
    assert len(parse_bundle(encode(made), LIMITS).certificates) == MOST_CERTIFICATES
    made = sigstore_shaped()
    entry = made["verificationMaterial"]["tlogEntries"][0]
    entry["inclusionProof"]["hashes"] *= 63
    assert parse_bundle(encode(made), LIMITS).log_entry is not None


def test_an_empty_file_is_called_empty() -> None:
    assert "is malformed: it is empty;" in refused(MALFORMED, b"")
    assert "it is empty" not in refused(MALFORMED, b"x")


def test_certificates_are_small() -> None:
    """They are read by slower code than their bytes, before anybody knows who sent them."""
    for material in ("x509CertificateChain.certificates.0", "certificate"):
        made = (
            sigstore_shaped()
            if material == "certificate"
            else forge.certificate_bundle(encode(forge.statement()), forge.issue_leaf("leaf"))
        )
        member = made["verificationMaterial"]
        for name in material.split("."):
            member = member[int(name) if name.isdecimal() else name]
        member["rawBytes"] = b64(bytes(LARGEST_CERTIFICATE))
        assert len(parse_bundle(encode(made), LIMITS).certificates[0]) == LARGEST_CERTIFICATE
        member["rawBytes"] = b64(bytes(LARGEST_CERTIFICATE + 1))
        refused(MALFORMED, encode(made))


def test_chains_are_short() -> None:
    leaf = forge.issue_leaf("leaf")
    payload = encode(forge.statement())
    fits = forge.certificate_bundle(payload, *[leaf] * MOST_CERTIFICATES)
    assert len(parse_bundle(encode(fits), LIMITS).certificates) == MOST_CERTIFICATES
    long = forge.certificate_bundle(payload, *[leaf] * (MOST_CERTIFICATES + 1))
    refused(MALFORMED, encode(long))


def test_methods_are_not_confused() -> None:
    payload = encode(forge.statement())
    leaf = forge.issue_leaf("leaf")
    trust = Trust(
        keys=forge.trusting(leaf.private_key).keys,
        certificates=forge.anchored(leaf).certificates,
        sigstore={"public-good": SigstoreRoot.public_good()},
    )
    by_key = key_bundle(payload, leaf.private_key)
    by_certificate = forge.certificate_bundle(payload, leaf)
    assert checked(encode(by_key), trust).method == "key"
    assert checked(encode(by_certificate), trust).method == "certificate"
    both = changed(
        by_key, lambda d: d["verificationMaterial"].update(by_certificate["verificationMaterial"])
    )
    refused(MALFORMED, encode(both), trust)
    # A chain of one certificate, dressed up as Sigstore's.
    as_sigstore = changed(
        sigstore_shaped(), put("verificationMaterial.certificate", {"rawBytes": b64(leaf.der)})
    )
    as_sigstore["dsseEnvelope"] = by_certificate["dsseEnvelope"]
    refused(ReasonCode.SIGSTORE_INVALID, encode(as_sigstore), trust)
    # A certificate where a key is expected does not become one.
    raw = changed(by_key, put(KEY, {"rawBytes": b64(leaf.pem)}))
    refused(ReasonCode.KEY_UNTRUSTED, encode(raw), trust)


def test_an_entry_tells_only_what_the_log_signs() -> None:
    entry = parse_bundle(encode(sigstore_shaped()), LIMITS).log_entry
    assert entry is not None
    assert entry.log_index == 7
    assert entry.integrated_time is not None
    assert entry.integrated_time.timestamp() == 1750000000
    for unsigned in (
        put(f"{ENTRY}.inclusionPromise", ...),
        put(f"{ENTRY}.integratedTime", ...),
        put(f"{ENTRY}.integratedTime", "0"),
    ):
        entry = parse_bundle(encode(changed(sigstore_shaped(), unsigned)), LIMITS).log_entry
        assert entry is not None
        assert (entry.log_index, entry.integrated_time) == (3, None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put("verificationMaterial.tlogEntries", ...), MALFORMED),
        (put("verificationMaterial.tlogEntries", []), MALFORMED),
        (at("verificationMaterial.tlogEntries", lambda entries: entries * 2), UNSUPPORTED),
        (put(f"{ENTRY}.extra", 1), MALFORMED),
        (put(f"{ENTRY}.integrated_time", "1"), MALFORMED),
        (put(f"{ENTRY}.integratedTime", 1750000000), MALFORMED),
        (put(f"{ENTRY}.integratedTime", "1_750_000_000"), MALFORMED),
        (put(f"{ENTRY}.integratedTime", "9" * 19), MALFORMED),
        (put(f"{ENTRY}.integratedTime", "9" * 20), MALFORMED),
        (put(f"{ENTRY}.logIndex", "+7"), MALFORMED),
        (put(f"{ENTRY}.logIndex", ...), MALFORMED),
        (put(f"{ENTRY}.logId.keyId", "AAAA\n"), MALFORMED),
        (put(f"{ENTRY}.kindVersion.kind", ""), MALFORMED),
        (put(f"{ENTRY}.inclusionProof", ...), MALFORMED),
        (put(f"{ENTRY}.inclusionProof.log_index", "3"), MALFORMED),
        (put(f"{ENTRY}.inclusionProof.hashes.0", "AAAB="), MALFORMED),
        (put(f"{ENTRY}.inclusionProof.checkpoint.envelope", None), MALFORMED),
        (put(f"{ENTRY}.canonicalizedBody", "e30"), MALFORMED),
        (put(f"{ENTRY}.inclusionPromise.signedEntryTimestamp", "_w=="), MALFORMED),
        (put("verificationMaterial.certificate.rawBytes", "AA A"), MALFORMED),
        (put("verificationMaterial.certificate.extra", 1), MALFORMED),
        (put("verificationMaterial.timestampVerificationData.extra", 1), MALFORMED),
        (put("verificationMaterial.timestampVerificationData.rfc3161Timestamps.0.x", 1), MALFORMED),
    ],
)
def test_sigstore_evidence_has_one_reading(change: forge.Change, code: ReasonCode) -> None:
    parse_bundle(encode(sigstore_shaped()), LIMITS)
    refused(code, encode(changed(sigstore_shaped(), change)))


def test_the_signed_bytes_are_those_of_dsse() -> None:
    # The protocol's own example.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("\u00e4", b"") == b"DSSEv1 2 \xc3\xa4 0 "


METHODS = st.sampled_from(["key", "certificate", "sigstore"])
JSON_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.just([]), st.just({})
)


@cache
def every_trust() -> Trust:
    party = forge.issue_leaf("leaf")
    return Trust(
        keys=forge.trusting().keys,
        certificates=forge.anchored(party).certificates,
        sigstore={"public-good": SigstoreRoot.public_good()},
    )


@cache
def sample(method: str) -> bytes:
    """A bundle of each method, the same for every example."""
    if method == "sigstore":
        return encode(sigstore_shaped())
    if method == "certificate":
        return encode(forge.certificate_bundle(encode(forge.statement()), forge.issue_leaf("leaf")))
    return encode(sound())


def read_or_refuse(data: bytes) -> None:
    """Nothing but verdicts and refusals come out."""
    for attempt in (
        lambda: verify(data, every_trust(), at=NOW, limits=LIMITS),
        lambda: inspect(data, LIMITS),
    ):
        try:
            attempt()
        except StepError as error:
            assert str(error)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_refused(data: bytes) -> None:
    refused(MALFORMED, data, every_trust())
    read_or_refuse(data)


@settings(deadline=None)
@given(METHODS, st.data())
def test_any_damaged_bundle_is_read_or_refused(method: str, data: st.DataObject) -> None:
    text = bytearray(sample(method))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_or_refuse(bytes(text))


@settings(deadline=None)
@given(st.data())
def test_any_replaced_member_is_read_or_refused(data: st.DataObject) -> None:
    document: Any = json.loads(sample(data.draw(METHODS)))
    node: Any = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        step = data.draw(st.sampled_from(keys))
        if not (isinstance(node[step], dict | list) and node[step] and data.draw(st.booleans())):
            break
        node = node[step]
    node[step] = data.draw(JSON_VALUES)
    read_or_refuse(json.dumps(document).encode())
