"""One method's bundle never passes by another method's trust, dress or signing bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oms_gate.oms import dsse
from oms_gate.oms.trust import SigstoreRoot, Trust
from oms_gate.reason_codes import ReasonCode
from tests.corpus import CORPUS, needs_corpus
from tests.oms import forge
from tests.oms.forge import Json, b64, checked, encode, refused, statement

ROOT = forge.issue("Root CA")
LEAF = forge.issue_leaf("Publisher", ROOT)
PAYLOAD = encode(statement())

# The same private key is trusted as a key, and certified for signing.
BY_KEY = forge.key_bundle(PAYLOAD, LEAF.private_key)
BY_CERTIFICATE = forge.certificate_bundle(PAYLOAD, LEAF, ROOT)
EVERY_TRUST = Trust(
    keys=forge.trusting(LEAF.private_key).keys,
    certificates=forge.anchored(ROOT).certificates,
    sigstore={"public-good": SigstoreRoot.public_good()},
)
NO_TRUST = Trust()
METHODS = ("key", "certificate", "sigstore")
WORDS = {"key": "no key is", "certificate": "no certificate is", "sigstore": "no Sigstore"}


def trust_in(method: str) -> Trust:
    """What is trusted for one method alone."""
    return {
        "key": dataclasses.replace(NO_TRUST, keys=EVERY_TRUST.keys),
        "certificate": dataclasses.replace(NO_TRUST, certificates=EVERY_TRUST.certificates),
        "sigstore": dataclasses.replace(NO_TRUST, sigstore=EVERY_TRUST.sigstore),
    }[method]


def genuine() -> bytes:
    """Signed with the public-good instance; nobody can forge that."""
    return (CORPUS / "hub" / "ibm-granite__granite-4.1-3b" / "model.sig").read_bytes()


def bundle_by(method: str) -> bytes:
    if method == "sigstore":
        return genuine()
    return encode({"key": BY_KEY, "certificate": BY_CERTIFICATE}[method])


@pytest.mark.parametrize("trusted", METHODS)
@pytest.mark.parametrize(
    "method", ["key", "certificate", pytest.param("sigstore", marks=needs_corpus)]
)
def test_each_method_has_its_own_trust(method: str, trusted: str) -> None:
    data = bundle_by(method)
    if trusted == method:
        assert checked(data, trust_in(trusted)).method == method
    else:
        message = refused(ReasonCode.TRUST_NOT_CONFIGURED, data, trust_in(trusted))
        assert WORDS[method] in message


def dressed(bundle: Json, **material: Any) -> bytes:
    """The same envelope with other verification material."""
    return encode({**bundle, "verificationMaterial": {"tlogEntries": [], **material}})


def test_a_certificate_is_no_key_and_a_key_no_certificate() -> None:
    public = LEAF.private_key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for raw in (pem, der):
        checked(dressed(BY_CERTIFICATE, publicKey={"rawBytes": b64(raw)}), EVERY_TRUST)
    for raw in (LEAF.der, LEAF.pem):
        refused(
            ReasonCode.KEY_UNTRUSTED,
            dressed(BY_CERTIFICATE, publicKey={"rawBytes": b64(raw)}),
            EVERY_TRUST,
        )
    certificates = [{"rawBytes": b64(LEAF.der)}]
    checked(dressed(BY_KEY, x509CertificateChain={"certificates": certificates}), EVERY_TRUST)
    certificates = [{"rawBytes": b64(der)}]
    refused(
        ReasonCode.BUNDLE_MALFORMED,
        dressed(BY_KEY, x509CertificateChain={"certificates": certificates}),
        EVERY_TRUST,
    )


def test_a_trusted_key_does_not_make_a_certificate_trusted() -> None:
    """Anyone can have the key certified: by themselves, and even in the right root's name."""
    for impostor in (None, forge.issue("Root CA", private_key=forge.key("impostor"))):
        rogue = forge.issue_leaf("Publisher", impostor, private_key=LEAF.private_key)
        bundle = forge.certificate_bundle(PAYLOAD, rogue, *filter(None, [impostor]))
        refused(ReasonCode.CERTIFICATE_UNTRUSTED, encode(bundle), EVERY_TRUST)
    checked(encode(BY_CERTIFICATE), EVERY_TRUST)


def test_a_certified_key_is_not_trusted_as_a_key() -> None:
    trust = dataclasses.replace(EVERY_TRUST, keys=forge.trusting(forge.key("another")).keys)
    refused(ReasonCode.KEY_UNTRUSTED, encode(BY_KEY), trust)
    checked(encode(BY_CERTIFICATE), trust)
    checked(encode(BY_KEY), EVERY_TRUST)


