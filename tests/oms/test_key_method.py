"""The key method: only configured keys, named by hint or, in old bundles, by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from oms_gate.oms import dsse
from oms_gate.oms.key import key_hint
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import b64, checked, encode, refused, statement, trusting

UNTRUSTED = ReasonCode.KEY_UNTRUSTED
INVALID = ReasonCode.SIGNATURE_INVALID

PAYLOAD = encode(statement())


def named(signer: ec.EllipticCurvePrivateKey, **public_key: str) -> bytes:
    """A bundle signed by `signer` that names its key as told."""
    signature = dsse.sign(signer, PAYLOAD)
    return encode(forge.bundle(PAYLOAD, signature, {"publicKey": public_key}))


def hint(private_key: ec.EllipticCurvePrivateKey) -> str:
    return key_hint(private_key.public_key())


def raw(private_key: ec.EllipticCurvePrivateKey, encoding: Encoding = Encoding.PEM) -> str:
    public_key = private_key.public_key()
    return b64(public_key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    ("curve", "its_hash"),
    [
        (ec.SECP256R1, hashes.SHA256),
        (ec.SECP384R1, hashes.SHA384),
        (ec.SECP521R1, hashes.SHA512),
    ],
)
def test_each_curve_signs_with_its_hash(
    curve: type[ec.EllipticCurve], its_hash: type[hashes.HashAlgorithm]
) -> None:
    private_key = forge.key("publisher", curve)
    trust = trusting(private_key)
    signer = checked(forge.signed(PAYLOAD, private_key), trust).signer
    (root,) = trust.keys.values()
    assert signer.method == "key"
    assert signer.identity == f"sha256:{root.sha256}"
    assert signer.key_sha256 == signer.root.sha256 == root.sha256
    assert signer.root.name == root.name
    assert signer.issuer is None
    for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        signature = private_key.sign(dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD), ec.ECDSA(algorithm))
        data = encode(forge.bundle(PAYLOAD, signature, {"publicKey": {"hint": hint(private_key)}}))
        if isinstance(algorithm, its_hash):
            checked(data, trust)
        else:
            refused(INVALID, data, trust)


def test_the_named_key_is_chosen_among_many() -> None:
    one, two = forge.key("one"), forge.key("two", ec.SECP384R1)
    trust = trusting(one, two)
    assert checked(named(one, hint=hint(one)), trust).signer.root.name == "key 0"
    assert checked(named(two, hint=hint(two)), trust).signer.root.name == "key 1"
    assert checked(named(two, rawBytes=raw(two)), trust).signer.root.name == "key 1"
    assert checked(named(two, rawBytes=raw(two, Encoding.DER)), trust).signer.root.name == "key 1"
    assert checked(named(two, hint=hint(two), rawBytes=raw(two)), trust).signer.root.name == "key 1"
    # Trusted both, but the one that is named did not sign.
    refused(INVALID, named(one, hint=hint(two)), trust)
    refused(INVALID, named(one, rawBytes=raw(two)), trust)


def test_a_key_in_the_bundle_is_never_trusted() -> None:
    mallory = forge.key("mallory")
    refused(UNTRUSTED, named(mallory, hint=hint(mallory)))
    refused(UNTRUSTED, named(mallory, rawBytes=raw(mallory)))
    refused(UNTRUSTED, named(mallory, hint=hint(forge.key()), rawBytes=raw(mallory)))
    refused(UNTRUSTED, named(forge.key(), hint=hint(forge.key()), rawBytes=raw(mallory)))
    refused(UNTRUSTED, named(forge.key(), hint=hint(mallory), rawBytes=raw(forge.key())))
    refused(INVALID, named(mallory, hint=hint(forge.key())))


def test_an_unknown_key_can_be_compared_with_the_trusted_ones() -> None:
    mallory, keys = forge.key("mallory"), [forge.key(f"trusted {number}") for number in range(4)]
    few = refused(UNTRUSTED, named(mallory, hint=hint(mallory)), trusting(*keys[:3]))
    for private_key in (mallory, *keys[:3]):
        assert hint(private_key) in few
    assert "the SHA-256 of the public key's PEM" in few
    many = refused(UNTRUSTED, named(mallory, hint=hint(mallory)), trusting(*keys))
    assert "4 keys: key 0, key 1, key 2, key 3" in many
    assert not any(hint(private_key) in many for private_key in keys)
    without = refused(UNTRUSTED, named(mallory, rawBytes=raw(mallory)), trusting(keys[0]))
    assert hint(keys[0]) in without


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text[:-1], lambda text: f" {text}", lambda text: f"{text}0"]
)
def test_hints_agree_exactly(change: object) -> None:
    assert callable(change)
    right = hint(forge.key())
    checked(named(forge.key(), hint=right))
    refused(UNTRUSTED, named(forge.key(), hint=change(right)))


@pytest.mark.parametrize(
    "rewrite",
    [
        bytes.rstrip,
        lambda pem: pem + b"\n",
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: load_pem_public_key(pem).public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        lambda pem: load_pem_public_key(pem).public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        ),
        lambda _: b"",
    ],
    ids=["no newline", "two newlines", "CRLF", "DER", "point", "nothing"],
)
def test_a_hint_is_over_the_pem_with_its_last_newline(rewrite: Any) -> None:
    pem = forge.public_pem(forge.key())
    assert pem.endswith(b"-----\n")
    checked(named(forge.key(), hint=forge.sha256(pem)))
    refused(UNTRUSTED, named(forge.key(), hint=forge.sha256(rewrite(pem))))


def test_no_key_configured() -> None:
    message = refused(ReasonCode.TRUST_NOT_CONFIGURED, forge.signed(PAYLOAD), Trust())
    assert "no key is trusted" in message
    certificates_only = forge.anchored(forge.issue("root"))
    refused(ReasonCode.TRUST_NOT_CONFIGURED, forge.signed(PAYLOAD), certificates_only)


def test_changed_payloads_and_signatures_are_refused() -> None:
    bundle = forge.key_bundle(PAYLOAD)
    other = encode(statement({"a": b"other"}))
    swapped = forge.changed(bundle, lambda d: d["dsseEnvelope"].update(payload=b64(other)))
    refused(INVALID, encode(swapped))
    for signature in (b"\0", b"\x30\x06\x02\x01\x00\x02\x01\x00", bytes(64), bytes(10_000)):
        material = {"publicKey": {"hint": hint(forge.key())}}
        refused(INVALID, encode(forge.bundle(PAYLOAD, signature, material)))


def test_the_signature_is_checked_before_the_statement_is_read() -> None:
    nonsense = b"not a statement"
    refused(ReasonCode.STATEMENT_MALFORMED, forge.signed(nonsense))
    unsigned = forge.bundle(nonsense, b"\0", {"publicKey": {"hint": hint(forge.key())}})
    refused(INVALID, encode(unsigned))


def test_what_a_bundle_says_of_its_key_agrees() -> None:
    """Two trusted keys: hint and bytes name one of them, or the bundle names none."""
    one, two = forge.key("one"), forge.key("two")
    trust = trusting(one, two)
    for signer in (one, two):
        checked(named(signer, hint=hint(signer), rawBytes=raw(signer)), trust)
        checked(named(signer, hint=hint(signer), rawBytes=raw(signer, Encoding.DER)), trust)
        for other in {one, two, forge.key("mallory")} - {signer}:
            refused(UNTRUSTED, named(signer, hint=hint(signer), rawBytes=raw(other)), trust)
            refused(UNTRUSTED, named(signer, hint=hint(other), rawBytes=raw(signer)), trust)
