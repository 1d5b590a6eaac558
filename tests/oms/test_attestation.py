"""Attestations: who states what about which bytes, and nothing that is not signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.attestation import (
    SignedModel,
    VerifiedAttestation,
    bundles_in,
    verify_attestation,
)
from oms_gate.oms.manifest import Resource
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import verify
from oms_gate.reason_codes import ReasonCode
from tests import attesting
from tests.oms import forge
from tests.oms.forge import LIMITS, NOW, Json, encode, trusting
from tests.sigstore.instance import Sigstore

DIGEST = "ab" * 32
BUNDLE = forge.key_bundle(encode(attesting.statement([DIGEST])))


def verified(
    bundle: Json | bytes, trust: Trust | None = None, limits: Limits = LIMITS
) -> VerifiedAttestation:
    data = bundle if isinstance(bundle, bytes) else encode(bundle)
    return verify_attestation(data, trust or trusting(), at=NOW, limits=limits)


def refused(
    code: ReasonCode, bundle: Json | bytes, trust: Trust | None = None, limits: Limits = LIMITS
) -> str:
    with pytest.raises(SignatureError) as caught:
        verified(bundle, trust, limits)
    assert caught.value.reason.code is code, caught.value.reason
    return caught.value.reason.message


def stating(**changes: Any) -> Json:
    """A validly signed statement with other members; None leaves one out."""
    made = {**attesting.statement([DIGEST]), **changes}
    return forge.key_bundle(encode({k: v for k, v in made.items() if v is not None}))


@pytest.mark.parametrize("version", ["v1", "v0.1"])
def test_a_statement_is_read(version: str) -> None:
    found = verified(stating(_type=f"https://in-toto.io/Statement/{version}"))
    assert found.signer.root.name == "key 0"
    assert found.predicate_type == attesting.PROVENANCE
    assert found.predicate == attesting.BUILD
    assert found.subjects == {DIGEST}
    assert found.times == ()
    assert found.log_index is None


@pytest.mark.parametrize("method", ["certificate", "sigstore"])
def test_every_method_attests(method: str) -> None:
    payload = encode(attesting.statement([DIGEST]))
    if method == "sigstore":
        instance = Sigstore()
        trust = Trust(sigstore={"private": instance.root()})
        other = Trust(sigstore={"private": Sigstore().root()})
        bundle, code = instance.sign(payload), ReasonCode.SIGSTORE_INVALID
    else:
        root = forge.issue("root")
        trust, other = forge.anchored(root), forge.anchored(forge.issue("another root"))
        bundle = forge.certificate_bundle(payload, forge.issue_leaf("leaf", root))
        code = ReasonCode.CERTIFICATE_UNTRUSTED
    found = verified(bundle, trust)
    assert found.signer.method == method
    assert (found.log_index is None) == (method != "sigstore")
    refused(code, bundle, other)


def test_cosign_names_a_key_in_its_own_way() -> None:
    """cosign attest-blob --key: base64 of the SHA-256 of the key's DER."""
    hint = forge.b64(bytes.fromhex(trusting().keys["key 0"].sha256))
    bundle = forge.changed(
        BUNDLE, lambda made: made["verificationMaterial"].update(publicKey={"hint": hint})
    )
    assert verified(bundle).signer.root.name == "key 0"
    refused(ReasonCode.KEY_UNTRUSTED, bundle, trusting(forge.key("mallory")))


def test_a_stranger_attests_nothing() -> None:
    refused(ReasonCode.KEY_UNTRUSTED, BUNDLE, trusting(forge.key("mallory")))
    assert "the signature is by a key" in refused(ReasonCode.TRUST_NOT_CONFIGURED, BUNDLE, Trust())


def test_a_tampered_predicate_is_noticed() -> None:
    payload = encode(attesting.statement([DIGEST], {"builder": "another"}))
    refused(
        ReasonCode.SIGNATURE_INVALID,
        forge.changed(BUNDLE, lambda made: made["dsseEnvelope"].update(payload=forge.b64(payload))),
    )


def test_another_payload_type_is_refused() -> None:
    data = forge.typed(encode(attesting.statement([DIGEST])), "application/json")
    assert "application/json" in refused(ReasonCode.BUNDLE_UNSUPPORTED, data)


def test_an_envelope_by_itself_cannot_be_verified() -> None:
    message = refused(ReasonCode.BUNDLE_UNSUPPORTED, BUNDLE["dsseEnvelope"])
    assert "bare DSSE envelope" in message
    assert "Sigstore bundles v0.3" in message


@pytest.mark.parametrize("old", [False, True])
def test_a_models_signature_is_no_attestation(old: bool) -> None:
    made = forge.statement()
    if old:
        made["predicateType"] = "https://model_signing/Digests/v0.1"
    assert "signature of a model" in refused(
        ReasonCode.BUNDLE_UNSUPPORTED, forge.key_bundle(encode(made))
    )


def test_an_attestation_is_no_models_signature() -> None:
    with pytest.raises(SignatureError) as caught:
        verify(encode(BUNDLE), trusting(), at=NOW, limits=LIMITS)
    assert caught.value.reason.code is ReasonCode.STATEMENT_MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": None},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"_type": 1},
        {"predicateType": None},
        {"predicateType": ""},
        {"predicate": None},
        {"predicate": []},
        {"predicate": "none"},
        {"subject": None},
        {"subject": {}},
        {"subject": ["x"]},
        {"subject": [{"digest": DIGEST}]},
        {"subject": [{"digest": {"sha256": [DIGEST]}}]},
    ],
)
def test_a_malformed_statement_is_refused(changes: Json) -> None:
    refused(ReasonCode.STATEMENT_MALFORMED, stating(**changes))


