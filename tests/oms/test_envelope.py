"""The envelope: one signature, of one type, over its own encoding, written in one way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oms_gate.oms import dsse
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import (
    Json,
    b64,
    checked,
    encode,
    issue_leaf,
    refused,
    statement,
    trusting,
    typed,
)

INVALID = ReasonCode.SIGNATURE_INVALID
MALFORMED = ReasonCode.BUNDLE_MALFORMED
UNSUPPORTED = ReasonCode.BUNDLE_UNSUPPORTED

PAYLOAD = encode(statement({"mod\u00e8le.bin": b"x"}))
TYPE = dsse.PAYLOAD_TYPE


@pytest.mark.parametrize(
    ("payload_type", "code"),
    [
        ("text/plain", UNSUPPORTED),
        ("application/json", UNSUPPORTED),
        ("application/vnd.in-toto", UNSUPPORTED),
        ("application/vnd.in-toto+JSON", UNSUPPORTED),
        ("application/vnd.in-toto+json ", UNSUPPORTED),
        ("application/vnd.in-toto+json; charset=utf-8", UNSUPPORTED),
        ("https://model_signing/signature/v1.0", UNSUPPORTED),
        ("", MALFORMED),
    ],
)
def test_another_payload_type_is_refused_although_it_is_signed(
    payload_type: str, code: ReasonCode
) -> None:
    checked(typed(PAYLOAD, TYPE))
    refused(code, typed(PAYLOAD, payload_type))
    # The type is signed too, so to write the right one over it does not help.
    refused(INVALID, typed(PAYLOAD, TYPE, dsse.pae(payload_type, PAYLOAD)))


@pytest.mark.parametrize(
    "signing_bytes",
    [
        PAYLOAD,
        b64(PAYLOAD).encode(),
        dsse.pae(TYPE, b64(PAYLOAD).encode()),
        dsse.pae(TYPE, PAYLOAD) + b"\n",
        dsse.pae(TYPE, PAYLOAD).lower(),
        # Lengths in characters, where the payload has fewer of them than bytes.
        b"DSSEv1 %d %b %d %b" % (len(TYPE), TYPE.encode(), len(PAYLOAD.decode()), PAYLOAD),
        b"DSSEv1 %d %b %b" % (len(TYPE), TYPE.encode(), PAYLOAD),
        b"DSSEV1 %d %b %d %b" % (len(TYPE), TYPE.encode(), len(PAYLOAD), PAYLOAD),
        forge.old_signing_bytes(PAYLOAD),
    ],
    ids=[
        "bare",
        "base64",
        "encoded base64",
        "a line",
        "lower case",
        "characters",
        "a length less",
        "a capital V",
        "v0.2",
    ],
)
def test_only_the_payloads_encoding_may_be_what_was_signed(signing_bytes: bytes) -> None:
    checked(typed(PAYLOAD, TYPE, dsse.pae(TYPE, PAYLOAD)))
    refused(INVALID, typed(PAYLOAD, TYPE, signing_bytes))


def test_one_signature_and_no_other() -> None:
    """Each of them is valid, and each signer is trusted."""
    one, two, stranger = forge.key("one"), forge.key("two"), forge.key("stranger")
    trust = trusting(one, two)
    bundle = forge.key_bundle(PAYLOAD, one)
    (signature,) = bundle["dsseEnvelope"]["signatures"]
    checked(encode(bundle), trust)
    again = one.sign(dsse.pae(TYPE, PAYLOAD), ec.ECDSA(hashes.SHA256()))
    assert b64(again) != signature["sig"]
    for signatures in (
        [],
        [signature, signature],
        [signature, {"sig": b64(again)}],
        *([signature, {"sig": b64(dsse.sign(key, PAYLOAD))}] for key in (one, two, stranger)),
        [{"sig": b64(dsse.sign(stranger, PAYLOAD))}, signature],
        [signature, {"sig": ""}],
    ):
        attack = copy.deepcopy(bundle)
        attack["dsseEnvelope"]["signatures"] = signatures
        refused(MALFORMED, encode(attack), trust)


@pytest.mark.parametrize(
    "keyid",
    [..., None, "", "0", forge.public_pem(forge.key("stranger")).decode()],
    ids=["none", "null", "empty", "zero", "another key"],
)
def test_the_key_id_decides_nothing(keyid: object) -> None:
    def bundle(signer: ec.EllipticCurvePrivateKey) -> bytes:
        made = forge.key_bundle(PAYLOAD, signer)
        made["dsseEnvelope"]["signatures"][0] |= {"keyid": keyid}
        if keyid is ...:
            del made["dsseEnvelope"]["signatures"][0]["keyid"]
        return encode(made)

    checked(bundle(forge.key()))
    refused(ReasonCode.KEY_UNTRUSTED, bundle(forge.key("stranger")))


# -- Base64

ROOT = forge.issue("Root CA")
SAMPLE = forge.key("sample")
ATTEMPTS = range(200)


def der_of(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def by_raw_key(number: int) -> Json:
    signer = forge.key(f"signer {number}")
    material = {"publicKey": {"rawBytes": b64(der_of(signer))}}
    return forge.bundle(PAYLOAD, dsse.sign(signer, PAYLOAD), material)


def by_certificate(number: int) -> Json:
    leaf = issue_leaf(f"Publisher {number}", ROOT, private_key=SAMPLE)
    return forge.certificate_bundle(PAYLOAD, leaf, ROOT)


# How to make a bundle that differs with the number, and where the base64 in it is.
PLACES: dict[str, tuple[Callable[[int], Json], tuple[str | int, ...]]] = {
    "payload": (
        lambda number: forge.key_bundle(encode(statement({f"\u07ff\u07ff{'x' * number}": b""}))),
        ("dsseEnvelope", "payload"),
    ),
    "signature": (
        lambda number: forge.key_bundle(encode(statement({f"{number}": b""}))),
        ("dsseEnvelope", "signatures", 0, "sig"),
    ),
    "key": (by_raw_key, ("verificationMaterial", "publicKey", "rawBytes")),
    "certificate": (
        by_certificate,
        ("verificationMaterial", "x509CertificateChain", "certificates", 0, "rawBytes"),
    ),
}


@cache
def with_awkward_base64(place: str) -> tuple[Json, str]:
    """A sound bundle, in which that text has padding, and characters of one alphabet alone."""
    make, path = PLACES[place]
    for number in ATTEMPTS:
        text = at(bundle := make(number), path)
        if text.endswith("=") and set("+/") & set(text):
            return bundle, text
    raise AssertionError(f"none of {len(ATTEMPTS)} bundles has such a text")


def at(document: Any, path: tuple[str | int, ...]) -> str:
    for step in path:
        document = document[step]
    return str(document)


def last_bits_set(text: str) -> str:
    """The same bytes to a lax decoder: the bits that padding leaves over are not zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    last = alphabet[alphabet.index(body[-1]) + 1]
    return body[:-1] + last + text[len(body) :]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.rstrip("="),
        lambda text: text + "=",
        lambda text: text + "====",
        lambda text: text + "AAAA",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:64] + "\n" + text[64:],
        lambda text: text[:64] + "\r\n" + text[64:],
        lambda text: text[:8] + "!" + text[8:],
        lambda text: text[:8] + "=" + text[8:],
        lambda text: text[:8] + "\u00e9" + text[8:],
        lambda text: text[:8] + "\0" + text[8:],
        last_bits_set,
    ],
    ids=[
        "URL-safe",
        "unpadded",
        "one pad too many",
        "four pads too many",
        "more after the padding",
        "a last line",
        "a space before",
        "lines",
        "lines of MIME",
        "junk",
        "a pad inside",
        "beyond ASCII",
        "NUL",
        "bits left over",
    ],
)
def test_base64_is_written_in_one_way(place: str, rewrite: Callable[[str], str]) -> None:
    """Lax decoders read the very bytes that were signed from nearly all of these."""
    bundle, text = with_awkward_base64(place)
    keys = [forge.key(f"signer {number}") for number in ATTEMPTS] if place == "key" else []
    trust = Trust(
        keys=trusting(forge.key(), *keys).keys, certificates=forge.anchored(ROOT).certificates
    )
    assert rewrite(text) != text
    sound = encode(bundle).decode()
    checked(sound.encode(), trust)
    attack = sound.replace(encode(text).decode(), encode(rewrite(text)).decode())
    refused(MALFORMED, attack.encode(), trust)
