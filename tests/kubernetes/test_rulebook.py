"""Which rules hold where, without a cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import TypeAdapter

from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError
from oms_gate.policy.globs import covers
from oms_gate.policy.publishers import ModelGlob
from oms_gate.server import rulebook
from oms_gate.server.gate_policies import GatePolicy, read_policy, unreadable
from oms_gate.server.rulebook import Rulebook
from oms_gate.verdict import Assurance
from tests import models
from tests.policy.decision_table import GLOBS

Json = dict[str, Any]


@pytest.mark.parametrize(("glob", "name", "covered"), GLOBS)
def test_globs_are_those_of_the_policy(glob: str, name: str, covered: bool) -> None:
    """What is delegated is matched here, what is granted in Rego."""
    assert covers(TypeAdapter(ModelGlob).validate_python(glob), name) == covered


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rulebook]:
    path = tmp_path_factory.mktemp("keys") / "own.pub"
    path.write_bytes(models.public_pem(OWN))
    config = {"trust": {"keys": {"own": str(path)}, "public_good": False}}
    book = Rulebook(GateConfig.model_validate_json(json.dumps(config)))
    yield book
    book.close()


OWN = ec.generate_private_key(ec.SECP256R1())
SHARED = ec.generate_private_key(ec.SECP256R1())


def nothing(_: str, name: str) -> Mapping[str, str]:
    raise ConfigError(f"there is no {name}")


def policy(name: str, spec: Json, namespace: str | None = None) -> GatePolicy:
    metadata = {"name": name, "uid": name, "generation": 1}
    if namespace is not None:
        metadata["namespace"] = namespace
    found, mistake = read_policy({"metadata": metadata, "spec": spec}, nothing, "oms-gate")
    assert mistake is None
    return found


def granting(key: ec.EllipticCurvePrivateKey, root: str) -> Json:
    signers = [{"method": "key", "key": root}]
    return {
        "publishers": [{"name": "x", "models": ["hf://x/*"], "signers": signers}],
        "trust": {"keys": {root: {"inline": models.public_pem(key).decode()}}},
    }


def test_policies_may_trust_the_same_key(book: Rulebook) -> None:
    """Each by its own name, and by one that the configuration has for it."""
    policies = [policy("a", granting(SHARED, "one")), policy("b", granting(SHARED, "two"))]
    policies.append(policy("c", granting(OWN, "mine")))
    for each in policies:
        book.check(each)
    book.replace(policies)
    gate = book.gate(book.terms("any", {}, "hf://x/y"))
    assert set(gate.trust.keys) == {"own", "a:one"}
    assert gate.mode == "enforce"


def test_no_policy_of_a_cluster_trusts_whoever_comes_first(book: Rulebook) -> None:
    """Its namespaces would share what is remembered with all others."""
    spec = granting(SHARED, "one")
    book.check(policy("a", spec))
    spec["publishers"][0]["signers"].append({"method": "first-use"})
    with pytest.raises(ConfigError, match="only the gate's own configuration can trust"):
        book.check(policy("a", spec))


SELECTORS: list[tuple[Json, Json, bool]] = [
    ({}, {}, True),
    ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
    ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "b"}, True),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {}, False),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {"a": "b"}, False),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
]


@pytest.mark.parametrize(("selector", "labels", "selected"), SELECTORS)
def test_a_policy_concerns_the_namespaces_that_it_selects(
    selector: Json, labels: Json, selected: bool
) -> None:
    assert policy("a", {"namespaceSelector": selector}).concerns("any", labels) == selected


def test_a_policy_of_a_namespace_concerns_no_other() -> None:
    one = policy("a", {"mode": "enforce"}, "here")
    assert one.concerns("here", {})
    assert not one.concerns("there", {})


def test_the_stricter_assurance_holds(book: Rulebook) -> None:
    book.replace([policy("a", {"assurance": "declared"}), policy("b", {"assurance": "signature"})])
    assert book.terms("any", {}, "hf://x/y").assurance is Assurance.DECLARED


def test_terms_that_decide_differently_are_told_apart(book: Rulebook) -> None:
    keys = set()
    for policies in (
        [],
        [policy("a", {"mode": "annotate"})],
        [policy("a", {"assurance": "declared"})],
        [policy("a", granting(SHARED, "one"))],
        [policy("b", granting(SHARED, "one"))],
    ):
        book.replace(policies)
        keys.add(book.terms("any", {}, "hf://x/y").key)
    assert len(keys) == 5


def test_what_cannot_be_looked_at_may_have_meant_to_tighten(book: Rulebook) -> None:
    loose = policy("a", {"mode": "annotate"})
    book.replace([loose])
    assert book.terms("here", {}, "x").mode == "annotate"
    book.replace([loose, unreadable({"metadata": {"name": "b", "namespace": "here"}})])
    assert book.terms("here", {}, "x").mode == "enforce"
    assert book.terms("there", {}, "x").mode == "annotate"
    book.replace([])


def test_an_opa_server_has_publishers_of_its_own(tmp_path: Path) -> None:
    config = {"policy": {"server": {"url": "http://127.0.0.1:9"}}, "trust": {"public_good": False}}
    book = Rulebook(GateConfig.model_validate(config))
    with pytest.raises(ConfigError, match="has publishers of its own"):
        book.check(policy("a", granting(SHARED, "one")))
    book.close()


def test_gates_that_nobody_asks_for_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once: a check may be under way."""
    monkeypatch.setattr(rulebook, "_MOST_GATES", 1)
    monkeypatch.setattr(rulebook, "_LONGEST_CHECK_SECONDS", 0)
    book = Rulebook(GateConfig.model_validate({"trust": {"public_good": False}}))
    running = []
    for name in ("one", "two", "three"):
        book.replace([policy(name, granting(SHARED, name))])
        book.gate(book.terms("any", {}, "hf://x/y"))
        running.append(sum("epoch" in thread.name for thread in threading.enumerate()))
    book.close()
    assert running[0] == running[1] == running[2]
    assert sum("epoch" in thread.name for thread in threading.enumerate()) == running[0] - 2
