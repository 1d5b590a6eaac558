"""What is signed here verifies here, and only what the specification allows is signed."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms.digests import DIGEST_BYTES, HashType
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.oms.verify import inspect
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import LIMITS, checked, refused, trusting

CURVES = [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1]


def whole(*paths: str, hash_type: HashType = "sha256") -> Manifest:
    digest = "5a" * DIGEST_BYTES[hash_type]
    resources = tuple(Resource(path, digest) for path in paths)
    return Manifest("files", hash_type, None, False, ("model.sig",), resources)


@settings(deadline=None)
@given(
    st.sets(st.text("abc\u00e4: ", min_size=2, max_size=5), min_size=1, max_size=6),
    st.sampled_from(["sha256", "blake2b", "blake3"]),
    st.sampled_from(CURVES),
)
def test_what_is_signed_verifies(
    names: set[str], hash_type: HashType, curve: type[ec.EllipticCurve]
) -> None:
    paths = sorted(f"{index}/{name}" for index, name in enumerate(sorted(names)))
    manifest = whole(*paths, hash_type=hash_type)
    private_key = forge.key("signer", curve)
    data = sign_with_key(payload_of(manifest, "a model"), private_key)
    verified = checked(data, trusting(private_key))
    assert verified.manifest == manifest
    assert verified.subject_name == "a model"
    assert verified.method == "key"
    assert verified.bundle_sha256 == forge.sha256(data)
    assert verified.log_index is None
    refused(ReasonCode.KEY_UNTRUSTED, data, trusting(forge.key("somebody else")))


def test_shards_of_several_files_verify() -> None:
    ranges = [("dir/a:b", 0, 4), ("dir/a:b", 4, 8), ("dir/b", 0, 3)]
    resources = tuple(Resource(path, "5a" * 32, start, end) for path, start, end in ranges)
    manifest = Manifest("shards", "sha256", 4, True, (), resources)
    verified = checked(sign_with_key(payload_of(manifest, "m"), forge.key()))
    assert verified.manifest == manifest
    assert verified.manifest.files["dir/a:b"][-1].end == 8


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_the_same_model_and_key_give_the_same_bytes(curve: type[ec.EllipticCurve]) -> None:
    key = forge.key("signer", curve)
    made = sign_with_key(payload_of(whole("a", "b"), "m"), key)
    assert made == sign_with_key(payload_of(whole("a", "b"), "m"), key)
    assert made != sign_with_key(payload_of(whole("a", "c"), "m"), key)
    bundle = json.loads(made)
    assert list(bundle) == ["mediaType", "verificationMaterial", "dsseEnvelope"]
    assert bundle["verificationMaterial"]["tlogEntries"] == []
    assert "rawBytes" not in bundle["verificationMaterial"]["publicKey"]


@pytest.mark.parametrize("name", ["", "a\nb", "a\ud800", "\u202e"])
def test_models_have_readable_names(name: str) -> None:
    sign_with_key(payload_of(whole("a"), "Mod\u00e8le 1"), forge.key())
    with pytest.raises(UsageError):
        sign_with_key(payload_of(whole("a"), name), forge.key())


def test_unsorted_files_and_other_curves_are_not_signed() -> None:
    sign_with_key(payload_of(whole("a", "b"), "m"), forge.key())
    with pytest.raises(UsageError, match="code point order"):
        sign_with_key(payload_of(whole("b", "a"), "m"), forge.key())
    with pytest.raises(ConfigError, match="secp256k1"):
        sign_with_key(payload_of(whole("a"), "m"), forge.key("k", ec.SECP256K1))


def test_claims_are_told_without_trust() -> None:
    data = sign_with_key(payload_of(whole("a", "b"), "m"), forge.key("unknown"))
    claims = inspect(data, LIMITS)
    assert claims.method == "key"
    assert claims.claimed_manifest == whole("a", "b")
    assert claims.claimed_subject_name == "m"
    assert claims.claimed_chain == ()
    assert claims.claimed_time is None
    assert claims.claimed_identity == json.loads(data)["verificationMaterial"]["publicKey"]["hint"]


def test_claims_of_certificates_are_told_without_trust() -> None:
    top = forge.issue("Root CA")
    claims = inspect(forge.certified(forge.issue_leaf("Publisher", top), top), LIMITS)
    assert claims.method == "certificate"
    assert claims.claimed_identity == "CN=Publisher"
    assert claims.claimed_issuer == "CN=Root CA"
    assert claims.claimed_chain == ("CN=Publisher", "CN=Root CA")
