"""What was seen on the Hub, on its way out: each is refused, with a sentence that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oms_gate import Gate, ReasonCode, Verdict
from oms_gate.publish.release import Upload, release_folder
from oms_gate.reference import Reference
from tests.corpus import CORPUS, needs_corpus
from tests.delivery.pulling import gate_of
from tests.oms import forge
from tests.publish.shelf import Shelf

pytestmark = needs_corpus

UNSIGNED = ReasonCode.COVERAGE_UNSIGNED
GRANITE = {
    "publishers": [
        {
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
    ]
}


@pytest.fixture
def granite() -> Gate:
    return gate_of(GRANITE)


def judged(gate: Gate, repository: str, folder: Path, **more: bytes) -> Verdict:
    """What comes of publishing a recorded repository again: with its names and its signature."""
    recorded = CORPUS / "hub" / repository
    listing = json.loads((recorded / "listing.json").read_text())
    contents = {
        sibling["rfilename"]: f"placeholder for {sibling['rfilename']}\n".encode()
        for sibling in listing["siblings"]
    }
    contents |= {"model.sig": (recorded / "model.sig").read_bytes(), **more}
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    shelf = Shelf(Reference.parse(f"hf://{listing['id']}"))
    came = release_folder(gate, shelf, Upload(folder))
    assert came.published is None
    assert not shelf.got
    return came.verdict


def said(verdict: Verdict, code: ReasonCode) -> list[str]:
    return [reason.message for reason in verdict.reasons if reason.code is code]


def test_a_stale_signature_and_missing_files(granite: Gate, tmp_path: Path) -> None:
    verdict = judged(granite, "ibm-granite__granite-speech-4.1-2b-nar", tmp_path)
    missing = said(verdict, ReasonCode.COVERAGE_MISSING)
    assert len(missing) == 8
    assert all("is signed but not there; restore it" in message for message in missing)
    assert "is not signed although a loader may read it" in str(
        said(verdict, ReasonCode.COVERAGE_UNSIGNED)
    )


def test_somebody_elses_signature(granite: Gate, tmp_path: Path) -> None:
    verdict = judged(granite, "unsloth__granite-4.1-3b", tmp_path)
    (message,) = said(verdict, ReasonCode.PUBLISHER_UNKNOWN)
    assert "no publisher rule covers hf://unsloth/granite-4.1-3b" in message


def test_a_signature_of_a_folder_in_it(granite: Gate, tmp_path: Path) -> None:
    """Its own weights, which a loader takes, are not signed."""
    verdict = judged(granite, "openai__privacy-filter", tmp_path)
    unsigned = [reason.path for reason in verdict.reasons if reason.code is UNSIGNED]
    assert len(unsigned) == 19
    assert "onnx/model.onnx" in unsigned
    assert len(said(verdict, ReasonCode.COVERAGE_MISSING)) == 1


def test_a_root_certificate_inside(granite: Gate, tmp_path: Path) -> None:
    """It is what would have to be trusted."""
    root = forge.issue_leaf("root")
    repository = "ibm-granite__granite-timeseries-patchtst-fm-r2"
    verdict = judged(granite, repository, tmp_path, **{"certs/root.pem": root.pem})
    (message,) = said(verdict, ReasonCode.PUBLISH_TRUST_ANCHOR)
    assert message.startswith("certs/root.pem holds a certificate")
    assert "whom to trust must never come with a model" in message
