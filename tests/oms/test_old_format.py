"""The format before OMS v1.0: on request, for certificates, and for nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.old_format import encoding
from oms_gate.oms.verify import inspect, verify
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import NOW, checked, encode, refused

MALFORMED = ReasonCode.STATEMENT_MALFORMED
ROOT = forge.issue("root")
LEAF = forge.issue_leaf("leaf", ROOT)
STRICT = forge.anchored(ROOT)
LENIENT = dataclasses.replace(STRICT, old_format=True, keys=forge.trusting(LEAF.private_key).keys)


def statement(files: dict[str, bytes] | None = None) -> forge.Json:
    """What release 0.2 of the reference implementation states."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": path,
                "digest": {"sha256": forge.sha256(content)},
                "annotations": {"actual_hash_algorithm": "file-sha256"},
            }
            for path, content in (files or dict(forge.FILES)).items()
        ],
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "for the library's sake"},
    }


def signed(
    made: forge.Json,
    chain: tuple[forge.Party, ...] = (LEAF,),
    over: Callable[[bytes], bytes] = encoding,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A bundle whose certificate signs in the old format."""
    payload = encode(made)
    bundle = forge.certificate_bundle(payload, *chain)
    signature = chain[0].private_key.sign(over(payload), ec.ECDSA(digest or hashes.SHA256()))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = forge.b64(signature)
    return encode(bundle)


def test_the_encoding_is_a_text_around_what_python_prints_of_bytes() -> None:
    kind = "application/vnd.in-toto+json"
    assert encoding(b"{\"'\n\xc3\xa4") == f"DSSEV1 28 {kind} 6 b'{{\"\\'\\n\\xc3\\xa4'".encode()
    assert encoding(b"'") == f'DSSEV1 28 {kind} 1 b"\'"'.encode()


def test_it_is_accepted_on_request_only() -> None:
    bundle = signed(statement())
    found = checked(bundle, LENIENT)
    assert found.method == "certificate"
    assert found.subject_name == ""
    assert {path: parts[0].digest for path, parts in found.manifest.files.items()} == {
        path: forge.sha256(content) for path, content in forge.FILES.items()
    }
    assert found.manifest.hash_type == "sha256"
    assert found.manifest.ignore_paths == ()
    assert found.format == "v0.2"
    assert checked(forge.certified(LEAF), LENIENT).format == "v1.0"
    assert inspect(bundle, forge.LIMITS).claimed_manifest == found.manifest
    assert "trust.old_format" in refused(ReasonCode.BUNDLE_UNSUPPORTED, bundle, STRICT)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_the_hash_function_is_sha256_whatever_the_curve(curve: type[ec.EllipticCurve]) -> None:
    leaf = forge.issue_leaf("leaf", ROOT, private_key=forge.key("old", curve))
    checked(signed(statement(), (leaf,)), LENIENT)
    refused(
        ReasonCode.SIGNATURE_INVALID, signed(statement(), (leaf,), digest=hashes.SHA512()), LENIENT
    )


def test_each_encoding_goes_with_its_own_statement() -> None:
    new, old = forge.statement(), statement()
    checked(forge.certified(LEAF), LENIENT)
    refused(ReasonCode.SIGNATURE_INVALID, signed(new), LENIENT)
    # Named inside, so that the old reading is tried, the new statement is none of the old format.
    named = forge.statement()
    named["subject"][0]["name"] = old["predicateType"]
    refused(MALFORMED, signed(named), LENIENT)
    checked(encode(forge.certificate_bundle(encode(named), LEAF)), LENIENT)
    properly = encode(forge.certificate_bundle(encode(old), LEAF))
    refused(ReasonCode.BUNDLE_UNSUPPORTED, properly, LENIENT)


def test_a_key_cannot_sign_in_it() -> None:
    made = forge.key_bundle(encode(statement()), LEAF.private_key)
    made["dsseEnvelope"] = json.loads(signed(statement()))["dsseEnvelope"]
    refused(ReasonCode.BUNDLE_UNSUPPORTED, encode(made), LENIENT)


def test_the_chain_is_checked_as_ever() -> None:
    for code, leaf in (
        (ReasonCode.CERTIFICATE_UNTRUSTED, forge.issue_leaf("leaf", forge.issue("other"))),
        (ReasonCode.CERTIFICATE_EXPIRED, forge.issue_leaf("leaf", ROOT, end=NOW)),
        (ReasonCode.CERTIFICATE_UNSUITABLE, forge.issue_leaf("l", ROOT, more=[forge.TLS_SERVER])),
    ):
        bundle = signed(statement(), (leaf,))
        refused(code, bundle, LENIENT, at=NOW.replace(second=1))
    checked(signed(statement()), LENIENT, at=NOW.replace(second=1))


def test_a_changed_statement_is_refused() -> None:
    bundle = json.loads(signed(statement()))
    changed = statement({**forge.FILES, "config.json": b"changed"})
    bundle["dsseEnvelope"]["payload"] = forge.b64(encode(changed))
    refused(ReasonCode.SIGNATURE_INVALID, encode(bundle), LENIENT)
    checked(signed(changed), LENIENT)


FLAWS: dict[str, tuple[forge.Change, ReasonCode]] = {
    "no files": (lambda made: made["subject"].clear(), MALFORMED),
    "a file twice": (lambda made: made["subject"].append(made["subject"][0]), MALFORMED),
    "another type": (
        lambda made: made.update(_type="https://in-toto.io/Statement/v0.1"),
        MALFORMED,
    ),
    "an unknown member": (lambda made: made.update(more=1), MALFORMED),
    "no digest": (lambda made: made["subject"][0].pop("digest"), MALFORMED),
    "two digests": (lambda made: made["subject"][0]["digest"].update(sha512="ab" * 64), MALFORMED),
    "upper case": (
        lambda made: made["subject"][0]["digest"].update(sha256="AB" * 32),
        MALFORMED,
    ),
    "another hash": (
        lambda made: made["subject"][0]["annotations"].update(actual_hash_algorithm="blake3"),
        MALFORMED,
    ),
    "another annotation": (lambda made: made["subject"][0]["annotations"].update(a="b"), MALFORMED),
    "out of the model": (
        lambda made: made["subject"][0].update(name="../x"),
        ReasonCode.STATEMENT_UNSAFE_NAME,
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_its_statement_is_read_as_strictly(flaw: str) -> None:
    checked(signed(statement()), LENIENT)
    change, code = FLAWS[flaw]
    refused(code, signed(forge.changed(statement(), change)), LENIENT)


def test_annotations_may_be_absent() -> None:
    checked(
        signed(forge.changed(statement(), lambda m: m["subject"][0].pop("annotations"))), LENIENT
    )


def test_too_many_files_are_refused() -> None:
    bundle = signed(statement())
    verify(bundle, LENIENT, at=NOW, limits=Limits(resources=len(forge.FILES)))
    with pytest.raises(SignatureError, match=r"limits\.resources allows 2"):
        verify(bundle, LENIENT, at=NOW, limits=Limits(resources=len(forge.FILES) - 1))
