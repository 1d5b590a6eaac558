"""Real bundles: each is read, verifies under its own root and under no other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema import ValidationError

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.digests import new_hasher
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.oms.statement import parse_statement
from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, Trust
from oms_gate.oms.verify import inspect, verify
from oms_gate.reason_codes import ReasonCode
from tests.corpus import CORPUS, corpus_files, needs_corpus
from tests.oms import forge
from tests.oms.schemas import KINDS, SCHEMAS, assert_schema_valid

pytestmark = needs_corpus

AT = datetime(2026, 9, 15, tzinfo=UTC)
VECTORS = "oms-spec/test-vectors/v1.0"
PUBLIC_KEY = "oms-reference/keys/certificate/signing-key-pub.pem"
REFERENCE_ROOT = "oms-reference/keys/certificate/ca-cert.pem"
NVIDIA_ROOT = "nvidia-skills/nv-agent-root-cert.pem"

IBM = "https://sigstore.verify.ibm.com/oauth2"
DIGICERT_SIGNED = "hub/ibm-granite__granite-timeseries-patchtst-fm-r2/model.sig"
OTHER_NVIDIA_ROOT = "nvidia-skills/amc-run-rtsp-calibration/skill.oms.sig"

BUNDLES = [
    *corpus_files("oms-reference/*/model.sig"),
    *corpus_files("nvidia-skills/*/skill.oms.sig"),
    *corpus_files("hub/*/model.sig"),
    *corpus_files(f"{VECTORS}/valid/*.json"),
]
VERIFIABLE = [path for path in BUNDLES if path not in (DIGICERT_SIGNED, OTHER_NVIDIA_ROOT)]


def read(path: str) -> bytes:
    return (CORPUS / path).read_bytes()


@cache
def trust() -> Trust:
    return Trust(
        keys={"reference": KeyRoot.from_pem("reference", read(PUBLIC_KEY))},
        certificates={
            "reference": CertificateRoot.from_pem("reference", read(REFERENCE_ROOT)),
            "nvidia": CertificateRoot.from_pem("nvidia", read(NVIDIA_ROOT)),
        },
        sigstore={"public-good": SigstoreRoot.public_good()},
    )


@cache
def wrong_trust() -> Trust:
    """Plausible roots of every kind, none of which is the right one."""
    stranger = forge.issue("NVIDIA Agent Capabilities CA")
    return dataclasses.replace(
        forge.trusting(),
        certificates=forge.anchored(stranger).certificates,
        sigstore={"staging": staging_root()},
    )


def staging_root() -> SigstoreRoot:
    import sigstore._store

    (folder,) = Path(sigstore._store.__path__[0]).glob("*sigstage.dev")
    return SigstoreRoot.from_json("staging", (folder / "trusted_root.json").read_bytes())


@pytest.mark.parametrize("path", BUNDLES)
def test_every_real_bundle_is_read(path: str) -> None:
    bundle = parse_bundle(read(path), Limits())
    statement = parse_statement(bundle.payload, Limits())
    claims = inspect(read(path), Limits())
    assert claims.claimed_manifest == statement.manifest
    assert claims.claimed_subject_name == statement.subject_name
    assert claims.bundle_sha256 == forge.sha256(read(path))


@pytest.mark.parametrize("path", VERIFIABLE)
def test_every_real_bundle_verifies_under_its_root_only(path: str) -> None:
    verified = verify(read(path), trust(), at=AT, limits=Limits())
    claims = inspect(read(path), Limits())
    assert verified.method == claims.method
    assert verified.manifest == claims.claimed_manifest
    if verified.method != "key":
        assert verified.signer.identity == claims.claimed_identity
        assert verified.signer.issuer == claims.claimed_issuer
    with pytest.raises(SignatureError) as caught:
        verify(read(path), wrong_trust(), at=AT, limits=Limits())
    assert (
        caught.value.reason.code
        is {
            "key": ReasonCode.KEY_UNTRUSTED,
            "certificate": ReasonCode.CERTIFICATE_UNTRUSTED,
            "sigstore": ReasonCode.SIGSTORE_INVALID,
        }[verified.method]
    )
    with pytest.raises(SignatureError) as caught:
        verify(read(path), Trust(), at=AT, limits=Limits())
    assert caught.value.reason.code is ReasonCode.TRUST_NOT_CONFIGURED


@pytest.mark.parametrize("path", VERIFIABLE)
def test_a_changed_statement_never_verifies(path: str) -> None:
    edited = json.loads(read(path))
    payload = bytearray(parse_bundle(read(path), Limits()).payload)
    payload[payload.index(b'"digest"') + 20] ^= 1
    edited["dsseEnvelope"]["payload"] = forge.b64(bytes(payload))
    with pytest.raises(SignatureError) as caught:
        verify(forge.encode(edited), trust(), at=AT, limits=Limits())
    assert caught.value.reason.code in (ReasonCode.SIGNATURE_INVALID, ReasonCode.SIGSTORE_INVALID)


@pytest.mark.parametrize("path", corpus_files("oms-reference/*/model.sig"))
def test_the_reference_implementations_models_have_the_signed_bytes(path: str) -> None:
    verified = verify(read(path), trust(), at=AT, limits=Limits())
    assert sorted(verified.manifest.files) == ["signme-1", "signme-2"]
    check_bytes(verified.manifest, (CORPUS / path).parent)
    if "sigstore" in path:
        assert verified.signer.identity == "stefanb@us.ibm.com"
        assert verified.signer.issuer == IBM
        assert verified.log_index
        assert verified.times[0].source == "transparency-log"
    if "v1.1.0" in path:
        assert verified.manifest.excludes("ignore-me") == "signer"


@pytest.mark.parametrize(
    ("skill", "is_sorted"),
    [("aiq-deploy", True), ("accelerated-computing-cudf", True), ("rag-blueprint", False)],
)
def test_production_skills_have_the_signed_bytes(skill: str, is_sorted: bool) -> None:
    path = f"nvidia-skills/{skill}/skill.oms.sig"
    verified = verify(read(path), trust(), at=AT, limits=Limits())
    check_bytes(verified.manifest, (CORPUS / path).parent)
    assert verified.manifest.sorted_names is is_sorted
    assert verified.signer.root.name == "nvidia"
    assert verified.signer.chain[-1].startswith("CN=NVIDIA Agent Capabilities CA,")
    assert verified.signer.identity.startswith("CN=NVIDIA Agent Skills Signing 001,")
    assert verified.signer.alternative_names == ()


def test_a_skill_that_was_changed_after_signing_is_authentic_but_has_other_bytes() -> None:
    path = "nvidia-skills/earth2studio-create-diagnostic/skill.oms.sig"
    verified = verify(read(path), trust(), at=AT, limits=Limits())
    with pytest.raises((AssertionError, FileNotFoundError)):
        check_bytes(verified.manifest, (CORPUS / path).parent)


def test_a_code_signing_authority_may_be_pinned_below_its_root() -> None:
    _, intermediate = parse_bundle(read(DIGICERT_SIGNED), Limits()).certificates
    pinned = forge.anchored(forge.Party(forge.load(intermediate), None))
    verified = verify(read(DIGICERT_SIGNED), pinned, at=AT, limits=Limits())
    assert verified.signer.identity.startswith("CN=International Business Machines Corporation,")
    for at, code in (
        (datetime(2026, 8, 3, tzinfo=UTC), ReasonCode.CERTIFICATE_NOT_YET_VALID),
        (datetime(2027, 11, 2, tzinfo=UTC), ReasonCode.CERTIFICATE_EXPIRED),
    ):
        with pytest.raises(SignatureError) as caught:
            verify(read(DIGICERT_SIGNED), pinned, at=at, limits=Limits())
        assert caught.value.reason.code is code


@pytest.mark.parametrize("path", [path for path in VERIFIABLE if path.startswith("hub/")])
def test_repositories_of_the_hub_are_signed_by_whom_the_record_says(path: str) -> None:
    record = json.loads(read(path.replace("model.sig", "verdict.json")))
    verified = verify(read(path), trust(), at=AT, limits=Limits())
    expected = record["signer"]
    assert verified.signer.identity == expected["san"]
    assert verified.signer.issuer == expected["issuer"]
    assert verified.log_index == expected["log_index"]
    assert verified.times[0].time == datetime.fromisoformat(expected["integrated_time"])
    assert len(verified.times) == 1 + expected["rfc3161_timestamps_verified"]
    assert verified.manifest.root_digest == record["statement"]["subject_sha256"]
    assert len(verified.manifest.files) == record["files_in_manifest"]


# What is wrong with each vector, as the refusal says it; and whether its schema says so too.
INVALID = {
    "invalid/empty.bundle.json": (ReasonCode.BUNDLE_MALFORMED, "it is empty"),
    "invalid/missing-envelope.bundle.json": (
        ReasonCode.BUNDLE_MALFORMED,
        "dsseEnvelope is missing",
    ),
    "invalid/missing-tlog-entries.bundle.json": (ReasonCode.BUNDLE_MALFORMED, "tlogEntries"),
    "invalid/missing-verification-material.bundle.json": (
        ReasonCode.BUNDLE_MALFORMED,
        "verificationMaterial is missing",
    ),
    "invalid-payload/wrong-predicate.bundle.json": (
        ReasonCode.STATEMENT_MALFORMED,
        "predicateType",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_vectors_are_refused(name: str) -> None:
    data = read(f"{VECTORS}/{name}")
    code, says = INVALID[name]
    with pytest.raises(SignatureError):
        verify(data, trust(), at=AT, limits=Limits())
    with pytest.raises(SignatureError, match=says) as caught:
        inspect(data, Limits())
    assert caught.value.reason.code is code
    with pytest.raises((ValidationError, JSONDecodeError)):
        assert_schema_valid(data)


@pytest.mark.parametrize("path", BUNDLES)
def test_every_real_bundle_is_valid_under_the_published_schemas(path: str) -> None:
    assert_schema_valid(read(path))


@pytest.mark.parametrize("manifest_of", [forge.statement(), forge.sharded(["a:0:4", "a:4:5"])])
def test_what_is_signed_here_is_valid_under_the_published_schemas(manifest_of: Any) -> None:
    manifest = parse_statement(forge.encode(manifest_of), Limits()).manifest
    assert_schema_valid(sign_with_key(payload_of(manifest, "model"), forge.key()))
    # The schemas are looked at: they want what the gate wants, and less.
    edited = forge.changed(manifest_of, lambda m: m["predicate"]["serialization"].pop("hash_type"))
    with pytest.raises(ValidationError):
        assert_schema_valid(forge.signed(edited))


def test_nothing_of_the_corpus_is_left_out() -> None:
    vectors = {f"{VECTORS}/{name}" for name in INVALID}
    signatures = {*corpus_files("**/*.sig"), *corpus_files("**/*.bundle.json")}
    assert signatures == {*BUNDLES, *vectors}
    assert {*BUNDLES} - {*VERIFIABLE} == {DIGICERT_SIGNED, OTHER_NVIDIA_ROOT}
    assert corpus_files("**/*.schema.json") == sorted(
        f"{SCHEMAS}/{kind}.schema.json" for kind in KINDS
    )
    assert {*corpus_files("**/*.pem")} == {
        PUBLIC_KEY,
        REFERENCE_ROOT,
        NVIDIA_ROOT,
        *(path for path, _ in REFERENCE_PINS),
    }


REFERENCE_PINS = [
    ("oms-reference/keys/certificate/int-ca-cert.pem", 2),
    ("oms-reference/keys/certificate/signing-key-cert.pem", 1),
]


@pytest.mark.parametrize(("pin", "length"), REFERENCE_PINS)
@pytest.mark.parametrize("path", corpus_files("oms-reference/*-certificate/model.sig"))
def test_a_member_of_a_real_chain_may_be_pinned(path: str, pin: str, length: int) -> None:
    """The signer's certificate among them, which is marked as an authority."""
    leaf = parse_bundle(read(path), Limits()).certificates[0]
    constraints = forge.load(leaf).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    pinned = Trust(certificates={"pin": CertificateRoot.from_pem("pin", read(pin))})
    assert len(verify(read(path), pinned, at=AT, limits=Limits()).signer.chain) == length
    with pytest.raises(SignatureError) as caught:
        verify(read(DIGICERT_SIGNED), pinned, at=AT, limits=Limits())
    assert caught.value.reason.code is ReasonCode.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("path", [path for path in VERIFIABLE if "nvidia" in path])
