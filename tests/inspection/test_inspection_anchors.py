"""Whom to trust never comes with a model."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from oms_gate.inspection.settings import PublishSettings
from oms_gate.reason_codes import ReasonCode
from tests.inspection.looking import (
    armour,
    drawn,
    json_web_key,
    look,
    public_der,
    public_pem,
    public_ssh,
    wrapped,
)
from tests.oms import forge

CERTIFICATE = forge.issue_leaf("root").certificate
PEM = CERTIFICATE.public_bytes(Encoding.PEM)
DER = CERTIFICATE.public_bytes(Encoding.DER)
VERSION = b"\xa0\x03\x02\x01\x02"
ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": []}
SHARE = b"-----BEGIN "

ANCHORS = {
    "root.pem": PEM,
    "bundle.txt": b"# Roots\n\n" + PEM * 3,
    "a.yaml": b"ca: |\n  " + PEM.replace(b"\n", b"\n  "),
    "b.json": json.dumps({"ca": PEM.decode()}).encode(),
    "root.der": CERTIFICATE.public_bytes(Encoding.DER),
    "no-extension": CERTIFICATE.public_bytes(Encoding.DER),
    "chain.p7b": pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER),
    "chain.pem": pkcs7.serialize_certificates([CERTIFICATE], Encoding.PEM),
    "key.pub": public_pem(),
    "key.der": public_der(),
    "utf16.pem": PEM.decode().encode("utf-16"),
    "openpgp.asc": armour("PGP PUBLIC KEY BLOCK"),
    "openpgp.gpg": b"\x99\x01\x0d\x04" + bytes(4) + b"\x01" + bytes(300),
    "ssh.pub": public_ssh() + b" me@host\n",
    "allowed_signers": b"# us\n\n" + b"ssh-ed25519 " + b"AAAAC3Nz" + drawn(60).encode() + b"\n",
    "minisign.pub": b"untrusted comment: mine\n" + b"RW" + drawn(54).encode() + b"\n",
    "trusted_root.json": json.dumps(ROOT, indent=2).encode(),
    "escaped_root.json": json.dumps(ROOT).replace("/", r"\/").encode(),
    "lines-of-32.pem": wrapped(PEM, 32),
    "lines-of-38.pem": wrapped(PEM, 38),
    "lines-of-76.pem": wrapped(PEM, 76),
    "line-break.der": DER + b"\r\n",
    "chain.der": DER + DER,
    "base64.cer": base64.encodebytes(DER),
    "unknown-version.der": DER.replace(VERSION, VERSION[:-1] + b"\5", 1),
    "unknown-algorithm.der": public_der().replace(b"\x2a\x86\x48", b"\x2a\x86\x49", 1),
    "jwks.json": json.dumps({"keys": [json_web_key(private=False)]}).encode(),
}


@pytest.mark.parametrize("path", ANCHORS)
def test_a_trust_anchor_stays_at_home(path: str) -> None:
    found = look({path: ANCHORS[path]})
    (reason,) = found.reasons
    assert reason.code is ReasonCode.PUBLISH_TRUST_ANCHOR
    assert reason.path == path
    assert "whom to trust must never come with a model" in reason.message
    assert "allow_trust_anchors" in reason.message
    assert not found.warnings
    allowing = PublishSettings(allow_trust_anchors=(path,))
    assert look({path: ANCHORS[path]}, allowing) == look({})


def test_the_line_of_the_first_is_told() -> None:
    (reason,) = look({"bundle.txt": ANCHORS["bundle.txt"]}).reasons
    assert reason.line == 3
    assert reason.message.startswith("bundle.txt holds a certificate in line 3, and")


@pytest.mark.parametrize("path", ["README.md", "verify.py", "notes.ipynb"])
def test_to_quote_one_is_told_of(path: str) -> None:
    found = look({path: b"Our key:\n\n" + public_pem()})
    assert found.reasons == ()
    (warning,) = found.warnings
    assert warning.code is ReasonCode.PUBLISH_TRUST_ANCHOR
    assert (warning.path, warning.line) == (path, 3)
    assert "quotes a public key in line 3" in warning.message


@pytest.mark.parametrize(
    "content",
    [
        PEM,
        b"# Our root\n\n" + PEM + b"\n" + public_pem(),
        DER,
        public_ssh() + b" me@host\n",
        base64.b64encode(public_der()),
    ],
    ids=["PEM", "several", "DER", "SSH", "base64"],
)
@pytest.mark.parametrize("path", ["LICENSE", "README.md", "release.py"])
def test_what_is_nothing_else_is_no_quotation(path: str, content: bytes) -> None:
    found = look({path: content})
    assert [reason.code for reason in found.reasons] == [ReasonCode.PUBLISH_TRUST_ANCHOR]
    assert not found.warnings


@pytest.mark.parametrize(
    "text",
    [
        public_ssh() + b"\n\nis our key.\n",
        json.dumps(json_web_key(private=False)).encode(),
        json.dumps(ROOT).encode(),
        PEM + b"is our root.\n",
    ],
    ids=["SSH", "JWK", "trusted root", "PEM"],
)
def test_what_is_in_a_document_is_quoted(text: bytes) -> None:
    found = look({"README.md": text})
    assert found.reasons == ()
    assert [warning.code for warning in found.warnings] == [ReasonCode.PUBLISH_TRUST_ANCHOR]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("README.md", SHARE + b"CERTIFICATE-----\n...\n"),
        ("vocab.txt", SHARE + b"CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        ("signed.p7s", pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER)),
        ("request.pem", armour("CERTIFICATE REQUEST")),
        ("a.txt", b"ssh-ed25519 is a type of key"),
        (
            "signing_config.json",
            b'{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2"}',
        ),
        ("cut.der", CERTIFICATE.public_bytes(Encoding.DER)[:-1]),
        ("more.der", DER + b"more"),
        ("words.txt", b"-----BEGIN CERTIFICATE-----\n" + b"internationalizati\nand\nso\non\n" * 9),
        ("words.md", b"May our users read this\n" * 9),
        ("cut-in-base64.cer", base64.b64encode(DER[:-1])),
        ("kty.json", b'{"kty": "EC", "x": 3, "d": 4}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_anchor(path: str, content: bytes) -> None:
    assert look({path: content}) == look({})
