"""Reading what a policy answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import PolicyError
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Reason


def test_a_whole_decision() -> None:
    decision = parse_decision(
        {
            "allow": True,
            "deny": [],
            "warn": [{"code": "my.warning", "msg": "Take care.\x1b[2J", "path": "a\u202eb"}],
            "annotations": {"publisher": "x\n", "\u202ekey\x1b": "y"},
            "require": "declared",
        }
    )
    assert decision == Decision(
        allow=True,
        warn=(
            Reason(
                code=ReasonCode.POLICY_DENIED,
                message="Take care.\\x1b[2J",
                path="a\\u202eb",
                policy_code="my.warning",
            ),
        ),
        annotations={"publisher": "x\\n", "\\u202ekey\\x1b": "y"},
        require=Assurance.DECLARED,
    )


def test_the_least_decision() -> None:
    assert parse_decision({"allow": True}) == Decision(allow=True)


def test_a_reason_to_deny_denies() -> None:
    finding = {"code": "coverage.missing", "msg": "It is missing.", "path": "a"}
    for allow in (True, False):
        decision = parse_decision({"allow": allow, "deny": [finding]})
        assert not decision.allow
        (reason,) = decision.deny
        assert reason == Reason(
            code=ReasonCode.COVERAGE_MISSING, message="It is missing.", path="a"
        )


def test_a_denial_without_reason_gets_one() -> None:
    (reason,) = parse_decision({"allow": False}).deny
    assert reason.code is ReasonCode.POLICY_DENIED
    assert reason.policy_code is None


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("publisher.unknown", True),
        ("coverage.ignored", True),
        ("policy.error", True),
        ("signature.invalid", False),
        ("gate.internal-error", False),
        ("store.not-found", False),
        ("COVERAGE_IGNORED", False),
        ("coverage", False),
        ("mine", False),
    ],
)
def test_codes(code: str, known: bool) -> None:
    (reason,) = parse_decision({"allow": False, "deny": [{"code": code, "msg": "No."}]}).deny
    assert reason.code.value == (code if known else "policy.denied")
    assert reason.policy_code == (None if known else code)


def test_findings_are_in_order() -> None:
    findings = [
        {"code": "coverage.unsigned", "msg": "More."},
        {"code": "coverage.unsigned", "msg": "B.", "path": "b"},
        {"code": "coverage.missing", "msg": "C.", "path": "c"},
        {"code": "coverage.unsigned", "msg": "A.", "path": "a"},
        {"code": "an operator's own", "msg": "Own."},
        {"code": "publisher.unknown", "msg": "Who?"},
    ]
    deny = parse_decision({"allow": False, "deny": findings}).deny
    assert [reason.message for reason in deny] == ["Who?", "Own.", "C.", "A.", "B.", "More."]


FINDING = {"code": "a", "msg": "b"}
ILL_TYPED: list[Any] = [
    None,
    True,
    "allow",
    1,
    [],
    [{"allow": True}],
    {},
    {"deny": []},
    {"allow": None},
    {"allow": "true"},
    {"allow": 1},
    {"allow": []},
    {"allow": {"allow": True}},
    {"allow": True, "deny": None},
    {"allow": True, "deny": "no"},
    {"allow": True, "deny": {}},
    {"allow": True, "deny": ["no"]},
    {"allow": True, "deny": [None]},
    {"allow": True, "deny": [{"code": "a"}]},
    {"allow": True, "deny": [{"msg": "a"}]},
    {"allow": True, "deny": [{**FINDING, "code": ""}]},
    {"allow": True, "deny": [{**FINDING, "msg": ""}]},
    {"allow": True, "deny": [{**FINDING, "msg": 1}]},
    {"allow": True, "deny": [{**FINDING, "path": 1}]},
    {"allow": True, "deny": [{**FINDING, "file": "x"}]},
    {"allow": True, "warn": ["x"]},
    {"allow": True, "annotations": []},
    {"allow": True, "annotations": {"a": 1}},
    {"allow": True, "require": "signature"},
    {"allow": True, "require": "most"},
    {"allow": True, "require": 1},
    {"allow": True, "denied": [FINDING]},
    {"Allow": True},
]


@pytest.mark.parametrize("value", ILL_TYPED, ids=repr)
def test_what_is_no_decision(value: object) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_decision(value)
    assert caught.value.reason.code is ReasonCode.POLICY_ILL_TYPED
    assert not any(words in str(caught.value) for words in ("instance", "input", "_", "permitted"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "(the decision must be an object)"),
        ({}, "(allow is missing)"),
        ({"allow": 1}, "(allow must be true or false)"),
        ({"allow": True, "denied": []}, "(denied is not a member that it may have)"),
        ({"allow": True, "deny": {}}, "(deny must be a list)"),
        ({"allow": True, "deny": ["no"]}, "(deny.0 must be an object)"),
        ({"allow": True, "deny": [{**FINDING, "msg": ""}]}, "(deny.0.msg must not be empty)"),
        ({"allow": True, "annotations": {"a": 1}}, "(annotations.a must be a string)"),
        ({"allow": True, "annotations": []}, "(annotations must be an object)"),
        ({"allow": True, "require": "most"}, "(require must be 'bytes' or 'declared')"),
    ],
)
def test_what_is_wrong_is_said_plainly(value: object, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_decision(value)
    assert says in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("allow", "deny", "warn", "annotations", "require"), JSON)
)


@given(JSON | MEMBERS)
def test_only_a_clear_yes_allows(value: object) -> None:
    try:
        decision = parse_decision(value)
    except PolicyError as error:
        assert error.reason.code is ReasonCode.POLICY_ILL_TYPED
    else:
        assert isinstance(value, dict)
        assert decision.allow == (value["allow"] is True and not value.get("deny"))
        assert decision.allow or decision.deny
