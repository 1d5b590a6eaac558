"""Validly signed bundles with any content: what an attacker with a trusted key can make."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oms_gate.errors import StepError
from oms_gate.limits import Limits
from oms_gate.oms import dsse
from oms_gate.oms.key import key_hint
from oms_gate.oms.trust import CertificateRoot, KeyRoot, Trust
from oms_gate.oms.verify import VerifiedSignature, verify
from oms_gate.reason_codes import ReasonCode

Json = dict[str, Any]
Change = Callable[[Json], object]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMITS = Limits()


@cache
def key(label: str = "publisher", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Any:
    """An elliptic curve private key, the same for the same label."""
    return ec.generate_private_key(curve())


@cache
def rsa_key(bits: int, label: str = "") -> Any:
    """An RSA private key, the same for the same label."""
    return rsa.generate_private_key(65537, bits)


def public_pem(private_key: PrivateKey) -> bytes:
    """The public half in PEM."""
    return private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def trusting(*keys: ec.EllipticCurvePrivateKey) -> Trust:
    """A gate that trusts these keys, or the default one."""
    roots = [
        KeyRoot.from_pem(f"key {index}", public_pem(one))
        for index, one in enumerate(keys or (key(),))
    ]
    return Trust(keys={root.name: root for root in roots})


def b64(data: bytes) -> str:
    """Plain base64."""
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


FILES = {"config.json": b"{}", "model.safetensors": b"weights", "sub/vocab.txt": b"a\nb\n"}


def statement(files: Mapping[str, bytes] = FILES) -> Json:
    """A sound statement about whole files."""
    return rooted(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model", "digest": {"sha256": ""}}],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [".git", "model.sig"],
                },
                "resources": [
                    {"name": name, "digest": sha256(content), "algorithm": "sha256"}
                    for name, content in files.items()
                ],
            },
        }
    )


def sharded(ranges: Iterable[str], shard_size: object = 4, algorithm: str = "sha256") -> Json:
    """A statement about byte ranges that are named ``path:start:end``."""
    made = statement()
    made["predicate"]["serialization"] |= {"method": "shards", "shard_size": shard_size}
    made["predicate"]["resources"] = [
        {"name": name, "digest": sha256(name.encode()), "algorithm": algorithm} for name in ranges
    ]
    return rooted(made)


def rooted(made: Json) -> Json:
    """The statement with the root digest that its resources give, where they give one."""
    try:
        digests = [entry["digest"] for entry in made["predicate"]["resources"]]
        raw = bytes.fromhex("".join(digests))
    except (KeyError, TypeError, ValueError):
        return made
    made["subject"][0]["digest"]["sha256"] = sha256(raw)
    return made


def changed(made: Json, change: Change) -> Json:
    """A copy of a statement or bundle that `change` has edited."""
    edited = copy.deepcopy(made)
    change(edited)
    return edited


def encode(value: object) -> bytes:
    """JSON as signers write it."""
    return json.dumps(value, ensure_ascii=False).encode()


def bundle(payload: bytes, signature: bytes, material: Json) -> Json:
    """A bundle around a payload and a signature."""
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64(payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": b64(signature), "keyid": ""}],
        },
    }


def key_bundle(payload: bytes, signer: ec.EllipticCurvePrivateKey | None = None) -> Json:
    """A bundle validly signed with a key."""
    signer = signer or key()
    material = {"publicKey": {"hint": key_hint(signer.public_key())}}
    return bundle(payload, dsse.sign(signer, payload), material)


def signed(made: Json | bytes, signer: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A statement, or any payload, in a bundle validly signed with a key."""
    return encode(key_bundle(made if isinstance(made, bytes) else encode(made), signer))


def checked(data: bytes, trust: Trust | None = None, *, at: datetime = NOW) -> VerifiedSignature:
    """Verify with usual limits and, if nothing else is said, the default key."""
    return verify(data, trusting() if trust is None else trust, at=at, limits=LIMITS)


