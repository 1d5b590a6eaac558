"""Bills of materials in a model, as input of the policy: signed ones, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig, load_trust
from oms_gate.errors import ConfigError
from oms_gate.limits import Limits
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from oms_gate.strict_yaml import parse_yaml
from tests import models
from tests.bom import describing
from tests.bom.describing import FILES, KEY
from tests.peers.hub import HubStandIn

ROOT = Path(__file__).parents[2]
LISTED = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"type": "machine-learning-model", "name": "m"}},
}
SPDX = {"spdxVersion": "SPDX-2.3", "packages": []}
UNSIGNED, MALFORMED = ReasonCode.BOM_UNSIGNED, ReasonCode.BOM_MALFORMED
TOO_LARGE, TOO_MANY, MISSING = (
    ReasonCode.BOM_TOO_LARGE,
    ReasonCode.BOM_TOO_MANY,
    ReasonCode.BOM_MISSING,
)


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Wants a bill of materials, of models of Acme's."""
    return describing.settings(
        tmp_path,
        boms={"sbom": "*.cdx.json", "spdx": "sbom/*.json"},
        requirements=[{"name": "listed", "boms": ["sbom"]}],
        policy={"decision_log": tmp_path / "decisions.jsonl"},
    )


def signed_with(files: Mapping[str, bytes], **unsigned: bytes) -> dict[str, bytes]:
    signed = {**FILES, **files}
    return {**signed, "model.sig": models.signature(signed, KEY), **unsigned}


def check(settings: Mapping[str, Any], reference: object) -> tuple[Verdict, dict[str, Any]]:
    """The verdict, and what the policy was asked."""
    log = settings["policy"]["decision_log"]
    log.unlink(missing_ok=True)
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        verdict = gate.check(str(reference))
    return verdict, json.loads(log.read_text())["input"] if log.exists() else {}


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def warned(verdict: Verdict) -> list[tuple[ReasonCode, str | None]]:
    return [(warning.code, warning.path) for warning in verdict.warnings]


def test_a_signed_bill_is_shown(settings: dict[str, Any], tmp_path: Path) -> None:
    named = {**LISTED, "components": [{"name": "a\u202eb", "version": 7}]}
    files = signed_with({"m.cdx.json": encoded(named), "sbom/x.json": encoded(SPDX)})
    verdict, asked = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted, verdict.reasons
    assert verdict.warnings == ()
    assert asked["boms"] == [
        {
            "name": "sbom",
            "path": "m.cdx.json",
            "format": "CycloneDX",
            "spec_version": "1.6",
            "document": {**LISTED, "components": [{"name": "a\\u202eb", "version": 7}]},
        },
        {
            "name": "spdx",
            "path": "sbom/x.json",
            "format": "SPDX",
            "spec_version": "2.3",
            "document": SPDX,
        },
    ]
    assert asked["refused_boms"] == []


def test_nothing_is_read_unasked(settings: dict[str, Any], tmp_path: Path) -> None:
    del settings["boms"], settings["requirements"]
    files = signed_with({"m.cdx.json": b"{"})
    verdict, asked = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted
    assert asked["boms"] == asked["refused_boms"] == []


