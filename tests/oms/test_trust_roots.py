"""Trust roots load from files, or say in a sentence why not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from oms_gate.errors import ConfigError
from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, Trust
from tests.oms import forge


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_keys_on_the_three_curves_load(curve: type[ec.EllipticCurve]) -> None:
    private_key = forge.key("trusted", curve)
    root = KeyRoot.from_pem("release", forge.public_pem(private_key))
    der = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert (root.name, root.sha256) == ("release", forge.sha256(der))
    assert root.public_key == private_key.public_key()


def labelled(value: object) -> str:
    """Names of cases without the keys in them, which differ from one process to the next."""
    return value if isinstance(value, str) else "file"


def private_pem() -> bytes:
    key: ec.EllipticCurvePrivateKey = forge.key()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def ed25519_pem() -> bytes:
    return (
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "holds no PEM at all"),
        (b"not a key", "holds no PEM at all"),
        (forge.public_pem(forge.key()) * 2, r"exactly one public key .* holds 2 parts"),
        (private_pem(), "private key"),
        (forge.public_pem(forge.key("small", ec.SECP224R1)), "P-256"),
        (forge.public_pem(forge.key("other", ec.SECP256K1)), "P-256"),
        (forge.public_pem(forge.rsa_key(2048)), "P-256"),
        (ed25519_pem(), "P-256"),
        (
            forge.issue("root").pem,
            "exactly one public key in PEM, but its file holds a CERTIFICATE",
        ),
        (forge.public_pem(forge.key())[:60] + b"\n-----END PUBLIC KEY-----\n", "not a public key"),
    ],
    ids=labelled,
)
def test_other_keys_are_refused(pem: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        KeyRoot.from_pem("release", pem)
    assert "'release'" in str(caught.value)
    assert "cryptography" not in str(caught.value)


def test_each_certificate_of_a_file_is_an_anchor() -> None:
    one, other = forge.issue("one"), forge.issue("other")
    root = CertificateRoot.from_pem("both", b"A comment.\n" + one.pem + other.pem)
    assert root.anchors == (one.certificate, other.certificate)
    assert root.sha256 == forge.sha256(one.der + other.der)
    assert CertificateRoot.from_pem("one", one.pem).sha256 == forge.sha256(one.der)


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "holds no PEM at all"),
        (b"x", "holds no PEM at all"),
        (private_pem(), "holds a PRIVATE KEY and no CERTIFICATE"),
        (forge.public_pem(forge.key()), "holds a PUBLIC KEY and no CERTIFICATE"),
        (forge.issue("root").pem[:200], "damaged"),
        (forge.issue("root").pem + forge.issue("root").pem[:200], "damaged"),
    ],
    ids=labelled,
)
def test_other_files_are_no_certificates(pem: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=f"'corporate' are not certificates.*{says}") as caught:
        CertificateRoot.from_pem("corporate", pem)
    assert "cryptography" not in str(caught.value)


def test_the_public_good_root_ships_with_the_package() -> None:
    root = SigstoreRoot.public_good()
    assert root.name == "public-good"
    assert root.sha256 == forge.sha256(root.raw)
    assert SigstoreRoot.from_json("copy", root.raw).sha256 == root.sha256
    authorities = root.trusted_root.certificate_authorities
    assert {authority.uri for authority in authorities} == {"https://fulcio.sigstore.dev"}


def edited(edit: Any) -> bytes:
    document = json.loads(SigstoreRoot.public_good().raw)
    edit(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        edited(lambda d: d.update(mediaType="application/json")),
        edited(lambda d: d.pop("mediaType")),
        edited(lambda d: d.update(tlogs=[])),
        edited(lambda d: d.pop("ctlogs")),
        edited(lambda d: d.update(certificateAuthorities=[])),
        edited(lambda d: d.update(extra=1)),
        edited(lambda d: d["tlogs"][0]["publicKey"].update(rawBytes="AAAA")),
        edited(lambda d: d["tlogs"][0]["publicKey"].pop("rawBytes")),
        edited(lambda d: d["certificateAuthorities"][0].pop("validFor")),
        edited(
            lambda d: d["certificateAuthorities"][0]["certChain"]["certificates"][0].update(
                rawBytes="AAAA"
            )
        ),
        edited(lambda d: d["ctlogs"][0]["publicKey"]["validFor"].update(start="yesterday")),
        b'{"tlogs": [], ' + SigstoreRoot.public_good().raw.strip()[1:],
    ],
    ids=labelled,
)
def test_other_files_are_no_sigstore_roots(data: bytes) -> None:
    with pytest.raises(ConfigError, match="'private' is not a usable trusted_root") as caught:
        SigstoreRoot.from_json("private", data)
    assert "\n" not in str(caught.value)


def test_one_root_has_one_name() -> None:
    """Found under either, it could be the one that no publisher rule means."""
    key, other = (KeyRoot.from_pem(name, forge.public_pem(forge.key())) for name in "ab")
    middle = forge.issue("middle", forge.issue("root"))
    chain = CertificateRoot.from_pem("chain", middle.pem + forge.issue("other").pem)
    alone = CertificateRoot.from_pem("alone", middle.pem)
    public, copy = (SigstoreRoot.from_json(n, SigstoreRoot.public_good().raw) for n in "pc")
    Trust(keys={"a": key}, certificates={"chain": chain}, sigstore={"p": public})
    for twice in (
        {"keys": {"a": key, "b": other}},
        {"certificates": {"chain": chain, "alone": alone}},
        {"sigstore": {"p": public, "c": copy}},
    ):
        with pytest.raises(ConfigError, match="give it one name"):
            Trust(**twice)


def test_the_room_imports_without_what_is_heavy() -> None:
    program = (
        "import sys, oms_gate.oms.verify, oms_gate.oms.sign, oms_gate.oms.trust as trust\n"
        "trust.SigstoreRoot.public_good()\n"
        "heavy = {'sigstore.verify', 'sigstore_models', 'rfc3161_client', 'blake3', 'requests'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