def refused(
    code: ReasonCode, data: bytes, trust: Trust | None = None, *, at: datetime = NOW
) -> str:
    """Assert that verification refuses with `code`; the message, which is one sentence."""
    with pytest.raises(StepError) as caught:
        checked(data, trust, at=at)
    message = str(caught.value)
    assert caught.value.reason.code is code, message
    assert "\n" not in message
    return message


@dataclass(frozen=True)
class Party:
    """A certificate and its private key."""

    certificate: x509.Certificate
    private_key: Any

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)


DIGITAL_SIGNATURE = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
CERT_SIGN = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
CODE_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
TLS_SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def name(common_name: str) -> x509.Name:
    """A distinguished name with a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def issue(
    common_name: str,
    issuer: Party | None = None,
    *,
    ca: bool | None = True,
    path_length: int | None = None,
    key_usage: x509.KeyUsage | None = CERT_SIGN,
    more: Iterable[x509.ExtensionType] = (),
    critical: Iterable[x509.ExtensionType] = (),
    start: datetime = NOW - timedelta(days=30),
    end: datetime = NOW + timedelta(days=30),
    private_key: PrivateKey | None = None,
    subject: x509.Name | None = None,
) -> Party:
    """A certificate, self-signed if there is no issuer.

    ca: None leaves the basic constraints out. more, critical: further extensions.
    """
    own_key = private_key or key(common_name)
    subject = name(common_name) if subject is None else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    return Party(builder.sign(issuer.private_key if issuer else own_key, hashes.SHA256()), own_key)


def issue_leaf(common_name: str, issuer: Party | None = None, **differences: Any) -> Party:
    """A certificate as model signers have them."""
    settings: Json = {"ca": False, "key_usage": DIGITAL_SIGNATURE} | differences
    return issue(common_name, issuer, **settings)


def with_sha1(party: Party, issuer: Party) -> Party:
    """The same certificate, validly signed with SHA-1 by an issuer that has an RSA key."""
    with_sha256_rsa = bytes.fromhex("06092a864886f70d01010b")
    with_sha1_rsa = bytes.fromhex("06092a864886f70d010105")
    certificate = party.certificate
    body = certificate.tbs_certificate_bytes.replace(with_sha256_rsa, with_sha1_rsa)
    signature = issuer.private_key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    der = (
        party.der.replace(certificate.tbs_certificate_bytes, body)
        .replace(with_sha256_rsa, with_sha1_rsa)
        .replace(certificate.signature, signature)
    )
    return Party(x509.load_der_x509_certificate(der), party.private_key)


def certificate_bundle(payload: bytes, *chain: Party) -> Json:
    """A bundle validly signed with the key of the first certificate."""
    material = {
        "x509CertificateChain": {"certificates": [{"rawBytes": b64(party.der)} for party in chain]}
    }
    return bundle(payload, dsse.sign(chain[0].private_key, payload), material)


def certified(*chain: Party) -> bytes:
    """The usual statement in a bundle signed with a certificate."""
    return encode(certificate_bundle(encode(statement()), *chain))


def anchored(*anchors: Party) -> Trust:
    """A gate that trusts these certificates."""
    pem = b"".join(anchor.pem for anchor in anchors)
    return Trust(certificates={"anchors": CertificateRoot.from_pem("anchors", pem)})


def load(der: bytes) -> x509.Certificate:
    """A certificate from DER."""
    return x509.load_der_x509_certificate(der)


def typed(payload: bytes, payload_type: str, signing_bytes: bytes | None = None) -> bytes:
    """A bundle of any payload type, signed by the default key, validly if nothing else is said."""
    data = dsse.pae(payload_type, payload) if signing_bytes is None else signing_bytes
    made = key_bundle(payload)
    signature = key().sign(data, ec.ECDSA(hashes.SHA256()))
    made["dsseEnvelope"] |= {"payloadType": payload_type, "signatures": [{"sig": b64(signature)}]}
    return encode(made)


def old_signing_bytes(payload: bytes) -> bytes:
    """What signatures of the format before v1.0 are over."""
    kind = dsse.PAYLOAD_TYPE
    return f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload!r}".encode()
