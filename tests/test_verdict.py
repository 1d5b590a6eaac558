"""The verdict's promises: a stable schema, documented reasons, text that cannot deceive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oms_gate.errors import AdmissionDenied
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import (
    Assurance,
    Model,
    Reason,
    Verdict,
    printable,
)

ROOT = Path(__file__).parents[1]


def denied(*codes: ReasonCode, mode: str = "enforce") -> Verdict:
    return Verdict.model_validate(
        {
            "outcome": "denied",
            "undecided": all(code.undecided for code in codes),
            "mode": mode,
            "model": Model(url="hf://org/name@main", name="hf://org/name"),
            "reasons": [Reason(code=code, message="It is so.") for code in codes],
            "checked_at": datetime(2026, 1, 1, tzinfo=UTC),
            "gate_version": "0",
        }
    )


def test_the_published_schema_is_that_of_the_code() -> None:
    published = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    assert published == Verdict.model_json_schema(by_alias=True, mode="serialization")


def test_a_verdict_is_of_its_schema() -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    jsonschema.validate(json.loads(denied(ReasonCode.SIGNATURE_MISSING).to_json()), schema)


def test_every_reason_is_documented_once() -> None:
    rows = re.findall(r"^\| `([a-z.-]+)`( \(undecided\))?", _reasons_page(), re.MULTILINE)
    assert sorted(code for code, _ in rows) == sorted(ReasonCode)
    assert {code for code, undecided in rows if undecided} == {
        code for code in ReasonCode if code.undecided
    }


@pytest.mark.parametrize("code", ReasonCode)
def test_every_reason_is_reached_by_a_test(code: ReasonCode) -> None:
    """A denial without a test that provokes it is not known to work."""
    here = Path(__file__)
    tests = [path for path in here.parent.rglob("*.py") if path != here]
    assert any(f"ReasonCode.{code.name}" in path.read_text() for path in tests), code


def test_undecided_only_if_every_reason_is() -> None:
    assert denied(ReasonCode.STORE_UNAVAILABLE).undecided
    assert not denied(ReasonCode.STORE_UNAVAILABLE, ReasonCode.FILE_CHANGED).undecided


def test_only_annotate_lets_a_denied_model_through() -> None:
    assert not denied(ReasonCode.FILE_CHANGED).lets_through
    assert denied(ReasonCode.FILE_CHANGED, mode="annotate").lets_through


def test_a_denial_reaches_callers_of_model_libraries() -> None:
    error = AdmissionDenied(denied(ReasonCode.FILE_CHANGED))
    assert isinstance(error, OSError)
    # Of one of these transformers makes an error of its own, and the verdict is gone.
    assert not isinstance(error, ValueError)
    assert "hf://org/name@main was denied: It is so. [file.changed]" in str(error)


@given(st.text())
def test_shown_text_holds_nothing_unprintable(text: str) -> None:
    shown = printable(text)
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert not set("\n\r\x1b\u202e\u2066") & set(shown)
    assert Reason(code=ReasonCode.FILE_CHANGED, message=text).message == shown


HOSTILE = "a\n\x1b[2K\u202e\u2028b"


def test_no_text_of_a_stranger_deceives() -> None:
    """Wherever it comes from: names of files, of models, of signers, and from policies."""
    reason = {
        "code": ReasonCode.POLICY_DENIED,
        "message": HOSTILE,
        "path": HOSTILE,
        "policy_code": HOSTILE,
    }
    root = {"name": HOSTILE, "sha256": "0"}
    signer = {
        "method": "certificate",
        "identity": HOSTILE,
        "issuer": HOSTILE,
        "subject": HOSTILE,
        "alternative_names": [HOSTILE],
        "claims": {"claim": HOSTILE},
        "chain": [HOSTILE],
        "key_sha256": "0",
        "root": root,
    }
    signature = {
        "location": HOSTILE,
        "sha256": "0",
        "root_digest": "0",
        "serialization": "files",
        "hash_type": "sha256",
    }
    file = {"path": HOSTILE, "size": 1, "kind": "code"}
    verdict = Verdict.model_validate(
        {
            **denied(ReasonCode.POLICY_DENIED).model_dump(),
            "model": {"url": HOSTILE, "name": HOSTILE, "revision": HOSTILE},
            "reasons": [reason],
            "warnings": [reason],
            "signer": signer,
            "signature": signature,
            "coverage": {
                "signed": 1,
                "signed_bytes": 1,
                "missing": [HOSTILE],
                "unsigned": [file],
                "ignored": [{**file, "scope": "signer"}],
            },
            "annotations": {HOSTILE: HOSTILE},
            "policy": {"engine": "server", "revision": HOSTILE},
        }
    )
    harmless = printable(HOSTILE)
    assert harmless == "a\\n\\x1b[2K\\u202e\\u2028b"
    told = list(_texts(json.loads(verdict.to_json())))
    assert told.count(harmless) == 23
    assert all(text.isprintable() for text in told)


def _texts(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)


def test_assurance_is_ordered() -> None:
    assert sorted(Assurance, key=lambda each: each.rank) == [
        Assurance.SIGNATURE,
        Assurance.DECLARED,
        Assurance.BYTES,
    ]


@pytest.mark.parametrize(
    "lie",
    [
        {"outcome": "admitted"},
        {"outcome": "admitted", "undecided": True, "reasons": ()},
        {"reasons": ()},
        {"undecided": True},
    ],
)
def test_a_verdict_cannot_contradict_itself(lie: dict[str, object]) -> None:
    document = denied(ReasonCode.FILE_CHANGED).model_dump()
    assert Verdict.model_validate(document) == denied(ReasonCode.FILE_CHANGED)
    with pytest.raises(ValidationError):
        Verdict.model_validate({**document, **lie})


def _reasons_page() -> str:
    return (ROOT / "docs" / "reasons.md").read_text()