@pytest.mark.parametrize(
    "others",
    [
        ("publicKey", "x509CertificateChain"),
        ("publicKey", "certificate"),
        ("x509CertificateChain", "certificate"),
        ("publicKey", "x509CertificateChain", "certificate"),
    ],
)
def test_a_bundle_has_one_method(others: tuple[str, ...]) -> None:
    """Each material alone would do, or at least be tried."""
    material: Json = {
        "publicKey": BY_KEY["verificationMaterial"]["publicKey"],
        "x509CertificateChain": BY_CERTIFICATE["verificationMaterial"]["x509CertificateChain"],
        "certificate": {"rawBytes": b64(LEAF.der)},
    }
    for one in ("publicKey", "x509CertificateChain"):
        checked(dressed(BY_KEY, **{one: material[one]}), EVERY_TRUST)
    chosen = {name: material[name] for name in others}
    message = refused(ReasonCode.BUNDLE_MALFORMED, dressed(BY_KEY, **chosen), EVERY_TRUST)
    assert f"has {len(others)}" in message


# -- The bytes that are signed

CURVES = {
    ec.SECP256R1: hashes.SHA256,
    ec.SECP384R1: hashes.SHA384,
    ec.SECP521R1: hashes.SHA512,
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("algorithm", CURVES.values())
def test_a_certified_key_signs_with_the_hash_of_its_curve(
    curve: type[ec.EllipticCurve], algorithm: type[hashes.HashAlgorithm]
) -> None:
    leaf = forge.issue_leaf("Publisher", ROOT, private_key=forge.key("leaf", curve))
    bundle = forge.certificate_bundle(PAYLOAD, leaf)
    checked(encode(bundle), EVERY_TRUST)
    signature = leaf.private_key.sign(dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD), ec.ECDSA(algorithm()))
    bundle["dsseEnvelope"]["signatures"] = [{"sig": b64(signature)}]
    if CURVES[curve] is algorithm:
        checked(encode(bundle), EVERY_TRUST)
    else:
        refused(ReasonCode.SIGNATURE_INVALID, encode(bundle), EVERY_TRUST)


def old_statement() -> Json:
    """What the format before v1.0 said: one subject a file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": name,
                "digest": {"sha256": forge.sha256(content)},
                "annotations": {"actual_hash_algorithm": "file-sha256"},
            }
            for name, content in forge.FILES.items()
        ],
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }


def now_bytes(payload: bytes) -> bytes:
    return dsse.pae(dsse.PAYLOAD_TYPE, payload)


@pytest.mark.parametrize("method", ["key", "certificate"])
@pytest.mark.parametrize(
    ("made", "signing_bytes", "code"),
    [
        (statement, now_bytes, None),
        (statement, forge.old_signing_bytes, ReasonCode.SIGNATURE_INVALID),
        (old_statement, now_bytes, ReasonCode.BUNDLE_UNSUPPORTED),
        (old_statement, forge.old_signing_bytes, ReasonCode.BUNDLE_UNSUPPORTED),
    ],
    ids=["v1.0", "v1.0 signed as v0.2", "v0.2 signed as v1.0", "v0.2"],
)
def test_formats_are_not_mixed(
    method: str, made: Any, signing_bytes: Any, code: ReasonCode | None
) -> None:
    """Whoever does not ask for the old format is not served it, whichever way it is signed."""
    payload = encode(made())
    bundle = {"key": BY_KEY, "certificate": BY_CERTIFICATE}[method]
    signature = LEAF.private_key.sign(signing_bytes(payload), ec.ECDSA(hashes.SHA256()))
    material = dict(bundle["verificationMaterial"])
    data = encode(forge.bundle(payload, signature, material))
    if code is None:
        checked(data, EVERY_TRUST)
    else:
        message = refused(code, data, EVERY_TRUST)
        assert ("before OMS v1.0" in message) == (code is ReasonCode.BUNDLE_UNSUPPORTED)


def test_what_merely_speaks_of_the_old_format_is_not_old() -> None:
    """A wrong signature is called wrong, unless the statement itself is of that format."""
    made = statement()
    made["subject"][0]["name"] = "https://model_signing/Digests/v0.1"
    payload = encode(made)
    checked(forge.signed(payload))
    refused(
        ReasonCode.SIGNATURE_INVALID,
        forge.typed(payload, dsse.PAYLOAD_TYPE, forge.old_signing_bytes(payload)),
    )
