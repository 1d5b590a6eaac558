"""Verdicts as SARIF: of the standard's schema, with every finding somewhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from oms_gate import __version__
from oms_gate.cli.sarif import sarif
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Model, Reason, Signature, Verdict

SECRET = Reason(
    code=ReasonCode.PUBLISH_SECRET,
    message="a b/x.txt holds a token in line 7; remove it",
    path="a b/x.txt",
    line=7,
)
CHANGED = Reason(code=ReasonCode.FILE_CHANGED, message="w is not what was signed", path="w")
NOWHERE = Reason(code=ReasonCode.PUBLISHER_UNKNOWN, message="no rule is about it")


def verdict(
    *reasons: Reason,
    warnings: tuple[Reason, ...] = (),
    mode: Literal["enforce", "annotate"] = "enforce",
    location: str | None = None,
) -> Verdict:
    signature = None
    if location is not None:
        signature = Signature(
            location=location,
            sha256="0" * 64,
            root_digest="0" * 64,
            serialization="files",
            hash_type="sha256",
        )
    return Verdict(
        outcome="denied" if reasons else "admitted",
        undecided=bool(reasons) and all(reason.code.undecided for reason in reasons),
        mode=mode,
        model=Model(url="hf://org/name@0123", name="hf://org/name"),
        reasons=reasons,
        warnings=warnings,
        signature=signature,
        checked_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        gate_version="0",
    )


def run_of(made: Verdict, root: str | None = None) -> Any:
    text = sarif(made, root)
    # Nothing that the schema does not know gets past this.
    SarifLog.model_validate_json(text)
    document = json.loads(text)
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    return run


def uri_of(result: Any) -> str:
    (location,) = result["locations"]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert isinstance(uri, str)
    return uri


def test_a_log_says_what_was_found_where() -> None:
    run = run_of(verdict(SECRET, CHANGED, warnings=(NOWHERE,)))
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("oms-gate", __version__)
    assert [rule["id"] for rule in driver["rules"]] == [
        "file.changed",
        "publish.secret",
        "publisher.unknown",
    ]
    assert driver["rules"][1]["shortDescription"] == {"text": "publish: secret"}
    assert "docs/reasons.md" in driver["rules"][1]["help"]["text"]
    found = [(result["ruleId"], result["level"], uri_of(result)) for result in run["results"]]
    assert found == [
        ("publish.secret", "error", "a%20b/x.txt"),
        ("file.changed", "error", "w"),
        ("publisher.unknown", "warning", "."),
    ]
    assert run["results"][0]["message"] == {"text": SECRET.message}
    physical = run["results"][0]["locations"][0]["physicalLocation"]
    assert physical["region"] == {"startLine": 7}
    assert "region" not in run["results"][1]["locations"][0]["physicalLocation"]
    assert run["invocations"] == [
        {"executionSuccessful": True, "endTimeUtc": "2026-01-01T12:00:00Z"}
    ]
    assert run["properties"] == {
        "model": "hf://org/name@0123",
        "outcome": "denied",
        "mode": "enforce",
    }


def test_an_admitted_model_has_an_empty_log() -> None:
    run = run_of(verdict())
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
    assert run["properties"]["outcome"] == "admitted"


def test_what_is_let_through_is_a_warning() -> None:
    (result,) = run_of(verdict(SECRET, mode="annotate"))["results"]
    assert result["level"] == "warning"


def test_no_decision_is_no_success() -> None:
    busy = Reason(code=ReasonCode.GATE_BUSY, message="try again")
    assert run_of(verdict(busy))["invocations"][0]["executionSuccessful"] is False
    assert run_of(verdict(busy, SECRET))["invocations"][0]["executionSuccessful"] is True


def test_a_code_of_the_operators_own_policy_is_a_rule() -> None:
    own = Reason(code=ReasonCode.POLICY_DENIED, message="too large", policy_code="acme.size")
    run = run_of(verdict(own))
    assert run["results"][0]["ruleId"] == run["tool"]["driver"]["rules"][0]["id"] == "acme.size"


@pytest.mark.parametrize(
    ("root", "path", "location", "uri"),
    [
        (None, "a/b", None, "a/b"),
        ("models/x", "a/b", None, "models/x/a/b"),
        ("models/x/", "a#b?c%d", None, "models/x/a%23b%3Fc%25d"),
        (".", "a:b", None, "a%3Ab"),
        ("/srv/m", "ä", None, "file:///srv/m/%C3%A4"),
        (None, None, "model.sig", "model.sig"),
        ("m", None, "model.sig", "m/model.sig"),
        ("m", None, None, "m"),
        ("m", None, "https://host/a b.sig?x=1", "https://host/a%20b.sig?x=1"),
        ("m", None, "/keys/model.sig", "file:///keys/model.sig"),
    ],
)
def test_every_finding_is_somewhere(
    root: str | None, path: str | None, location: str | None, uri: str
) -> None:
    reason = CHANGED.model_copy(update={"path": path})
    (result,) = run_of(verdict(reason, location=location), root)["results"]
    assert uri_of(result) == uri


def test_a_finding_keeps_its_fingerprint() -> None:
    def fingerprints(*reasons: Reason) -> list[str]:
        results = run_of(verdict(*reasons))["results"]
        return [result["partialFingerprints"]["omsGateFinding/v1"] for result in results]

    moved = SECRET.model_copy(
        update={"line": 9, "message": SECRET.message.replace("line 7", "line 9")}
    )
    (first,) = fingerprints(SECRET)
    assert fingerprints(moved) == [first]
    assert len(set(fingerprints(SECRET, moved, CHANGED, NOWHERE))) == 4
    assert fingerprints(CHANGED, SECRET, moved)[1] == first


def test_names_forge_nothing() -> None:
    path = "[click](http://evil)\x1b[2J{0}\u202e"
    reason = Reason(code=ReasonCode.FILE_CHANGED, message=f"{path} is not it", path=path)
    (result,) = run_of(verdict(reason))["results"]
    text = result["message"]["text"]
    assert "](" not in text
    assert "{{0}}" in text
    assert text.isprintable()
    assert uri_of(result).isascii()
    assert "%5Cx1b" in uri_of(result)