def test_real_chains_are_as_their_publisher_made_them(path: str) -> None:
    """Three certificates with the root, on P-384, without purposes and alternative names."""
    members = [forge.load(der) for der in parse_bundle(read(path), Limits()).certificates]
    assert len(members) == 3
    for member in members:
        key = member.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp384r1"
        kinds = {type(extension.value) for extension in member.extensions}
        assert not kinds & {x509.ExtendedKeyUsage, x509.SubjectAlternativeName}
    assert {member.not_valid_after_utc.year for member in members[1:]} == {9999}
    expires = members[0].not_valid_after_utc
    verify(read(path), trust(), at=expires, limits=Limits())
    with pytest.raises(SignatureError) as caught:
        verify(read(path), trust(), at=expires + timedelta(seconds=1), limits=Limits())
    assert caught.value.reason.code is ReasonCode.CERTIFICATE_EXPIRED


@pytest.mark.parametrize("path", [DIGICERT_SIGNED, OTHER_NVIDIA_ROOT])
def test_a_root_that_only_the_bundle_knows_is_none(path: str) -> None:
    """The right kind of trust, with the wrong roots in it; none at all is not the web's."""
    for roots, code in (
        (trust(), ReasonCode.CERTIFICATE_UNTRUSTED),
        (wrong_trust(), ReasonCode.CERTIFICATE_UNTRUSTED),
        (Trust(), ReasonCode.TRUST_NOT_CONFIGURED),
    ):
        with pytest.raises(SignatureError) as caught:
            verify(read(path), roots, at=AT, limits=Limits())
        assert caught.value.reason.code is code
    *_, last = parse_bundle(read(path), Limits()).certificates
    pinned = forge.anchored(forge.Party(forge.load(last), None))
    verify(read(path), pinned, at=AT, limits=Limits())


@pytest.mark.parametrize(
    "path",
    [f"{VECTORS}/valid/{method}.bundle.json" for method in ("key", "certificate", "sigstore")],
)
def test_no_key_of_a_real_bundle_occurs_twice(path: str) -> None:
    document = json.loads(read(path))
    verify(forge.encode(document), trust(), at=AT, limits=Limits())
    for doubled in every_key_twice(document):
        assert json.loads(doubled) == document
        with pytest.raises(SignatureError, match="occurs twice"):
            verify(doubled, trust(), at=AT, limits=Limits())


def every_key_twice(document: Any) -> Iterator[bytes]:
    """The document, once for each member of an object in it that then occurs twice."""

    def objects(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            yield value
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, dict | list):
                yield from objects(inner)

    mark = "\uffff"
    for node in list(objects(document)):
        for key in list(node):
            node[key + mark] = node[key]
            doubled = forge.encode(document).decode().replace(mark, "")
            del node[key + mark]
            yield doubled.encode()


def check_bytes(manifest: Manifest, folder: Path) -> None:
    for path, (resource,) in manifest.files.items():
        hasher = new_hasher(manifest.hash_type)
        hasher.update((folder / path).read_bytes())
        assert hasher.hexdigest() == resource.digest, path