@pytest.mark.parametrize(
    "payload",
    [
        b"\n",
        b"[]",
        encode(attesting.statement([DIGEST]))[:-5],
        encode(attesting.statement([DIGEST])).replace(b'"_type"', b'"predicate": {}, "_type"'),
        encode(attesting.statement([DIGEST], {"a": "b"})).replace(b'"a"', b'"a": 1, "a"'),
        encode(attesting.statement([DIGEST], {"a": 1})).replace(b'"a": 1', b'"a": NaN'),
        encode(attesting.statement([DIGEST], json.loads("[" * 40 + "]" * 40))),
    ],
)  # fmt: skip
def test_a_statement_with_more_than_one_reading_is_refused(payload: bytes) -> None:
    refused(ReasonCode.STATEMENT_MALFORMED, forge.key_bundle(payload))


def test_the_values_of_a_statement_are_counted() -> None:
    few = Limits(attestation_values=100)
    verified(stating(predicate={"a": [1] * 80}), limits=few)
    message = refused(
        ReasonCode.STATEMENT_MALFORMED, stating(predicate={"a": [1] * 100}), limits=few
    )
    assert "limits.attestation_values" in message


def test_what_in_toto_adds_is_passed_over() -> None:
    digest = {"sha512": "ff", "sha256": DIGEST}
    subject = {"name": "x", "uri": "y", "annotations": {}, "digest": digest}
    found = verified(stating(subject=[subject, {"name": DIGEST}, {"digest": {}}], new={"a": 1}))
    assert found.subjects == {DIGEST}


MODEL = SignedModel("aa" * 32, "bb" * 32, {"cc" * 32: ("a", "b"), "dd" * 32: ("c",)})


@pytest.mark.parametrize(
    ("digests", "whole", "files"),
    [
        (["aa" * 32], True, ()),
        (["bb" * 32, "00" * 32], True, ()),
        (["cc" * 32], False, ("a", "b")),
        (["dd" * 32, "cc" * 32, "aa" * 32], True, ("a", "b", "c")),
    ],
)
def test_subjects_are_compared_by_their_digests(
    digests: list[str], whole: bool, files: tuple[str, ...]
) -> None:
    assert MODEL.as_subject_of(verified(stating_about(digests))) == (whole, files)


def stating_about(digests: list[str]) -> Json:
    return forge.key_bundle(encode(attesting.statement(digests)))


@pytest.mark.parametrize("digests", [[], ["00" * 32], ["AA" * 32], ["aa"], ["aa" * 33]])
def test_what_is_about_something_else_is_unrelated(digests: list[str]) -> None:
    with pytest.raises(SignatureError) as caught:
        MODEL.as_subject_of(verified(stating_about(digests)))
    assert caught.value.reason.code is ReasonCode.ATTESTATION_UNRELATED


def test_a_name_binds_nothing() -> None:
    """The subject is called like one file of the model and has the digest of another."""
    subject = [{"name": "a", "digest": {"sha256": "dd" * 32}}]
    assert MODEL.as_subject_of(verified(stating(subject=subject))) == (False, ("c",))
    with pytest.raises(SignatureError):
        MODEL.as_subject_of(verified(stating(subject=[{"name": "a"}])))


def test_only_whole_files_by_sha256_are_known_by_their_digest() -> None:
    made = verify(
        encode(forge.key_bundle(encode(forge.statement()))), trusting(), at=NOW, limits=LIMITS
    )
    files = SignedModel.of(made, made.manifest.files).files
    assert files[forge.sha256(b"weights")] == ("model.safetensors",)
    shards = {"x": (Resource("x", DIGEST, 0, 4),)}
    assert SignedModel.of(made, shards).files == {}


def test_a_file_is_one_bundle_or_lines_of_them() -> None:
    line = encode(BUNDLE)
    whole = json.dumps(BUNDLE, indent=2).encode()
    assert [*bundles_in(whole)] == [(1, whole)]
    assert [*bundles_in(line)] == [(1, line)]
    assert [*bundles_in(b"\n" + line + b"\r\n\n " + line + b"\n")] == [(2, line), (4, line)]
    assert [*bundles_in(b"{}\nx")] == [(1, b"{}"), (2, b"x")]
    assert [*bundles_in(b"")] == [(1, b"")]


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_is_signed_is_read_or_refused(payload: bytes) -> None:
    """Nothing but a sound statement comes out, and no error but the one that says so."""
    try:
        found = verified(forge.key_bundle(payload))
    except SignatureError:
        return
    assert isinstance(found.predicate, dict)


@given(st.data())
def test_a_changed_statement_is_read_or_refused(data: st.DataObject) -> None:
    made: Any = attesting.statement([DIGEST])
    member = data.draw(st.sampled_from([*made, "new"]))
    value: Any = data.draw(
        st.none() | st.booleans() | st.integers() | st.text() | st.just([]) | st.just({})
    )
    try:
        found = verified(forge.key_bundle(encode({**made, member: value})))
    except SignatureError:
        assert member != "new"
        return
    assert member in ("predicate", "predicateType", "subject", "new")
    assert found.subjects <= {DIGEST}
