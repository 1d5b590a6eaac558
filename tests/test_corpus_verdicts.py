"""Real bundles by others, each with the verdict that it must get, through the whole gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.verdict import Assurance, ReasonCode
from tests.corpus import CORPUS, needs_corpus
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
    if verdict.admitted:
        assert verdict.assurance is Assurance.SIGNATURE
        assert verdict.signature is not None
        assert verdict.signature.log_index is not None
        assert verdict.signature.times


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


KEYS = CORPUS / "oms-reference" / "keys" / "certificate"
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
@pytest.mark.parametrize("release", ["v1.0.1", "v1.1.0"])
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


def test_a_genuine_signature_with_one_changed_byte(tmp_path: Path) -> None:
    import shutil

    trust, signer = METHODS["sigstore"]
    shutil.copytree(CORPUS / "oms-reference" / "v1.1.0-sigstore", tmp_path / "m")
    publisher = {"name": "x", "models": [f"{tmp_path}/*"], "signers": [signer]}
    settings = {"trust": trust, "publishers": [publisher]}
    assert check(str(tmp_path / "m"), settings).admitted
    (tmp_path / "m" / "signme-1").chmod(0o600)
    (tmp_path / "m" / "signme-1").write_bytes(b"signme-2")
    assert codes(check(str(tmp_path / "m"), settings)) == {ReasonCode.FILE_CHANGED}
