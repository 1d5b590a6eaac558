"""Rules that are written by hand: whatever is missing, mistyped or unknown, nothing is admitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from oms_gate.limits import Limits
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason
from tests.policy.amiss import VALUES, at, kind_of, places, replaced, without
from tests.policy.decision_table import EXCEPTIONS
from tests.policy.opa_process import TOKEN, OpaServer
from tests.policy.samples import data_of, document, key

RULES: Final[Any] = data_of(
    [
        {
            "name": "Example",
            "models": ["example/*"],
            "signers": [
                {
                    "method": "sigstore",
                    "identity": "release@example.com",
                    "issuer": "https://i.example",
                },
                {"method": "certificate", "root": "ca", "any_identity": True},
                {"method": "key", "key": "release"},
                {"method": "first-use"},
            ],
            "allow_unsigned": ["assets/**"],
            "allow_formats": ["code"],
            "assurance": "bytes",
        }
    ],
    [
        {
            "name": "Logged",
            "where": {"models": ["other/*"], "namespaces": ["prod"], "operations": ["admit"]},
            "transparency_log": True,
            "max_age_days": 7,
            "hash_types": ["sha256"],
            "claims": {"ref": ["refs/tags/*"]},
            "attestations": [
                {
                    "predicate_type": "https://slsa.dev/provenance/v1",
                    "signers": [{"method": "key", "key": "release"}],
                    "builders": ["https://b.example/*"],
                }
            ],
            "boms": ["sbom"],
        }
    ],
    EXCEPTIONS[:1],
)["oms_gate"]
ITSELF: Final = document(signer=key())
# What may be left out of a rule.
OPTIONAL: Final = {
    "allow_unsigned", "allow_ignored", "allow_formats", "allow_expired", "assurance", "where",
    "effect", "transparency_log", "max_age_days", "hash_types", "claims", "attestations", "boms",
    "namespaces", "operations", "builders", "paths",
}  # fmt: skip


def broken_rules() -> Iterator[tuple[str, Any]]:
    """Rules with one thing amiss, and what that is."""
    for path in places(RULES):
        old = at(RULES, path)
        inside_claims = "claims" in path[:-1]
        optional = path[-1] in OPTIONAL or path[-2:] == ("where", "models")
        if isinstance(path[-1], str) and not optional and not inside_claims:
            yield f"without {path}", without(RULES, path)
        for value in VALUES:
            empty = value in ({}, []) and path[-1] in OPTIONAL
            if kind_of(old) != kind_of(value) and not empty:
                yield f"{value!r} at {path}", replaced(RULES, path, value)
        if isinstance(old, dict) and path[-1] != "claims":
            yield f"more at {path}", replaced(RULES, path, {**old, "modles": ["x"]})


BROKEN_RULES: Final = list(broken_rules())


def in_process(rules: Any) -> tuple[Reason, ...]:
    engine = WasmEngine.bundled({"oms_gate": rules}, Limits())
    try:
        return engine.decide(ITSELF).deny
    finally:
        engine.close()


def on_server(server: OpaServer, rules: Any) -> tuple[Reason, ...]:
    server.put("data", json.dumps({"oms_gate": rules}))
    engine = ServerEngine(server.url, token=TOKEN)
    try:
        return engine.decide(ITSELF).deny
    finally:
        engine.close()


def test_the_rules_themselves_admit(opa_server: OpaServer) -> None:
    assert in_process(RULES) == on_server(opa_server, RULES) == ()


def test_nothing_is_admitted_by_rules_that_are_not_whole(opa_server: OpaServer) -> None:
    assert len(BROKEN_RULES) > 500
    for number, (what, rules) in enumerate(BROKEN_RULES):
        if number % 15:
            continue
        denied = on_server(opa_server, rules)
        assert [reason.code for reason in denied] == [ReasonCode.POLICY_ERROR], what
        assert "data.oms_gate cannot be used because of" in denied[0].message, what
        if number % 75 == 0:
            assert in_process(rules) == denied, what


@pytest.mark.parametrize(
    ("path", "value", "words", "name"),
    [
        (("requirements", 0, "transparancy_log"), True, '[0] "Logged"', "transparancy_log"),
        (("publishers", 0, "models"), "hf://example/*", '[0] "Example"', "models"),
        (("exceptions", 0, "paths"), "old/**", 'exceptions[0] "a move"', "paths"),
        (("requirements",), None, "requirements (which is no list)", ""),
    ],
)
def test_what_is_amiss_is_named(
    path: tuple[Any, ...], value: object, words: str, name: str
) -> None:
    (reason,) = in_process(replaced(RULES, path, value))
    assert words in reason.message
    assert name in reason.message


def test_a_hundred_rules_are_checked_in_little_time() -> None:
    rules = {kind: [*each] * 100 for kind, each in RULES.items()}
    assert in_process(rules) == ()
