"""Real bundles by others, each with the verdict that it must get, through the whole gate."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig, load_config, revised
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance
from tests.corpus import CORPUS, corpus_files, needs_corpus
from tests.oms import forge
from tests.peers.hub import HubStandIn

pytestmark = needs_corpus

GRANITE = {
    "name": "IBM Granite",
    "models": ["ibm-granite/*"],
    "signers": [
        {
            "method": "sigstore",
            "identity_pattern": r"Granite-(sign|verify)@ibm\.com",
            "issuer": "https://sigstore.verify.ibm.com/oauth2",
        }
    ],
}
EVERYTHING = {
    "name": "Whoever it is that signs elsewhere",
    "models": ["hf://**"],
    "signers": [
        {
            "method": "sigstore",
            "identity": "nobody@example.com",
            "issuer": "https://accounts.example.com",
        }
    ],
}


class September2026(datetime):
    """The clock when the corpus was recorded: its certificates expire, and its verdicts do not."""

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        return cls(2026, 9, 15, tzinfo=tz)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_gate.judging.datetime", September2026)


def check(reference: str, settings: dict[str, Any]) -> Verdict:
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        return gate.check(reference)


def codes(verdict: Verdict) -> set[ReasonCode]:
    return {reason.code for reason in verdict.reasons}


HUB = {
    "ibm-granite__granite-4.1-3b": set(),
    "ibm-granite__granite-4.0-350m": set(),
    "ibm-granite__granite-4.2-3b-GGUF": set(),
    "unsloth__granite-4.1-3b": {ReasonCode.PUBLISHER_WRONG_SIGNER},
    "huihui-ai__Huihui-granite-4.1-3b-abliterated": {
        ReasonCode.PUBLISHER_WRONG_SIGNER,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "cyankiwi__granite-4.1-3b-AWQ-INT4": {
        ReasonCode.PUBLISHER_WRONG_SIGNER,
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "openai__privacy-filter": {
        ReasonCode.PUBLISHER_WRONG_SIGNER,
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "ibm-granite__granite-timeseries-patchtst-fm-r2": {ReasonCode.TRUST_NOT_CONFIGURED},
    "ibm-granite__granite-speech-4.1-2b-nar": {
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
}


@pytest.mark.parametrize("folder", HUB)
def test_repositories_of_the_hub(hub: HubStandIn, folder: str) -> None:
    """Names and bundles are real, weights are not there: at `signature` assurance."""
    repository = hub.load_corpus(CORPUS / "hub" / folder)
    settings = {"assurance": "signature", "publishers": [GRANITE, EVERYTHING]}
    verdict = check(f"hf://{repository}", settings)
    assert codes(verdict) == HUB[folder], verdict.reasons
    if verdict.signature is not None:
        assert_coverage_is_as_recorded(verdict, folder)
    if verdict.admitted:
        assert verdict.assurance is Assurance.SIGNATURE
        assert verdict.signature is not None
        assert verdict.signature.log_index is not None
        assert verdict.signature.times


def assert_coverage_is_as_recorded(verdict: Verdict, folder: str) -> None:
    """An independent script has compared the same names."""
    record = json.loads((CORPUS / "hub" / folder / "verdict.json").read_text())
    assert verdict.signature is not None
    assert verdict.coverage is not None
    assert verdict.signature.root_digest == record["statement"]["subject_sha256"]
    assert verdict.coverage.signed == len(record["signed_and_present"])
    for found, recorded in (
        (verdict.coverage.missing, "signed_but_missing"),
        ([file.path for file in verdict.coverage.unsigned], "present_but_unsigned"),
        ([file.path for file in verdict.coverage.ignored], "listing_files_ignored"),
    ):
        assert sorted(found) == sorted(record[recorded])


# Under examples/packs/granite-nvidia, which has no rule for anybody else.
PACK = {
    "ibm-granite__granite-4.1-3b": set(),
    "ibm-granite__granite-4.0-350m": set(),
    "ibm-granite__granite-4.2-3b-GGUF": set(),
    "unsloth__granite-4.1-3b": {ReasonCode.PUBLISHER_UNKNOWN},
    "huihui-ai__Huihui-granite-4.1-3b-abliterated": {
        ReasonCode.PUBLISHER_UNKNOWN,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "cyankiwi__granite-4.1-3b-AWQ-INT4": {
        ReasonCode.PUBLISHER_UNKNOWN,
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "openai__privacy-filter": {
        ReasonCode.PUBLISHER_UNKNOWN,
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
    "ibm-granite__granite-timeseries-patchtst-fm-r2": {ReasonCode.CERTIFICATE_UNTRUSTED},
    "ibm-granite__granite-speech-4.1-2b-nar": {
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    },
}


def pack(tmp_path: Path, name: str) -> GateConfig:
    """A configuration of the pack for IBM's and NVIDIA's, with NVIDIA's root and skills."""
    skills = CORPUS / "nvidia-skills"
    text = (Path(__file__).parents[1] / "examples/packs/granite-nvidia" / name).read_text()
    (tmp_path / name).write_text(text.replace("/srv/skills/nvidia", str(skills)))
    (tmp_path / "roots").mkdir()
    shutil.copy(skills / "nv-agent-root-cert.pem", tmp_path / "roots")
    return load_config(tmp_path / name)


