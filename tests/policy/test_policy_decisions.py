"""The default policy: one table of decisions, the same from both engines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_gate.policy.decision import Decision
from oms_gate.policy.engine import Engine
from oms_gate.reason_codes import ReasonCode
from tests.policy.decision_table import (
    CASES,
    EXCEPTIONS,
    GLOBS,
    HOSTILE,
    PUBLISHERS,
    REQUIREMENTS,
    TRICKS,
    Case,
    unsigned,
)
from tests.policy.samples import Engines, document, key, sigstore

__all__ = ["EXCEPTIONS", "PUBLISHERS", "REQUIREMENTS"]  # what the engines load


def decided(engines: Engines, asked: dict[str, Any]) -> Decision:
    """What both engines decide, word for word."""
    in_process, on_server = (engine.decide(asked) for engine in engines)
    assert in_process.to_answer() == on_server.to_answer()
    return in_process


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_decision(engines: Engines, case: Case) -> None:
    decision = decided(engines, case.document)
    assert {reason.policy_code or reason.code.value for reason in decision.deny} == case.deny
    assert decision.allow == (not case.deny)
    assert {reason.code.value for reason in decision.warn} == case.warn
    if case.require is not None:
        assert decision.require is case.require
    if case.annotations is not None:
        assert decision.annotations == case.annotations
    messages = "\n".join(reason.message for reason in decision.deny)
    assert all(words in messages for words in case.says), messages
    # Sentences of one style, whichever room they come from: joined to others, never ended.
    assert not any(r.message.endswith(".") for r in (*decision.deny, *decision.warn))
    assert "undefined" not in messages


def test_the_table_is_long_and_says_each_thing_once() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("number", range(len(TRICKS)), ids=lambda number: TRICKS[number].name)
def test_only_the_named_signer_is_trusted(engines: Engines, number: int) -> None:
    trick = TRICKS[number]
    name = f"hf://trick-{number}/model"
    refused = decided(engines, document(name, trick.signer))
    assert [reason.code for reason in refused.deny] == [ReasonCode.PUBLISHER_WRONG_SIGNER]
    assert decided(engines, document(name, trick.twin)).allow


@pytest.mark.parametrize("number", range(len(GLOBS)), ids=lambda number: str(GLOBS[number]))
def test_globs(engines: Engines, number: int) -> None:
    _, name, covered = GLOBS[number]
    assert decided(engines, document(name, key(f"glob-{number}"))).allow == covered


@pytest.mark.parametrize("raw", ["{}\n", "\n{}", "{}\r", "{}\0", "{}\u2028", "x\n{}\ny", "{} "])
def test_engines_themselves_are_not_fooled_by_line_ends(engine: Engine, raw: str) -> None:
    for name, identity in (("example", "release@example.com"), ("trick-0", "a@example.com")):
        disguised = document(f"hf://{name}/model", sigstore(identity))
        assert engine.decide(disguised).allow
        disguised["signer"]["identity"] = raw.format(identity)
        assert not engine.decide(disguised).allow


def test_signature_assurance_asks_for_nothing(engine: Engine) -> None:
    decision = engine.decide(document("hf://least/x", key()))
    assert decision.allow
    assert decision.require is None


IDENTITIES = st.one_of(
    st.text(max_size=40),
    st.emails(),
    st.builds(
        "{}release@example.com{}".format,
        st.text("a.@\n\0\u202e\\ |^$*", max_size=3),
        st.text("a.@\n\0\u202e\\ |^$*", max_size=3),
    ),
)


@given(identity=IDENTITIES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_another_identity_never_matches_an_exact_rule(engine: Engine, identity: str) -> None:
    decision = engine.decide(document(signer=sigstore(identity)))
    assert decision.allow == (identity == "release@example.com")


def test_many_findings_are_named_in_part(engine: Engine) -> None:
    many = tuple((f"x{number:03}.py", 1) for number in range(500))
    decision = engine.decide(document(unsigned=many, missing=tuple(path for path, _ in many)))
    for code in (ReasonCode.COVERAGE_MISSING, ReasonCode.COVERAGE_UNSIGNED):
        reasons = [reason for reason in decision.deny if reason.code is code]
        assert [reason.path for reason in reasons] == [f"x{n:03}.py" for n in range(20)] + [None]
        assert "480 more files" in reasons[-1].message


def test_hostile_names_are_shown_escaped(engine: Engine) -> None:
    (reason,) = engine.decide(unsigned(HOSTILE)).deny
    assert reason.path is not None
    assert reason.path.isprintable()
    assert reason.message.isprintable()
    assert '"{x}\\Q\\E.*\\n\\x00\\ud800😀.py' in reason.message


def test_the_context_of_a_caller_is_free(engine: Engine) -> None:
    assert engine.decide(document(context={"namespace": "prod", "n": [1, None, {"a": 1.5}]})).allow
