"""Whom to trust never comes with a model."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from oms_gate.inspection.settings import PublishSettings
from oms_gate.verdict import ReasonCode
from tests.inspection.looking import armour, drawn, look, public_der, public_pem, public_ssh
from tests.oms import forge

CERTIFICATE = forge.issue_leaf("root").certificate
PEM = CERTIFICATE.public_bytes(Encoding.PEM)
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
    ],
)
def test_what_is_no_anchor(path: str, content: bytes) -> None:
    assert look({path: content}) == look({})
