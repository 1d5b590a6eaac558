"""Do the Rego tests notice when a rule is broken? ``python -m tests.mutants.rego`` (make mutants).

Every rule of ``policies/`` is broken in every way that this module knows: an expression is left
out, a "not" as well, a comparison is made another, a word or a number is changed, one definition of
several is dropped, one side of a union is. OPA's own parser says where these are. Each mutant is
tried by ``opa test`` on a copy of the library, first by the tests of its own module, then by all.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
POLICIES = PROJECT / "policies"

_TESTS_FAILED = 2
_LONGEST_SECONDS = 60
_COMPARISONS = {"equal": ("==", "!="), "neq": ("!=", "=="), "lt": ("<", "<="), "lte": ("<=", "<")}
_COMPARISONS |= {"gt": (">", ">="), "gte": (">=", ">")}
# Of these, each side alone; of the others, the first.
_BOTH_SIDES = ("or", "plus")
_ONE_SIDE = ("minus", "mul", "div")

_STRICT = "a builtin fails instead, which a server with strict errors tells: see the decision table"
_SPEED = "it spares work"
_ANY = "any text is as good"
_MEMBERS = "what is no object has no such members"
_TWICE = "a finding denies as well: to allow takes both"
_SAID = "what is said besides is for people"
_WORDS = "without it there are no words, and so no finding"
# Mutants that decide nothing else, with the reason.
EQUIVALENT = {
    "lib/attestations builder_flaw: drop wanted.builders": _WORDS,
    "lib/attestations source_flaw: drop wanted.sources": _WORDS,
    "lib/attestations findings_flaw: drop wanted.no_findings": _WORDS,
    "lib/attestations shown_age: >= in made_at(attestation) > input.now": _SAID,
    "lib/attestations problem: change 3": _SAID,
    "lib/attestations problems: left of (candidates(wanted) - flawless(wanted))": _SAID,
    "lib/attestations problems: drop count(uncovered) > 0": _SAID,
    "lib/attestations problems: >= in count(uncovered) > 0": _SAID,
    "lib/attestations problems: drop count(flawless(wanted)) > 0'": _SAID,
    "lib/attestations problems: >= in count(flawless(wanted)) > 0'": _SAID,
    "lib/attestations problems: drop count(weights) == 0": _SAID,
    "lib/attestations problems: drop count(candidates(wanted)) == 0": _SAID,
    "lib/attestations problems: drop count(candidates(wanted)) == 0'": _SAID,
    "lib/attestations problems: drop globs.matches(wanted.predicate_type, "
    "attestation.predicate_type)": _SAID,
    "lib/coverage instructs: drop count(skills) > 0": _SPEED,
    "lib/coverage instructs: >= in count(skills) > 0": _SPEED,
    'lib/coverage is_only_warned_of: drop file.scope == "signer"': "may_be_ignored has the others",
    "lib/document valid: drop is_object(input)": _STRICT,
    "lib/document faults: drop is_object(input)": _STRICT,
    "lib/document is_whole: drop is_object(coverage.signed_files)": _STRICT,
    "lib/document is_whole: drop is_object(input.context)": _STRICT,
    'lib/document is_whole: change ""': _ANY,
    'lib/document is_whole: change ""\'': _ANY,
    "lib/document is_list_of_strings: drop is_array(values)'": _STRICT,
    "lib/document has_exactly: drop is_object(object_)": _STRICT,
    "lib/findings of_files: drop count(files) > 0": _SPEED,
    "lib/findings of_files: >= in count(files) > 0": _SPEED,
    "lib/formats weights_with: drop has_unsafe_weights": _SPEED,
    "lib/formats has_unsafe_weights: change false": _SPEED,
    'lib/formats has_unsafe_weights: drop has_unsafe_ending(concat("\\n", '
    "input.coverage.signed_files.weights))": _SPEED,
    'lib/formats has_unsafe_weights: drop file.kind == "weights"': _SPEED,
    "lib/formats has_unsafe_weights: drop has_unsafe_ending(file.path)": _SPEED,
    r"lib/formats has_unsafe_ending: drop regex.match(`(?i)\.(?:keras|h5|hdf5|pb|pbtxt)(?:\n|\z)`, "
    "names)": _SPEED,
    'lib/history unproven: change ""': _ANY,
    "lib/provenance builder: drop is_string(id)": _STRICT,
    "lib/provenance sources: drop is_string(dependency.uri)": _STRICT,
    "lib/provenance is_workflow: drop is_string(type)": _STRICT,
    'lib/publishers first_use: drop signer.method == "first-use"': "is_claimed has the others",
    'lib/globs covers: drop contains(trim_right(wildcard, "*"), "*")': _SPEED,
    'lib/globs covers: change "*"\'': _SPEED,
    'lib/globs covers: drop startswith(name, split(wildcard, "*")[0])': _SPEED,
    "lib/rules is_publisher: drop is_object(rule)": _MEMBERS,
    "lib/rules is_requirement: drop is_object(rule)": _MEMBERS,
    "lib/rules is_requirement_member: drop is_object(value)'": _MEMBERS,
    "lib/rules is_place_member: drop is_object(value)": _MEMBERS,
    "lib/rules is_wanted_attestation: drop is_object(wanted)": _MEMBERS,
    "lib/rules is_exception: drop is_object(rule)": _MEMBERS,
    "lib/rules is_known_signer: change false": "both are booleans",
    "lib/rules are_path_globs: drop is_string(value)": _STRICT,
    "lib/scan severity_by: drop is_string(score.method)": _STRICT,
    "lib/scan severity_by: drop is_string(score.score)": _STRICT,
    "lib/scan severity_of: drop is_string(word)": _STRICT,
    "lib/scan severity_of: drop is_string(word)'": _STRICT,
    "lib/scan is_report: drop is_object(result)": _STRICT,
    "lib/signers identifies: drop regex.is_valid(anchored)": _STRICT,
    "lib/signers wanted: drop not rule.identity_pattern": "rules have one of the two",
    'lib/signers description: drop rule.method == "first-use"': "no other method is left",
    "lib/standard allow: drop is_whole": _TWICE,
    "lib/standard allow: drop is_publisher": _TWICE,
    "lib/standard allow: drop input.coverage.signed > 0": _TWICE,
    "lib/standard allow: >= in input.coverage.signed > 0": _TWICE,
    "lib/standard allow: change 0": _TWICE,
    "lib/standard is_publisher: drop count(publishers.outlived) > 0": _TWICE,
    "lib/standard is_publisher: >= in count(publishers.outlived) > 0": _TWICE,
    'lib/standard is_publisher: drop finding.code == "publisher.expired-signer"': _TWICE,
}


@dataclass(frozen=True)
class Mutant:
    """Text of a file of ``policies/`` from `start` to `end` (in bytes), and what is put there."""

    path: str
    name: str
    start: int
    end: int
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


def modules() -> list[str]:
    """The files of the library, without their tests."""
    found = [*sorted(POLICIES.glob("lib/*.rego")), POLICIES / "admission.rego"]
    return [str(p.relative_to(POLICIES)) for p in found if not p.stem.endswith("_test")]


def mutants(path: str, opa: Path) -> list[Mutant]:
    """All mutants of a file of the library, each name once."""
    command = [str(opa), "parse", "--format=json", "--json-include=locations", path]
    done = subprocess.run(command, cwd=POLICIES, capture_output=True, check=True)
    rules = json.loads(done.stdout)["rules"]
    lines = [0]
    source = (POLICIES / path).read_bytes()
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    names = [_rule_name(rule) for rule in rules]
    found: dict[str, Mutant] = {}
    for rule, rule_name in zip(rules, names, strict=True):
        changes = list(_changes(rule))
        if names.count(rule_name) > 1 and not rule.get("default"):
            changes.append((rule, "drop", ""))
        for node, what, new in changes:
            text = _text(node)
            place = node["location"]
            # The parser places what is in parentheses a character too far for each of them.
            inside = len(text) - len(text.lstrip(b"("))
            start = source.index(text, lines[place["row"] - 1] + place["col"] - 2 - inside)
            shown = re.sub(r"\s+", " ", text.decode())[:70]
            name = f"{path.removesuffix('.rego')} {rule_name}: {what} {shown}"
            while name in found:
                name += "'"
            found[name] = Mutant(path, name, start, start + len(text), new)
    return list(found.values())


def _rule_name(rule: dict[str, Any]) -> str:
    return ".".join(str(part["value"]) for part in rule["head"]["ref"])


def _text(node: dict[str, Any]) -> bytes:
    return base64.b64decode(node["location"]["text"])


Change = tuple[dict[str, Any], str, str]


def _changes(node: Any) -> Iterator[Change]:
    """What can be changed below a node of the syntax tree: the node, how, and its new text."""
    if isinstance(node, list):
        for item in node:
            yield from _changes(item)
    # What a reference goes through is checked by OPA itself, and messages are for people.
    if not isinstance(node, dict) or node.get("type") in ("templatestring", "ref"):
        return
    if "terms" in node and not node.get("generated"):
        yield from _of_expression(node)
    if "location" in node:
        yield from _of_term(node)
    if (other := node.get("else")) is not None:
        yield other, "drop", ""
    for key, value in node.items():
        if key not in ("annotations", "location", "ref", "name", "default"):
            yield from _changes(_values(node) if key == "value" else value)


def _values(node: dict[str, Any]) -> Any:
    # The names of an object's members are no values.
    if node.get("type") == "object":
        return [pair[1] for pair in node["value"]]
    return node["value"]


def _of_expression(node: dict[str, Any]) -> Iterator[Change]:
    text = _text(node).decode()
    terms = node["terms"]
    operator = _operator(terms)
    declares = operator == "assign" or (isinstance(terms, dict) and "symbols" in terms)
    if not declares:
        yield node, "drop", "true"
    if node.get("negated"):
        yield node, "affirm", text.removeprefix("not ")


def _of_term(node: dict[str, Any]) -> Iterator[Change]:
    kind: str | None = node.get("type")
    value: Any = node.get("value")
    is_literal = _text(node).decode().strip('"`') == str(value)
    if kind == "string" and is_literal and " " not in str(value):
        yield node, "change", json.dumps(f"{value}x")
    elif kind == "number" and is_literal:
        yield node, "change", str(value + 1)
    elif kind == "boolean" and _text(node).decode() == str(value).lower():
        yield node, "change", str(not value).lower()
    elif kind == "set":
        for item in value:
            if item["type"] in ("call", "ref"):
                yield item, "empty", "set()"
    terms = node.get("terms", value if kind == "call" else None)
    operator = _operator(terms)
    if operator is None or not isinstance(terms, list) or len(terms) != 3:
        return
    text, left, right = _text(node).decode(), _text(terms[1]).decode(), _text(terms[2]).decode()
    if operator in _COMPARISONS:
        old, new = _COMPARISONS[operator]
        middle = text[text.index(left) + len(left) :].replace(old, new, 1)
        yield node, f"{new} in", text[: text.index(left) + len(left)] + middle
    elif operator in _BOTH_SIDES + _ONE_SIDE:
        yield node, "left of", left
        if operator in _BOTH_SIDES:
            yield node, "right of", right


def _operator(terms: Any) -> str | None:
    if not isinstance(terms, list) or not terms or terms[0].get("type") != "ref":
        return None
    return ".".join(str(part["value"]) for part in terms[0]["value"])


class Copy:
    """A copy of the library to break."""

    def __init__(self, place: Path, opa: Path) -> None:
        self._policies = place / "policies"
        self._opa = opa
        ignored = shutil.ignore_patterns("*.wasm", "*.json", ".regal", "examples")
        shutil.copytree(POLICIES, self._policies, ignore=ignored)

    def notices(self, mutant: Mutant) -> bool | None:
        """Whether a test fails; None if what was made is no Rego."""
        broken = self._policies / mutant.path
        sound = broken.read_bytes()
        broken.write_bytes(mutant.apply(sound))
        try:
            own = mutant.path.removesuffix(".rego").replace("/", r"\.") + "_test"
            return self._fails("--run", own) or self._fails()
        finally:
            broken.write_bytes(sound)

    def _fails(self, *options: str) -> bool | None:
        command = [str(self._opa), "test", *options, "--parallel=1", "--timeout=60s", "."]
        done = subprocess.run(
            command, cwd=self._policies, capture_output=True, timeout=_LONGEST_SECONDS, check=False
        )
        if done.returncode not in (0, _TESTS_FAILED):
            return None
        return done.returncode == _TESTS_FAILED


def main() -> int:
    """Break every rule and print what nobody noticed; 0 if that is nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.rego", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only those with this in the name")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    opa = PROJECT / ".tools/bin/opa"
    every = [mutant for path in modules() for mutant in mutants(path, opa)]
    chosen = [m for m in every if not options.names or any(n in m.name for n in options.names)]
    started = time.monotonic()
    faults = [f"no such mutant: {name}" for name in EQUIVALENT.keys() - {m.name for m in every}]
    noticed = malformed = 0
    with (
        tempfile.TemporaryDirectory(prefix="oms-gate-rego-") as place,
        ThreadPoolExecutor(options.processes) as threads,
    ):
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(options.processes):
            copies.put(Copy(Path(place, str(number)), opa))

        def outcome(mutant: Mutant) -> bool | None:
            copy = copies.get()
            try:
                return copy.notices(mutant)
            finally:
                copies.put(copy)

        for mutant, seen in zip(chosen, threads.map(outcome, chosen), strict=True):
            noticed += seen is True
            malformed += seen is None
            if (seen is False) != (mutant.name in EQUIVALENT) and seen is not None:
                faults.append(f"{'noticed after all' if seen else 'SURVIVED'}: {mutant.name}")
                print(faults[-1], flush=True)
    print(
        f"{noticed} of {len(chosen) - malformed} mutants of Rego noticed in "
        f"{time.monotonic() - started:.0f} s"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
