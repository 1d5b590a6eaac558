"""Lines are shown of what decided, and of nothing else."""

from __future__ import annotations

import pytest

from oms_gate.authoring.tracing import fired_rules
from oms_gate.errors import ConfigError
from oms_gate.policy.decision import parse_decision

REGO = b"""package oms_gate.admission

decision := {"allow": allow, "deny": deny, "annotations": annotations}

default allow := false

allow if {
	not unwanted
	is_small(input.size)
}

unwanted if input.size > 9

is_small(size) if size < 5

deny contains {"code": "own.large", "msg": "large"} if {
	not allow
	unwanted
}

deny contains {"code": "own.middle", "msg": "middle"} if {
	not allow
}

annotations["size"] := "known" if input.size
"""
ANSWER = {"allow": True, "annotations": {"size": "known"}}


def test_heads_of_rules_that_held() -> None:
    sources = {"a folder/x y.rego": REGO}
    fired = fired_rules(sources, {}, {"size": 1}, parse_decision(ANSWER))
    assert [(rule.rule.rpartition("admission.")[2], rule.line) for rule in fired] == [
        ("decision", 3),
        ("allow", 7),
        ("annotations.size", 25),
    ]
    assert {rule.file for rule in fired} == {"a folder/x y.rego"}


def test_another_decision_has_other_lines() -> None:
    with pytest.raises(ConfigError, match="does not come to the decision of the gate"):
        fired_rules({"x.rego": REGO}, {}, {"size": 7}, parse_decision(ANSWER))
    with pytest.raises(ConfigError, match=r"does not come .*rego_parse_error"):
        fired_rules({"x.rego": REGO + b"{"}, {}, {}, parse_decision(ANSWER))
