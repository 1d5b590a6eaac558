"""Which rules of a policy held for one model, with file and line, as OPA itself evaluates it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic_core import to_json

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.compiler import unpacked
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.policy.engine import DECISION_PATH
from oms_gate.policy.program import find_opa, run_program

# "lib/coverage.rego:118   | | Exit data.oms_gate.lib.coverage.deny early"
_EXIT: Final = re.compile(
    r"(?P<file>\S.*\.rego):(?P<line>\d+) +(?:\| )+Exit (?P<rule>data\.[^\s(]+)"
)
_HEAD: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<next>.?)")


@dataclass(frozen=True)
class FiredRule:
    """A rule that held, and where its head is; functions are none.

    times: for how many values, as a count.
    """

    rule: str
    file: str
    line: int
    times: int


def fired_rules(
    sources: Mapping[str, bytes],
    data: Mapping[str, object],
    document: Mapping[str, object],
    decision: Decision,
) -> list[FiredRule]:
    """The rules that held for a document, in the order of files and lines.

    sources: of the policy, by path.
    data: the whole data document that the engine decides by.
    decision: what the gate's engine came to.

    Raises:
        ConfigError: there is no ``opa``, it cannot evaluate this, or it decides otherwise: then
            the lines would not be those that decided.
    """
    opa = find_opa()
    policy = {f"policy/{name}": text for name, text in sources.items() if name.endswith(".rego")}
    given = {"input.json": to_json(dict(document)), "policy/data.json": to_json(dict(data))}
    with unpacked({**policy, **given}) as work:
        # As JSON, each event would have its variables: gigabytes for a large model.
        command = ["eval", "--explain=full", "--format=pretty", "--bundle", "."]
        query = ["--input", "../input.json", f"data.{DECISION_PATH.replace('/', '.')}"]
        done = run_program(opa, [*command, *query], work / "policy")
    trace = done.stdout.decode("utf-8", "replace")
    if done.returncode or not _agrees(trace, decision):
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        raise ConfigError(
            "opa does not come to the decision of the gate" + (f" ({said})" if said else "")
        )
    lines = {
        name: content.decode("utf-8", "replace").split("\n") for name, content in sources.items()
    }
    found: Counter[tuple[str, int, str]] = Counter()
    for text in trace.splitlines():
        if (event := _EXIT.match(text)) and event["file"] in lines:
            place = event["file"], int(event["line"]), event["rule"]
            if _is_head(lines[place[0]][place[1] - 1], place[2]):
                found[place] += 1
    return [
        FiredRule(rule, file, line, times) for (file, line, rule), times in sorted(found.items())
    ]


def _agrees(trace: str, decision: Decision) -> bool:
    """Whether what follows the trace is the same decision."""
    start = trace.find("\n{")
    try:
        answer = parse_decision(json.loads(trace[start:]))
    except (ValueError, PolicyError):
        return False
    return (answer.deny, answer.warn, answer.require) == (
        decision.deny,
        decision.warn,
        decision.require,
    )


def _is_head(line: str, rule: str) -> bool:
    """Whether a line begins a rule: not a function's, nor an expression that mentions the rule."""
    head = _HEAD.match(line)
    if head is None:
        return line.lstrip("} ").startswith("else")
    # What is part of an object has a longer name: annotations["publisher"], unsafe.pickle.
    names = rule.split(".")
    whole, part = names[-1] == head["name"], head["name"] in names[:-1]
    return (part and head["next"] in (".", "[")) or (whole and head["next"] != "(")
