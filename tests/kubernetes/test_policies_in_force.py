"""GatePolicies on a real API server: what they grant, what they tighten, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.delivery.pulling import signed
from tests.kubernetes.guarding import Guard
from tests.kubernetes.test_admission import CONTROLLERS, pod
from tests.peers.hub import HubStandIn

Json = dict[str, Any]
Apply = Callable[..., str]


@pytest.fixture(autouse=True)
def _repositories(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, stranger: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/good", files=signed(key))
    hub.create("acme/unsigned", files=dict(models.FILES))
    hub.create("theirs/good", files=signed(stranger))


@pytest.fixture
def namespace(guard: Guard) -> str:
    return guard.cluster.namespace({"stage": "blue"})


@pytest.fixture
def apply(guard: Guard, namespace: str) -> Iterator[Apply]:
    """Make a policy, for this test's namespace alone, and wait until it is in force or unusable."""
    made: list[list[str]] = []

    def apply(spec: Json, *, kind: str = "ClusterGatePolicy", ready: str = "True") -> str:
        if kind == "ClusterGatePolicy":
            names = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            spec = {"namespaceSelector": names, **spec}
        name = f"p{len(made)}-{namespace}"
        item = {
            "apiVersion": "oms-gate.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        assert guard.create(namespace, item) == ""
        made.append([kind, name])
        found = _condition(guard, namespace, kind, name)
        assert found["status"] == ready, found
        return str(found["message"])

    yield apply
    for arguments in made:
        guard.kubectl("delete", "-n", namespace, *arguments)


def _condition(guard: Guard, namespace: str, kind: str, name: str) -> Json:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        item = guard.get(namespace, kind, name)
        for condition in item.get("status", {}).get("conditions", []):
            found: Json = condition
            if found["observedGeneration"] == item["metadata"]["generation"]:
                return found
        time.sleep(0.1)
    raise AssertionError("nobody has said whether the policy is in force")


def rule(pem: bytes, models_: str = "hf://theirs/*", root: str = "team") -> Json:
    return {
        "publishers": [
            {"name": "Theirs", "models": [models_], "signers": [{"method": "key", "key": root}]}
        ],
        "trust": {"keys": {root: {"inline": pem.decode()}}},
    }


@pytest.fixture
def pem(stranger: ec.EllipticCurvePrivateKey) -> bytes:
    return models.public_pem(stranger)


def test_a_cluster_policy_grants(guard: Guard, namespace: str, apply: Apply, pem: bytes) -> None:
    assert "[publisher.unknown]" in guard.create(namespace, pod("theirs/good"))
    apply(rule(pem))
    assert guard.create(namespace, pod("theirs/good")) == ""
    elsewhere = guard.cluster.namespace()
    assert "[publisher.unknown]" in guard.create(elsewhere, pod("theirs/good"))


def test_a_key_of_its_own_counts_under_its_own_name(
    guard: Guard, namespace: str, apply: Apply, hub: HubStandIn
) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    hub.create("theirs/own", files=signed(own))
    apply(rule(models.public_pem(own), root="acme"))
    assert guard.create(namespace, pod("theirs/own")) == ""
    # It is not the configuration's key of that name, and Acme's rule does not mean it.
    hub.create("acme/own", files=signed(own))
    item = pod("acme/own")
    item["metadata"]["name"] = "other"
    assert "[publisher.wrong-signer]" in guard.create(namespace, item)


def test_a_namespaces_policy_grants_what_is_delegated(
    guard: Guard, namespace: str, apply: Apply, pem: bytes
) -> None:
    apply(rule(pem), kind="GatePolicy")
    assert "[publisher.unknown]" in guard.create(namespace, pod("theirs/good"))
    apply({"delegate": {"models": ["hf://other/*"]}})
    assert "[publisher.unknown]" in guard.create(namespace, pod("theirs/good"))
    apply({"delegate": {"models": ["hf://theirs/g*"]}})
    assert guard.create(namespace, pod("theirs/good")) == ""


def test_a_namespaces_policy_takes_over_nothing_else(
    guard: Guard, namespace: str, apply: Apply, pem: bytes, hub: HubStandIn, stranger: Any
) -> None:
    """It may say who signs everything; it counts for what was delegated."""
    hub.create("acme/theirs", files=signed(stranger))
    apply({"delegate": {"models": ["hf://theirs/*"]}})
    apply(rule(pem, "hf://**"), kind="GatePolicy")
    assert "[publisher.wrong-signer]" in guard.create(namespace, pod("acme/theirs"))
    assert guard.create(namespace, pod("theirs/good")) == ""


def test_annotating_lets_through_and_says_so(guard: Guard, namespace: str, apply: Apply) -> None:
    apply({"mode": "annotate"})
    said = guard.warnings(namespace, pod("acme/unsigned"))
    assert "Warning: oms-gate would deny this" in said
    assert "acme/unsigned" in said
    made = guard.get(namespace, "pod", "server")
    assert "initContainers" not in made["spec"]
    (event,) = guard.events(namespace)
    assert (event["reason"], event["type"]) == ("ModelNotAdmitted", "Warning")
    audited = guard.cluster.audit_events(namespace=namespace, resource="pods")[0]["annotations"]
    assert audited["validate.oms-gate.dev/outcome"] == "annotated"
    # What is signed is pinned as ever.
    assert guard.create(namespace, CONTROLLERS["Deployment"](pod()["spec"])) == ""
    template = guard.get(namespace, "deployment", "server")["spec"]["template"]
    assert template["spec"]["initContainers"][0]["name"] == "oms-gate-0"


@pytest.mark.parametrize("kind", ["ClusterGatePolicy", "GatePolicy"])
def test_the_stricter_mode_holds(guard: Guard, namespace: str, apply: Apply, kind: str) -> None:
    apply({"mode": "annotate"})
    apply({"mode": "enforce"}, kind=kind)
    assert "[signature.missing]" in guard.create(namespace, pod("acme/unsigned"))


def test_a_policy_asks_for_what_the_store_declares(
    guard: Guard, namespace: str, apply: Apply, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    """A small signed file was replaced, of which the Hub declares no SHA-256."""
    hub.create("acme/changed", files=signed(key) | {"config.json": b'{"model_type": "evil"}\n'})
    assert guard.create(namespace, pod("acme/changed")) == ""
    apply({"assurance": "declared"})
    item = pod("acme/changed")
    item["metadata"]["name"] = "other"
    assert "[file.changed]" in guard.create(namespace, item)


def test_a_policy_that_cannot_be_used_says_why_and_grants_nothing(
    guard: Guard, namespace: str, apply: Apply, pem: bytes
) -> None:
    said = apply(rule(b"no key"), ready="False")
    assert "must be exactly one public key in PEM" in said
    missing = rule(pem)
    missing["trust"]["keys"]["team"] = {"configMap": {"name": "nowhere", "key": "x"}}
    assert "ConfigMap" in apply(missing, ready="False")
    nobody = rule(pem)
    nobody["publishers"][0]["signers"][0]["key"] = "unknown"
    assert "neither under 'trust' nor in the gate's configuration" in apply(nobody, ready="False")
    assert "[publisher.unknown]" in guard.create(namespace, pod("theirs/good"))


def test_what_is_unusable_tightens_all_the_same(guard: Guard, namespace: str, apply: Apply) -> None:
    apply({"mode": "annotate"})
    apply({**rule(b"no key"), "mode": "enforce"}, ready="False")
    assert "[signature.missing]" in guard.create(namespace, pod("acme/unsigned"))


def test_what_cannot_be_read_tightens_all_the_same(
    guard: Guard, namespace: str, apply: Apply
) -> None:
    """Its schema takes a pattern that the gate does not."""
    apply({"mode": "annotate"})
    signer = {"method": "sigstore", "issuer": "https://x.example", "identityPattern": "(?-i:a)"}
    rules = [{"name": "x", "models": ["hf://x/*"], "signers": [signer]}]
    said = apply({"publishers": rules, "mode": "enforce"}, ready="False")
    assert "is not a pattern that can be used" in said
    assert "[signature.missing]" in guard.create(namespace, pod("acme/unsigned"))


def test_a_config_map_holds_trust(guard: Guard, namespace: str, apply: Apply, pem: bytes) -> None:
    guard.kubectl("create", "ns", "oms-gate-system")
    name = f"trust-{namespace}"
    done = guard.kubectl(
        "create", "configmap", name, "-n", "oms-gate-system", f"--from-literal=k={pem.decode()}"
    )
    assert done.returncode == 0, done.stderr
    spec = rule(pem)
    spec["trust"]["keys"]["team"] = {"configMap": {"name": name, "key": "k"}}
    apply(spec)
    assert guard.create(namespace, pod("theirs/good")) == ""


def test_a_policy_shows_the_last_verdicts(guard: Guard, namespace: str, apply: Apply) -> None:
    apply({"mode": "enforce"})
    guard.create(namespace, pod("acme/unsigned"))
    guard.create(namespace, pod())
    deadline = time.monotonic() + 20
    verdicts: list[Json] = []
    while len(verdicts) < 2 and time.monotonic() < deadline:
        item = guard.get("", "ClusterGatePolicy", f"p0-{namespace}")
        verdicts = item["status"].get("lastVerdicts", [])
        time.sleep(0.1)
    by_outcome = {verdict["outcome"]: verdict for verdict in verdicts}
    assert by_outcome["denied"]["reason"] == "signature.missing"
    assert by_outcome["denied"]["object"] == "Pod/server"
    assert by_outcome["admitted"]["signer"].startswith("sha256:")
    assert by_outcome["admitted"]["namespace"] == namespace