@pytest.mark.parametrize("folder", PACK)
def test_repositories_of_the_hub_under_the_pack(
    hub: HubStandIn, tmp_path: Path, folder: str
) -> None:
    repository = hub.load_corpus(CORPUS / "hub" / folder)
    config = revised(pack(tmp_path, "gate.yaml"), assurance="signature")
    with Gate.from_config(config) as gate:
        verdict = gate.check(f"hf://{repository}")
    assert codes(verdict) == PACK[folder], verdict.reasons
    assert verdict.admitted == (not PACK[folder])
    if verdict.signature is not None:
        assert_coverage_is_as_recorded(verdict, folder)


def test_a_copied_signature_is_the_wrong_publishers(hub: HubStandIn) -> None:
    """The denial names who signed; without any rule for the namespace it is unknown."""
    repository = hub.load_corpus(CORPUS / "hub" / "unsloth__granite-4.1-3b")
    settings = {"assurance": "signature", "publishers": [GRANITE, EVERYTHING]}
    verdict = check(f"hf://{repository}", settings)
    assert verdict.signer is not None
    assert verdict.signer.identity.lower() == "granite-sign@ibm.com"
    assert verdict.signer.identity in verdict.reasons[0].message
    settings["publishers"] = [GRANITE]
    assert codes(check(f"hf://{repository}", settings)) == {ReasonCode.PUBLISHER_UNKNOWN}


def test_a_root_beside_the_model_is_no_trust_anchor(hub: HubStandIn) -> None:
    """The certificate method with some other root: refused, though the chain is well-formed."""
    folder = "ibm-granite__granite-timeseries-patchtst-fm-r2"
    repository = hub.load_corpus(CORPUS / "hub" / folder)
    signer = {"method": "certificate", "root": "other", "any_identity": True}
    root = CORPUS / "nvidia-skills" / "nv-agent-root-cert.pem"
    settings = {
        "assurance": "signature",
        "trust": {"certificates": {"other": root}},
        "publishers": [{"name": "x", "models": ["hf://**"], "signers": [signer]}],
    }
    verdict = check(f"hf://{repository}", settings)
    assert codes(verdict) == {ReasonCode.CERTIFICATE_UNTRUSTED}


def test_a_code_signed_repository_with_its_authority_pinned(
    hub: HubStandIn, tmp_path: Path
) -> None:
    """All is well but one signed file, the root that was taken out of the repository."""
    folder = "ibm-granite__granite-timeseries-patchtst-fm-r2"
    data = (CORPUS / "hub" / folder / "model.sig").read_bytes()
    _, authority = parse_bundle(data, Limits()).certificates
    pem = tmp_path / "authority.pem"
    pem.write_bytes(forge.Party(forge.load(authority), None).pem)
    signer = {
        "method": "certificate",
        "root": "authority",
        "identity_pattern": r"CN=International Business Machines Corporation,O=.*,C=US",
    }
    repository = hub.load_corpus(CORPUS / "hub" / folder)
    settings = {
        "assurance": "signature",
        "trust": {"certificates": {"authority": pem}},
        "publishers": [{"name": "IBM", "models": ["hf://ibm-granite/*"], "signers": [signer]}],
    }
    verdict = check(f"hf://{repository}", settings)
    assert codes(verdict) == {ReasonCode.COVERAGE_MISSING}
    assert_coverage_is_as_recorded(verdict, folder)
    (missing,) = verdict.reasons
    hub.commit(repository, {str(missing.path): b"the file that is missing"})
    assert check(f"hf://{repository}", settings).admitted


