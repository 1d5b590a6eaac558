"""Entries of a transparency log that are about something else than the bundle.

The log stands by each of them, with promise, proof and checkpoint; all else in the bundle is right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from oms_gate.oms import dsse
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import NOW, b64
from tests.sigstore.instance import KEY, Rekor, Sigstore, certificate_of, signature_of
from tests.sigstore.transparency_log import dsse_body, dsse_v2_body, hashedrekord_body
from tests.sigstore.trust import Json
from tests.sigstore.verdicts import PAYLOAD, admitted, refused

SIGSTORE = Sigstore()
SIGNED = dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD)
OTHER = forge.encode(forge.statement({"model.safetensors": b"other weights"}))

Body = Callable[[Json], bytes]


def v1(bundle: Json) -> bytes:
    return dsse_body(bundle["dsseEnvelope"], certificate_of(bundle))


def v2(bundle: Json) -> bytes:
    digest = hashlib.sha256(SIGNED).digest()
    return hashedrekord_body(digest, signature_of(bundle), certificate_of(bundle))


def edited(body: Body, old: str, new: str) -> Body:
    """The right body but for one value."""

    def edit(bundle: Json) -> bytes:
        made = body(bundle)
        assert old.encode() in made
        return made.replace(old.encode(), new.encode())

    return edit


def resigned(body: Body) -> Body:
    """About another signature of the same statement by the same key."""
    again = KEY.sign(SIGNED, ec.ECDSA(hashes.SHA256()))
    envelope = forge.bundle(PAYLOAD, again, {})["dsseEnvelope"]
    return lambda bundle: body(bundle | {"dsseEnvelope": envelope})


def recertified(body: Body) -> Body:
    """About another certificate for the same key and the same identity."""
    certificate = {"rawBytes": b64(SIGSTORE.certify().public_bytes(Encoding.DER))}
    return lambda bundle: body(bundle | {"verificationMaterial": {"certificate": certificate}})


def with_signatures(count: int) -> Body:
    def make(bundle: Json) -> bytes:
        envelope = bundle["dsseEnvelope"]
        repeated = envelope | {"signatures": envelope["signatures"] * count}
        return dsse_body(repeated, certificate_of(bundle))

    return make


def digest_of(data: bytes) -> str:
    return b64(hashlib.sha256(data).digest())


BODIES: dict[Rekor, dict[str, Body]] = {
    1: {
        "of another statement": edited(v1, forge.sha256(PAYLOAD), forge.sha256(OTHER)),
        "of another signature": resigned(v1),
        "of another certificate": recertified(v1),
        "with a weaker hash": edited(v1, '"sha256"', '"sha1"'),
        "of no signature": with_signatures(0),
        "of the signature twice": with_signatures(2),
        "of another kind": edited(v1, '"kind":"dsse"', '"kind":"intoto"'),
        "of version 2": v2,
        "of an unknown version": edited(v1, "0.0.1", "0.0.3"),
        "of no content": lambda _: b'{"kind":"dsse","apiVersion":"0.0.1"}',
    },
    2: {
        "of another statement": edited(
            v2, digest_of(SIGNED), digest_of(dsse.pae(dsse.PAYLOAD_TYPE, OTHER))
        ),
        "of the bare statement": edited(v2, digest_of(SIGNED), digest_of(PAYLOAD)),
        "of another signature": resigned(v2),
        "of another certificate": recertified(v2),
        "with another hash": edited(v2, "SHA2_256", "SHA2_384"),
        "with a key of another kind": edited(v2, "P256_SHA_256", "P384_SHA_384"),
        "of an unknown version": edited(v2, "0.0.2", "0.0.3"),
        "of no content": lambda _: b'{"kind":"hashedrekord","apiVersion":"0.0.2"}',
    },
}


@pytest.mark.parametrize(
    ("rekor", "what"), [(rekor, what) for rekor in BODIES for what in sorted(BODIES[rekor])]
)
def test_entries_about_something_else_are_refused(rekor: Rekor, what: str) -> None:
    bundle = SIGSTORE.sign(PAYLOAD, stamped=True)
    right: Body = v1 if rekor == 1 else v2
    for body, check in ((right, admitted), (BODIES[rekor][what], refused)):
        made = body(bundle)
        entry = SIGSTORE.rekor_v1.enter(made, NOW) if rekor == 1 else SIGSTORE.rekor_v2.enter(made)
        bundle["verificationMaterial"]["tlogEntries"] = [entry]
        check(bundle, SIGSTORE)


KINDS = [("dsse", "0.0.1"), ("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("dsse", "0.0.2")]


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_an_entry_is_of_the_kind_that_the_bundle_says(
    rekor: Rekor, kind: str, version: str
) -> None:
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor, stamped=True)
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    right = entry["kindVersion"] == {"kind": kind, "version": version}
    entry["kindVersion"] = {"kind": kind, "version": version}
    (admitted if right else refused)(bundle, SIGSTORE)


def test_envelopes_that_the_first_logs_in_tiles_noted() -> None:
    """As ``dsse/0.0.2``, which sigstore 4.5 has given up."""
    bundle = SIGSTORE.sign(PAYLOAD, rekor=2)
    body = dsse_v2_body(bundle["dsseEnvelope"], certificate_of(bundle))
    bundle["verificationMaterial"]["tlogEntries"] = [SIGSTORE.rekor_v2.enter(body)]
    refused(bundle, SIGSTORE)


def test_two_entries_are_refused_though_both_are_right() -> None:
    bundle = SIGSTORE.sign(PAYLOAD)
    entries = bundle["verificationMaterial"]["tlogEntries"]
    entries.append(SIGSTORE.entry(bundle))
    refused(bundle, SIGSTORE, code=ReasonCode.BUNDLE_UNSUPPORTED)
    entries.pop(0)
    admitted(bundle, SIGSTORE)
    entries.clear()
    refused(bundle, SIGSTORE, code=ReasonCode.BUNDLE_MALFORMED)


# -- The signature


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_key_that_signed_is_the_certificates(rekor: Rekor) -> None:
    """The log noted the signature, and every time is proven; but the certificate is another's."""
    own, others = (SIGSTORE.certify(key) for key in (KEY, forge.key("another signer")))
    admitted(SIGSTORE.sign(PAYLOAD, rekor=rekor, stamped=True, certificate=own), SIGSTORE)
    refused(SIGSTORE.sign(PAYLOAD, rekor=rekor, stamped=True, certificate=others), SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_signature_is_over_what_is_read(rekor: Rekor) -> None:
    """Another statement in the envelope; log and timestamps are about signature and statement."""
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor, stamped=True)
    entries = bundle["verificationMaterial"]["tlogEntries"]
    for payload, check in ((OTHER, refused), (PAYLOAD, admitted)):
        bundle["dsseEnvelope"]["payload"] = b64(payload)
        entries[:] = [SIGSTORE.entry(bundle, rekor=rekor)]
        check(bundle, SIGSTORE)