def test_a_bill_that_nobody_signed_does_not_count(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["publishers"][0]["allow_unsigned"] = ["*.cdx.json"]
    files = {**signed_with({}), "m.cdx.json": encoded(LISTED)}
    verdict, asked = check(settings, models.write(tmp_path / "m", files))
    assert codes(verdict) == [MISSING]
    assert warned(verdict) == [(UNSIGNED, "m.cdx.json")]
    assert "does not cover it" in verdict.reasons[0].message
    assert asked["boms"] == []
    assert [refused["code"] for refused in asked["refused_boms"]] == ["bom.unsigned"]


def test_a_bill_that_the_signer_left_out_does_not_count(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["publishers"][0]["allow_ignored"] = ["m.cdx.json"]
    signature = models.signature(FILES, KEY, ignore_paths=["m.cdx.json"])
    files = {**FILES, "model.sig": signature, "m.cdx.json": encoded(LISTED)}
    verdict, _ = check(settings, models.write(tmp_path / "m", files))
    assert codes(verdict) == [MISSING]
    assert (UNSIGNED, "m.cdx.json") in warned(verdict)


REFUSED: dict[str, tuple[bytes, ReasonCode, str]] = {
    "no JSON": (b"<bom/>", MALFORMED, "it is not JSON"),
    "a key twice": (
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "specVersion": "1.7"}',
        MALFORMED,
        "occurs twice",
    ),
    "a list": (b"[]", MALFORMED, "must be an object"),
    "some other document": (b'{"a": 1}', MALFORMED, "bomFormat is missing"),
    "of another format": (
        b'{"bomFormat": "Cyclone", "specVersion": "1.6"}',
        MALFORMED,
        "is not CycloneDX",
    ),
    "of an odd version": (
        encoded({**LISTED, "specVersion": "1" * 500}),
        MALFORMED,
        "is no version, such as 1.6",
    ),
    "of two formats": (encoded({**LISTED, "spdxVersion": "SPDX-2.3"}), MALFORMED, "another format"),
    "of no version": (b'{"bomFormat": "CycloneDX", "specVersion": 1.6}', MALFORMED, "a string"),
    "SPDX of no version": (b'{"spdxVersion": null}', MALFORMED, "must be a string"),
    "too deep": (
        encoded({**LISTED, "a": json.loads("[" * 40 + "]" * 40)}),
        MALFORMED,
        "limits.json_depth",
    ),
    "too much": (encoded({**LISTED, "a": [0] * 200}), MALFORMED, "limits.bom_values"),
    "keys that look the same": (
        encoded({**LISTED, "a\u202e": 1, "a\\u202e": 2}),
        MALFORMED,
        "look the same",
    ),
    "too large": (encoded({**LISTED, "a": "x" * 2000}), TOO_LARGE, "'bom_bytes'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bill_that_is(settings: dict[str, Any], tmp_path: Path, name: str) -> None:
    content, code, words = REFUSED[name]
    settings["limits"] = {"bom_bytes": 1500, "bom_values": 150}
    folder = models.write(tmp_path / "m", signed_with({"m.cdx.json": content}))
    verdict, asked = check(settings, folder)
    assert codes(verdict) == [MISSING]
    assert warned(verdict) == [(code, "m.cdx.json")]
    assert words in verdict.warnings[0].message
    assert words in verdict.reasons[0].message
    assert asked["boms"] == []
    settings["requirements"] = []
    assert check(settings, folder)[0].admitted


@pytest.mark.parametrize("shard_size", [None, 50])
def test_a_bill_is_the_one_that_was_signed(
    settings: dict[str, Any], tmp_path: Path, shard_size: int | None
) -> None:
    """Whatever the assurance: at `signature` nothing else of the model is read."""
    settings["assurance"] = "signature"
    files = {**FILES, "m.cdx.json": encoded(LISTED)}
    signature = models.signature(files, KEY, shard_size=shard_size)
    folder = models.write(tmp_path / "m", {**files, "model.sig": signature})
    assert check(settings, folder)[0].admitted
    (folder / "m.cdx.json").write_bytes(encoded(LISTED).replace(b"1.6", b"1.7"))
    verdict, asked = check(settings, folder)
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert verdict.reasons[0].path == "m.cdx.json"
    assert asked == {}


def test_there_may_be_so_many(settings: dict[str, Any], tmp_path: Path) -> None:
    bills = {f"{number}.cdx.json": encoded(LISTED) for number in range(4)}
    folder = models.write(tmp_path / "m", signed_with(bills))
    settings["limits"] = {"boms": 4}
    assert check(settings, folder)[0].warnings == ()
    settings["limits"] = {"boms": 2}
    verdict, asked = check(settings, folder)
    assert verdict.admitted
    assert warned(verdict) == [(TOO_MANY, "2.cdx.json")]
    assert [bom["path"] for bom in asked["boms"]] == ["0.cdx.json", "1.cdx.json"]


def test_strangers_take_nobodys_place(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["publishers"][0]["allow_unsigned"] = ["*.cdx.json"]
    settings["limits"] = {"boms": 2}
    strangers = {f"{number}.cdx.json": encoded(LISTED) for number in range(3)}
    files = {**signed_with({"m.cdx.json": encoded(LISTED)}), **strangers}
    verdict, asked = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted, verdict.reasons
    assert [bom["path"] for bom in asked["boms"]] == ["m.cdx.json"]
    assert (TOO_MANY, "1.cdx.json") in warned(verdict)


def test_one_file_may_have_two_names(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["boms"]["all"] = "*.json"
    files = signed_with({"m.cdx.json": encoded(LISTED)})
    verdict, asked = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted
    assert [(bom["name"], bom["path"]) for bom in asked["boms"]] == [
        ("sbom", "m.cdx.json"),
        ("all", "m.cdx.json"),
    ]
    assert warned(verdict) == [(MALFORMED, "config.json")]


def test_on_the_hub(settings: dict[str, Any], hub: HubStandIn) -> None:
    settings["assurance"] = "declared"
    hub.create("acme/listed")
    hub.commit("acme/listed", signed_with({"m.cdx.json": encoded(LISTED)}))
    assert check(settings, "hf://acme/listed")[0].admitted
    hub.commit("acme/listed", {"m.cdx.json": encoded({**LISTED, "specVersion": "1.5"})})
    assert codes(check(settings, "hf://acme/listed")[0]) == [ReasonCode.FILE_CHANGED]


def test_names_of_requirements_are_those_of_files(settings: dict[str, Any]) -> None:
    settings["requirements"][0]["boms"] = ["sbmo"]
    with pytest.raises(ValueError, match="no bill of materials 'sbmo' would ever be read"):
        GateConfig.model_validate(settings)


def fenced(language: str) -> str:
    """The first block of code in a language, of the guide."""
    return (ROOT / "docs/bom.md").read_text().split(f"```{language}\n")[1].split("```")[0]


def test_the_pages_configuration_is_valid(tmp_path: Path) -> None:
    config = GateConfig.model_validate(parse_yaml("page", fenced("yaml").encode()).value)
    assert config.requirements[0].boms == ("sbom",)
    assert set(config.boms) == {"sbom", "spdx"}


def test_the_pages_own_policy(settings: dict[str, Any], opa: Path, tmp_path: Path) -> None:
    """Beside the library, compiled by the real opa: licences and base models."""
    policy = models.write(tmp_path / "policy", {"own.rego": fenced("rego").encode()})
    shutil.copytree(ROOT / "policies/lib", policy / "lib", ignore=shutil.ignore_patterns("*_test*"))
    shutil.copy(ROOT / "policies/admission.rego", policy)
    config = GateConfig.model_validate({**settings, "requirements": []})
    engine = WasmEngine.from_rego(policy, config.data, Limits(), opa=opa, cache=tmp_path / "cache")

    def denied(bill: object) -> list[str]:
        files = signed_with({} if bill is None else {"m.cdx.json": encoded(bill)})
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        verdict = gate.check(str(models.write(tmp_path / "m", files)))
        return sorted(reason.policy_code or reason.code for reason in verdict.reasons)

    def listing(*choices: object, **members: object) -> dict[str, Any]:
        component = {**LISTED["metadata"]["component"], "licenses": choices, **members}  # type: ignore[index]
        return {**LISTED, "metadata": {"component": component}}

    mit, own = {"license": {"id": "MIT"}}, {"license": {"name": "Own"}}
    base = {"type": "machine-learning-model", "licenses": [mit]}
    evil = {**base, "purl": "pkg:huggingface/evil/base@1"}
    with Gate(trust=load_trust(config.trust), policy=engine, boms=config.boms) as gate:
        assert denied(None) == ["acme.licence"]
        assert denied(LISTED) == ["acme.licence"]
        assert denied(listing(mit)) == []
        assert denied(listing(mit, own)) == ["acme.licence"]
        assert denied({**listing(mit), "components": [base]}) == []
        assert denied({**listing(mit), "components": [{"name": "unlicensed"}]}) == ["acme.licence"]
        assert denied({**listing(mit), "components": [evil]}) == ["acme.base"]
        assert denied(listing(mit, pedigree={"ancestors": [evil]})) == ["acme.base"]


def test_a_place_must_be_a_glob(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["boms"]["sbom"] = "/abs/*.json"
    with pytest.raises((ValueError, ConfigError)):
        GateConfig.model_validate(settings)