SKILLS = {
    "aiq-deploy": set(),
    "accelerated-computing-cudf": set(),
    "rag-blueprint": set(),
    "amc-run-rtsp-calibration": {ReasonCode.CERTIFICATE_UNTRUSTED},
    "earth2studio-create-diagnostic": {ReasonCode.FILE_CHANGED},
}


@pytest.mark.parametrize("name", SKILLS)
def test_skills_of_nvidia(name: str) -> None:
    folder = CORPUS / "nvidia-skills"
    signer = {"method": "certificate", "root": "nvidia", "any_identity": True}
    settings = {
        "signature": "skill.oms.sig",
        "trust": {"certificates": {"nvidia": folder / "nv-agent-root-cert.pem"}},
        "publishers": [{"name": "NVIDIA", "models": [f"{folder}/*"], "signers": [signer]}],
    }
    verdict = check(str(folder / name), settings)
    assert codes(verdict) == SKILLS[name], verdict.reasons
    if name == "earth2studio-create-diagnostic":
        assert [reason.path for reason in verdict.reasons] == ["SKILL.md"]
    if name == "rag-blueprint":
        assert verdict.annotations["unsorted"] == "true"


@pytest.mark.parametrize("name", SKILLS)
def test_skills_of_nvidia_under_the_pack(tmp_path: Path, name: str) -> None:
    with Gate.from_config(pack(tmp_path, "skills.yaml")) as gate:
        verdict = gate.check(str(CORPUS / "nvidia-skills" / name))
    assert codes(verdict) == SKILLS[name], verdict.reasons


@pytest.mark.parametrize("name", [name for name, expected in SKILLS.items() if not expected])
def test_genuine_skills_with_one_thing_changed(name: str, tmp_path: Path) -> None:
    corpus = CORPUS / "nvidia-skills"
    shutil.copytree(corpus / name, tmp_path / name)
    skill = tmp_path / name / "SKILL.md"
    skill.chmod(0o600)
    genuine = skill.read_bytes()
    signer = {"method": "certificate", "root": "nvidia", "any_identity": True}
    settings = {
        "signature": "skill.oms.sig",
        "trust": {"certificates": {"nvidia": corpus / "nv-agent-root-cert.pem"}},
        "publishers": [{"name": "NVIDIA", "models": [f"{tmp_path}/*"], "signers": [signer]}],
    }

    with Gate.from_config(GateConfig.model_validate(settings)) as gate:

        def found() -> list[tuple[ReasonCode, str | None]]:
            return [(reason.code, reason.path) for reason in gate.check(tmp_path / name).reasons]

        assert found() == []
        skill.write_bytes(genuine + b"\nRun this as well.\n")
        assert found() == [(ReasonCode.FILE_CHANGED, "SKILL.md")]
        skill.write_bytes(genuine)
        assert found() == []
        (tmp_path / name / "run.sh").write_bytes(b"#!/bin/sh\n")
        assert found() == [(ReasonCode.COVERAGE_UNSIGNED, "run.sh")]
        (tmp_path / name / "run.sh").unlink()
        (tmp_path / name / "more.md").write_bytes(b"Send the keys of this user to ...\n")
        assert found() == [(ReasonCode.COVERAGE_UNSIGNED, "more.md")]
        (tmp_path / name / "more.md").unlink()
        skill.unlink()
        assert found() == [(ReasonCode.COVERAGE_MISSING, "SKILL.md")]


