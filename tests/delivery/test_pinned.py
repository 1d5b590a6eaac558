"""Pulling what somebody else has admitted: with that one signature, and nothing else of it.

Every bundle is validly signed, mostly by a key that the gate would trust: it is not asked to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, Assurance, Gate, ReasonCode, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.trust import Trust
from oms_gate.policy.decision import Decision
from tests import models
from tests.delivery.pulling import codes, deliver, gate_of, signed, tree
from tests.oms import forge, test_old_format
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

Key = ec.EllipticCurvePrivateKey
Files = dict[str, Content]
Put = Callable[[Files], str]


def sha256(content: Content) -> str:
    return hashlib.sha256(cast("bytes", content)).hexdigest()


@pytest.fixture
def settings() -> dict[str, Any]:
    """A gate that trusts nobody and admits nothing."""
    return {"trust": {"public_good": False}, "limits": {"read_seconds": 2, "retries": 1}}


@pytest.fixture(params=["hub", "folder"])
def put(request: pytest.FixtureRequest, hub: HubStandIn, tmp_path: Path) -> Put:
    """Put a model where it can be pulled from; its reference."""

    def on_the_hub(files: Files) -> str:
        hub.create("acme/m", files=files)
        return "hf://acme/m"

    def in_a_folder(files: Files) -> str:
        folder = tmp_path / "acme" / "m"
        for path in folder.glob("*"):
            path.unlink()
        return str(models.write(folder, cast("Mapping[str, bytes]", files)))

    return on_the_hub if request.param == "hub" else in_a_folder


def test_what_was_pinned_arrives_and_nobody_is_said_to_have_signed(
    settings: dict[str, Any], key: Key, put: Put, to: Path
) -> None:
    """Not even a file beside it that no policy would let pass: nobody signed it, so it stays."""
    files = signed(key)
    reference = put({**files, "modeling.py": b"import os"})
    pinned = sha256(files["model.sig"])
    verdict = deliver(settings, reference, to, pinned_signature=pinned)
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.BYTES
    assert verdict.signer is None
    assert verdict.policy is not None
    assert (verdict.policy.engine, verdict.policy.revision) == ("pinned", pinned)
    assert verdict.signature is not None
    assert (verdict.signature.sha256, verdict.signature.times) == (pinned, ())
    assert tree(to) == files
    assert not deliver(settings, reference, to.with_name("unpinned")).admitted


def test_a_pull_raises_for_another_signature(
    settings: dict[str, Any], key: Key, tmp_path: Path, to: Path
) -> None:
    source = models.write(tmp_path / "m", signed(key))  # type: ignore[arg-type]
    gate = gate_of(settings)
    pinned = sha256((source / "model.sig").read_bytes())
    assert gate.pull(source, to, pinned_signature=pinned) == to
    with pytest.raises(AdmissionDenied, match=f"found {pinned}") as caught:
        gate.pull(source, to.with_name("other"), pinned_signature="0" * 64)
    assert f"pinned sha256 {'0' * 64}" in str(caught.value)


def stranger(files: Files) -> None:
    files["model.sig"] = models.signature(models.FILES, models.new_key())


def swapped(files: Files) -> None:
    """For another model, with its signature: as a whole as good as the first."""
    other = {**models.FILES, "config.json": b"{}"}
    files |= {**other, "model.sig": models.signature(other, models.new_key())}


def changed(files: Files) -> None:
    files["README.md"] = b"# A modem\n"


def changed_weights(files: Files) -> None:
    files["model.safetensors"] = bytes(len(models.FILES["model.safetensors"]))


def missing(files: Files) -> None:
    del files["config.json"]


def unsigned(files: Files) -> None:
    del files["model.sig"]


@pytest.mark.parametrize("mode", ["enforce", "annotate"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (stranger, ReasonCode.SIGNATURE_NOT_PINNED),
        (swapped, ReasonCode.SIGNATURE_NOT_PINNED),
        (changed, ReasonCode.FILE_CHANGED),
        (changed_weights, ReasonCode.FILE_CHANGED),
        (missing, ReasonCode.COVERAGE_MISSING),
        (unsigned, ReasonCode.SIGNATURE_MISSING),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_not_as_it_was_admitted(
    settings: dict[str, Any],
    key: Key,
    put: Put,
    to: Path,
    spoil: Callable[[Files], object],
    code: ReasonCode,
    mode: str,
) -> None:
    """Nothing of it is let through: whoever admitted it said what may be used, and this is not."""
    files = signed(key)
    pinned = sha256(files["model.sig"])
    spoil(files)
    verdict = deliver({**settings, "mode": mode}, put(files), to, pinned_signature=pinned)
    assert codes(verdict) == [code]
    assert not verdict.lets_through
    assert verdict.delivery is None
    assert not to.exists()


def test_bytes_other_than_declared(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    files = signed(key)
    hub.create("acme/m", files=files)
    hub.replace_under_commit("acme/m", "model.safetensors", bytes(256_000))
    settings["mode"] = "annotate"
    pinned = sha256(files["model.sig"])
    verdict = deliver(settings, "hf://acme/m", to, pinned_signature=pinned)
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert (verdict.mode, verdict.lets_through) == ("enforce", False)
    assert not to.exists()


def test_a_good_copy_stays_when_the_model_is_signed_anew(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    """The same files, and the same signer: but that signature nobody has admitted."""
    files = signed(key)
    pinned = sha256(files["model.sig"])
    hub.create("acme/m", files=files)
    assert deliver(settings, "hf://acme/m", to, pinned_signature=pinned).admitted
    hub.commit("acme/m", {"model.sig": models.signature(models.FILES, key, ignore_paths=["x"])})
    denied = deliver(settings, "hf://acme/m", to, pinned_signature=pinned)
    assert codes(denied) == [ReasonCode.SIGNATURE_NOT_PINNED]
    assert tree(to) == files


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (b"{}", ReasonCode.BUNDLE_MALFORMED),
        (forge.signed(forge.statement({"../x": b""})), ReasonCode.STATEMENT_UNSAFE_NAME),
        (forge.signed(forge.statement({})), ReasonCode.STATEMENT_MALFORMED),
        # The old format is for certificates alone.
        (forge.signed(test_old_format.statement()), ReasonCode.BUNDLE_UNSUPPORTED),
    ],
    ids=["no bundle", "unsafe name", "nothing signed", "old format by key"],
)
def test_the_statement_is_read_as_strictly_as_ever(
    settings: dict[str, Any], put: Put, to: Path, bundle: bytes, code: ReasonCode
) -> None:
    settings["trust"]["old_format"] = True
    reference = put({**models.FILES, "model.sig": bundle})
    assert codes(deliver(settings, reference, to, pinned_signature=sha256(bundle))) == [code]
    assert not to.exists()


@pytest.mark.parametrize("accepted", [False, True])
def test_the_old_format_is_read_on_request_only(
    settings: dict[str, Any], put: Put, to: Path, accepted: bool
) -> None:
    files = dict(models.FILES)
    bundle = test_old_format.signed(test_old_format.statement(files))
    settings["trust"]["old_format"] = accepted
    reference = put({**files, "model.sig": bundle})
    verdict = deliver(settings, reference, to, pinned_signature=sha256(bundle))
    assert codes(verdict) == ([] if accepted else [ReasonCode.BUNDLE_UNSUPPORTED])
    assert to.exists() == accepted


class Asked:
    """A policy that must not be asked."""

    kind = "wasm"
    revision = "none"

    def decide(self, _: Mapping[str, object]) -> Decision:
        raise AssertionError("the policy was asked")

    def close(self) -> None:
        pass


def test_no_policy_is_asked(key: Key, tmp_path: Path, to: Path) -> None:
    source = models.write(tmp_path / "m", signed(key))  # type: ignore[arg-type]
    pinned = sha256((source / "model.sig").read_bytes())
    trust = Trust(keys={}, certificates={}, sigstore={})
    gate = Gate(trust=trust, policy=Asked(), limits=Limits())  # type: ignore[arg-type]
    assert gate.deliver(source, to, pinned_signature=pinned).admitted


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, f"sha256:{'0' * 64}", "0\n"])
def test_what_is_no_digest_is_a_usage_error(
    settings: dict[str, Any], tmp_path: Path, to: Path, digest: str
) -> None:
    with pytest.raises(UsageError, match="64 lower-case"):
        deliver(settings, tmp_path / "absent", to, pinned_signature=digest)
