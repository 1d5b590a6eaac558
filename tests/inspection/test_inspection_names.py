"""Files of which nothing but the name is known."""

from __future__ import annotations

from oms_gate import ReasonCode
from oms_gate.inspection.names import inspect_names
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.reference import Reference

SECRET, FORMAT = ReasonCode.PUBLISH_SECRET, ReasonCode.PUBLISH_FORMAT
NAMES = {
    "model.pkl": FORMAT,
    "deep/Checkpoint.PT": FORMAT,
    "release.p12": SECRET,
    "deep/id_rsa": SECRET,
    # These have to be looked into.
    "pytorch_model.bin": None,
    "model.safetensors": None,
    "model.npz": None,
    ".env": None,
    "README.md": None,
}


def found(**allowed: tuple[str, ...]) -> dict[str | None, ReasonCode]:
    model, settings = Reference.parse("hf://acme/model"), PublishSettings(**allowed)
    findings = inspect_names(model, NAMES, settings, Limits())
    return {reason.path: reason.code for reason in findings.reasons}


def test_what_they_tell() -> None:
    assert found() == {path: code for path, code in NAMES.items() if code is not None}


def test_exceptions_are_as_of_other_files() -> None:
    kept = {"deep/Checkpoint.PT": FORMAT, "deep/id_rsa": SECRET}
    assert found(allow_formats=("*.pkl",), allow_secrets=("*.p12",)) == kept