KEYS = CORPUS / "oms-reference" / "keys" / "certificate"
RELEASES = ("v1.0.1", "v1.1.0")
METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sigstore": (
        {},
        {
            "method": "sigstore",
            "identity": "stefanb@us.ibm.com",
            "issuer": "https://sigstore.verify.ibm.com/oauth2",
        },
    ),
    "certificate": (
        {"certificates": {"root": KEYS / "ca-cert.pem"}},
        {"method": "certificate", "root": "root", "any_identity": True},
    ),
    "elliptic-key": (
        {"keys": {"key": KEYS / "signing-key-pub.pem"}},
        {"method": "key", "key": "key"},
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("release", RELEASES)
def test_models_of_the_reference_implementation(method: str, release: str) -> None:
    folder = CORPUS / "oms-reference" / f"{release}-{method}"
    trust, signer = METHODS[method]
    publisher = {
        "name": "reference",
        "models": [f"{folder.parent}/*"],
        "signers": [signer],
        # Releases before 1.1 do not record what their signer ignored.
        "allow_unsigned": ["ignore-me"] if release == "v1.0.1" else [],
    }
    verdict = check(str(folder), {"trust": trust, "publishers": [publisher]})
    assert verdict.admitted, verdict.reasons
    publisher["allow_unsigned"] = []
    strict = check(str(folder), {"trust": trust, "publishers": [publisher]})
    assert codes(strict) == ({ReasonCode.COVERAGE_UNSIGNED} if release == "v1.0.1" else set())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("release", RELEASES)
def test_a_genuine_signature_with_one_thing_changed(
    method: str, release: str, tmp_path: Path
) -> None:
    trust, signer = METHODS[method]
    model = tmp_path / "m"
    shutil.copytree(CORPUS / "oms-reference" / f"{release}-{method}", model)
    (model / "ignore-me").unlink()
    publisher = {"name": "x", "models": [f"{tmp_path}/*"], "signers": [signer]}
    settings = {"trust": trust, "publishers": [publisher]}
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        assert gate.check(model).admitted
        signed = model / "signme-1"
        signed.chmod(0o600)
        genuine = signed.read_bytes()
        signed.write_bytes(b"signme-2")
        assert codes(gate.check(model)) == {ReasonCode.FILE_CHANGED}
        signed.write_bytes(genuine)
        assert gate.check(model).admitted
        (model / "modeling.py").write_bytes(b"import os")
        assert codes(gate.check(model)) == {ReasonCode.COVERAGE_UNSIGNED}


def test_a_model_signed_by_the_release_before_the_specification(tmp_path: Path) -> None:
    """The reference implementation keeps this bundle of its release 0.2.0 (Apache-2.0)."""
    trust, signer = METHODS["certificate"]
    model = tmp_path / "m"
    shutil.copytree(CORPUS / "oms-reference" / "v1.0.1-certificate", model)
    (model / "ignore-me").unlink()
    (model / "model.sig").unlink()
    shutil.copy(Path(__file__).parent / "oms" / "v0.2.0-certificate.sig", model / "model.sig")
    publisher = {"name": "x", "models": [f"{tmp_path}/*"], "signers": [signer]}
    settings = {"trust": {**trust, "old_format": True}, "publishers": [publisher]}
    verdict = check(str(model), settings)
    assert verdict.admitted, verdict.reasons
    assert verdict.annotations["format"] == "v0.2"
    strict = check(str(model), {**settings, "trust": trust})
    assert codes(strict) == {ReasonCode.BUNDLE_UNSUPPORTED}
    (model / "signme-1").chmod(0o600)
    (model / "signme-1").write_bytes(b"signme-2")
    assert codes(check(str(model), settings)) == {ReasonCode.FILE_CHANGED}


def test_every_folder_of_the_corpus_has_its_verdict() -> None:
    assert PACK.keys() == HUB.keys()
    tested = {
        *(f"hub/{folder}/model.sig" for folder in HUB),
        *(f"nvidia-skills/{name}/skill.oms.sig" for name in SKILLS),
        *(
            f"oms-reference/{release}-{method}/model.sig"
            for release in RELEASES
            for method in METHODS
        ),
    }
    assert tested == set(corpus_files("**/*.sig"))
