"""The policies' schemas on a real API server: rules accept what is good and say what is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from oms_gate.policy.publishers import (
    CertificateSigner,
    Issuer,
    KeySigner,
    ModelGlob,
    PathGlob,
    Publisher,
    SigstoreSigner,
)
from oms_gate.verdict import Assurance
from tests.kubernetes.policies import (
    CERTIFICATE_SIGNER,
    KEY_SIGNER,
    SIGSTORE_SIGNER,
    Cluster,
    Object,
    answers,
    policy,
    publisher,
    signer,
)

CRDS = Path(__file__).parents[2] / "charts/oms-gate/crds"
INLINE = {"inline": "-----BEGIN PUBLIC KEY-----"}


def trust(**groups: object) -> Object:
    return {"trust": groups}


def selector(**expression: object) -> Object:
    return {"namespaceSelector": {"matchExpressions": [{"key": "team", **expression}]}}


# A spec that is accepted, one that is refused, and what the refusal says.
CASES: dict[str, tuple[Object, Object, str]] = {
    "key-needs-key": (
        signer(KEY_SIGNER),
        signer(KEY_SIGNER, "key"),
        "method key needs 'key': name a public key under trust.keys",
    ),
    "certificate-needs-root": (
        signer(CERTIFICATE_SIGNER),
        signer(CERTIFICATE_SIGNER, "root"),
        "method certificate needs 'root': name trusted certificates under trust.certificates",
    ),
    "sigstore-needs-issuer": (
        signer(SIGSTORE_SIGNER),
        signer(SIGSTORE_SIGNER, "issuer"),
        "method sigstore needs 'issuer': write the URL of the OIDC issuer that vouches for the",
    ),
    "sigstore-one-identity": (
        signer(SIGSTORE_SIGNER, "identity", identityPattern=".*@acme\\.example"),
        signer(SIGSTORE_SIGNER, identityPattern=".*"),
        "give exactly one of 'identity' and 'identityPattern' with method sigstore",
    ),
    "sigstore-some-identity": (
        signer(SIGSTORE_SIGNER, root="acme"),
        signer(SIGSTORE_SIGNER, "identity"),
        "give exactly one of 'identity' and 'identityPattern' with method sigstore",
    ),
    "certificate-one-identity": (
        signer(CERTIFICATE_SIGNER, "identity", anyIdentity=True),
        signer(CERTIFICATE_SIGNER, anyIdentity=True),
        "give exactly one of 'identity', 'identityPattern' and 'anyIdentity: true' with method",
    ),
    "certificate-some-identity": (
        signer(CERTIFICATE_SIGNER, "identity", identityPattern="CN=.*"),
        signer(CERTIFICATE_SIGNER, "identity"),
        "give exactly one of 'identity', 'identityPattern' and 'anyIdentity: true' with method",
    ),
    "key-only-with-key": (
        signer(KEY_SIGNER),
        signer(SIGSTORE_SIGNER, key="acme"),
        "'key' belongs to method key; take it out, or set 'method: key'",
    ),
    "no-root-with-key": (
        signer(CERTIFICATE_SIGNER, allowExpired=True),
        signer(KEY_SIGNER, root="ca"),
        "'root' belongs to methods certificate and sigstore; name a key by 'key'",
    ),
    "no-identity-with-key": (
        signer(CERTIFICATE_SIGNER),
        signer(KEY_SIGNER, identity="a@acme.example"),
        "a bare key has no identity; take 'identity' out, or set another method",
    ),
    "no-pattern-with-key": (
        signer(SIGSTORE_SIGNER, "identity", identityPattern="[a-z]+@acme\\.example"),
        signer(KEY_SIGNER, identityPattern=".*"),
        "a bare key has no identity; take 'identityPattern' out, or set another method",
    ),
    "any-identity-only-with-certificate": (
        signer(CERTIFICATE_SIGNER, "identity", anyIdentity=True),
        signer(SIGSTORE_SIGNER, anyIdentity=True),
        "'anyIdentity' belongs to method certificate; take it out",
    ),
    "expired-only-with-certificate": (
        signer(CERTIFICATE_SIGNER, allowExpired=True),
        signer(SIGSTORE_SIGNER, allowExpired=True),
        "'allowExpired' belongs to method certificate; take it out",
    ),
    "issuer-only-with-sigstore": (
        signer(SIGSTORE_SIGNER),
        signer(CERTIFICATE_SIGNER, issuer="https://acme.example"),
        "'issuer' belongs to method sigstore; take it out, or set 'method: sigstore'",
    ),
    "pattern-is-one": (
        signer(SIGSTORE_SIGNER, "identity", identityPattern="(?i:a)@acme\\.example"),
        signer(SIGSTORE_SIGNER, "identity", identityPattern="(a@acme"),
        "write a regular expression (RE2) in identityPattern",
    ),
    "issuer-is-one": (
        signer(SIGSTORE_SIGNER, issuer="http://issuer.test/realms/acme"),
        signer(SIGSTORE_SIGNER, issuer="accounts.google.com"),
        "this can be no issuer; write the URL of whoever vouches for the identity, such as",
    ),
    "wildcards": (
        publisher(models=["s3://bucket/**"]),
        publisher(models=["hf://acme/[a-z]"]),
        "only '*' (within a part) and '**' (across parts) are wildcards; take out ? [ ] { } and \\",
    ),
    "models-are-named": (
        publisher(models=["/models/**"]),
        publisher(models=["acme"]),
        "this names no models; write a URL such as hf://organization/*, the shorthand",
    ),
    "models-can-match": (
        publisher(models=["file:///models/x"]),
        publisher(models=["hf://acme/"]),
        "this can match no model; take out empty, '.' and '..' parts and a slash at the end, and",
    ),
    "no-revision": (
        publisher(models=["s3://bucket/a@b"]),
        publisher(models=["acme/x@main"]),
        "names of the Hub have no revision here; take out '@' and what follows it",
    ),
    "files-can-match": (
        publisher(allowUnsigned=["samples/*.json"], allowIgnored=["**/x"]),
        publisher(allowIgnored=["../x"]),
        "this can match no file; write a path below the model, or folder/** for all that is in a",
    ),
    "known-formats": (
        publisher(allowFormats=["pickle", "code"]),
        publisher(allowFormats=["pikle"]),
        'supported values: "pickle", "archive", "code", "keras", "tensorflow"',
    ),
    "one-source": (
        trust(keys={"acme": INLINE}),
        trust(keys={"acme": {**INLINE, "configMap": {"name": "a", "key": "b"}}}),
        "give exactly one of 'inline' and 'configMap'",
    ),
    "some-source": (
        trust(certificates={"ca": {"configMap": {"name": "roots", "key": "ca.pem"}}}),
        trust(certificates={"ca": {}}),
        "give exactly one of 'inline' and 'configMap'",
    ),
    "no-private-key": (
        trust(timestampAuthorities={"tsa": INLINE}),
        trust(keys={"acme": {"inline": "-----BEGIN EC PRIVATE KEY-----"}}),
        "this is a private key; write the public one here, and replace the key, which others can",
    ),
    "public-good-is-taken": (
        trust(sigstore={"acme": INLINE}),
        trust(sigstore={"public-good": INLINE}),
        "the name 'public-good' is that of the public Sigstore; choose another",
    ),
    "names-of-roots": (
        trust(keys={"the key of acme": INLINE}),
        trust(keys={" acme": INLINE}),
        "write names of trust roots without white space around them and without control",
    ),
    "mode": ({"mode": "enforce"}, {"mode": "warn"}, "spec.mode: Unsupported value"),
    "assurance": ({"assurance": "declared"}, {"assurance": "bytes"}, "Unsupported value"),
    "rule-assurance": (publisher(assurance="bytes"), publisher(assurance="all"), "Unsupported"),
    "any-identity-is-true": (
        signer(CERTIFICATE_SIGNER, "identity", anyIdentity=True),
        signer(CERTIFICATE_SIGNER, "identity", anyIdentity=False),
        "Unsupported value",
    ),
    "some-models": (publisher(), publisher(models=[]), "should have at least 1 items"),
    "some-signers": (publisher(), publisher(signers=[]), "should have at least 1 items"),
    "not-too-many": (
        publisher(models=["acme/*"] * 64),
        publisher(models=["acme/*"] * 65),
        "must have at most 64 items",
    ),
    "plain-text": (publisher(name="Acme & Söhne"), publisher(name="Acme\u202e"), "should match"),
}

# What only a policy of the cluster can say.
CLUSTER_CASES: dict[str, tuple[Object, Object, str]] = {
    "annotate": ({"mode": "annotate"}, {"mode": "Annotate"}, "Unsupported value"),
    "values-of-in": (
        selector(operator="In", values=["a"]),
        selector(operator="In"),
        "In and NotIn need 'values'; with Exists and DoesNotExist take them out",
    ),
    "values-of-exists": (
        selector(operator="Exists"),
        selector(operator="Exists", values=["a"]),
        "In and NotIn need 'values'; with Exists and DoesNotExist take them out",
    ),
    "delegate": (
        {"delegate": {"models": ["acme/*"]}},
        {"delegate": {"models": ["acme"]}},
        "this names no models",
    ),
}

EVERY = [
    *[(kind, name) for kind in ("ClusterGatePolicy", "GatePolicy") for name in CASES],
    *[("ClusterGatePolicy", name) for name in CLUSTER_CASES],
]

PREFIXES = ["", "hf://", "s3://", "file://", "file:///", "/", "HF://", "org/", "org/a://", "@org/"]
RESTS = ["a", "a/b", "a//b", "a/", "./a", "a/../b", "..a/b", "a/...", "**", "a@b", "a?", "a\\b"]
GLOBS = [prefix + rest for prefix, rest in itertools.product(PREFIXES, RESTS)]
GLOBS += [
    "",
    " acme/x",
    "acme/x\u00a0",
    "acme/x\u200b",
    "acme/\u2028x",
    "acme/ x",
    "acme/日本",
    ".a/b",
]
ISSUERS = ["https://a.example", "https://a.example/", "http://a/b%20c", "https://", "ftp://a"]
ISSUERS += ["https://a.example?x", "https://a/#b", "https://a/*", "https://a b", "HTTPS://a"]


def crd(name: str) -> Any:
    return yaml.safe_load((CRDS / f"{name}.yaml").read_text())


def schema(name: str) -> Any:
    return crd(name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def rules(node: object) -> Iterator[str]:
    """The messages of all CEL rules below a node of a schema."""
    if isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations", ()):
            yield rule["message"]
        for value in node.values():
            yield from rules(value)


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The cluster, with the schemas of this checkout."""
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    assert done.returncode == 0, done.stderr
    done = cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    assert done.returncode == 0, done.stderr
    return cluster


@pytest.fixture(scope="module")
def answered(installed: Cluster) -> dict[str, str]:
    """What the API server says of every case."""
    objects = {}
    for kind, name in EVERY:
        good, bad, _ = {**CASES, **CLUSTER_CASES}[name]
        objects[f"{kind} {name} good"] = policy(kind, good)
        objects[f"{kind} {name} bad"] = policy(kind, bad)
    objects["GatePolicy annotate"] = policy("GatePolicy", {"mode": "annotate"})
    return answers(installed, objects)


@pytest.mark.parametrize(("kind", "name"), EVERY, ids=lambda value: str(value))
def test_a_rule(answered: dict[str, str], kind: str, name: str) -> None:
    assert answered[f"{kind} {name} good"] == ""
    assert {**CASES, **CLUSTER_CASES}[name][2] in answered[f"{kind} {name} bad"]


def test_a_namespace_cannot_loosen(answered: dict[str, str]) -> None:
    assert 'supported values: "enforce"' in answered["GatePolicy annotate"]


def test_every_rule_has_a_case() -> None:
    said = tuple(message for _, _, message in (*CASES.values(), *CLUSTER_CASES.values()))
    for name in ("clustergatepolicies", "gatepolicies"):
        assert [rule for rule in rules(schema(name)) if not rule.startswith(said)] == []


def test_globs_and_issuers_are_those_of_gate_yaml(installed: Cluster) -> None:
    kinds: dict[str, tuple[TypeAdapter[str], list[str], Callable[[str], Object]]] = {
        "model": (TypeAdapter(ModelGlob), GLOBS, lambda text: publisher(models=[text])),
        "file": (TypeAdapter(PathGlob), GLOBS, lambda text: publisher(allowUnsigned=[text])),
        "issuer": (TypeAdapter(Issuer), ISSUERS, lambda text: signer(SIGSTORE_SIGNER, issuer=text)),
    }
    expected = {}
    objects = {}
    for kind, (adapter, texts, make) in kinds.items():
        for text in texts:
            try:
                adapter.validate_python(text)
            except ValidationError:
                expected[f"{kind} {text}"] = False
            else:
                expected[f"{kind} {text}"] = True
            objects[f"{kind} {text}"] = policy("GatePolicy", make(text))
    got = {key: answer == "" for key, answer in answers(installed, objects).items()}
    assert got == expected


def test_fields_are_those_of_gate_yaml() -> None:
    """A publisher rule can be moved from gate.yaml into a policy, its keys in camelCase."""

    def camel(names: Iterable[str]) -> set[str]:
        words = [name.split("_") for name in names]
        return {first + "".join(map(str.title, rest)) for first, *rest in words}

    rule = schema("gatepolicies")["spec"]["properties"]["publishers"]["items"]["properties"]
    assert set(rule) == camel(Publisher.model_fields)
    signers = (SigstoreSigner, CertificateSigner, KeySigner)
    fields = {field for model in signers for field in model.model_fields}
    assert set(rule["signers"]["items"]["properties"]) == camel(fields)
    assert set(rule["assurance"]["enum"]) == set(Assurance)


def test_both_kinds_have_the_same_rules() -> None:
    of_cluster, of_namespace = schema("clustergatepolicies"), schema("gatepolicies")
    assert of_cluster["status"] == of_namespace["status"]
    specs = of_cluster["spec"]["properties"], of_namespace["spec"]["properties"]
    assert specs[0]["publishers"] == specs[1]["publishers"]
    assert specs[0]["assurance"] == specs[1]["assurance"]
    assert set(specs[0]) - set(specs[1]) == {"namespaceSelector", "delegate"}


def test_unknown_fields_are_mistakes(installed: Cluster) -> None:
    document = yaml.safe_dump(policy("GatePolicy", {"publisher": []}) | {"metadata": {"name": "a"}})
    done = installed.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", input=document
    )
    assert done.returncode == 1
    assert 'unknown field "spec.publisher"' in done.stderr


def test_the_status_is_a_subresource(installed: Cluster) -> None:
    """Who may write policies cannot write what the gate says of them, and the gate not the spec."""
    made = policy("ClusterGatePolicy", {"mode": "enforce"}) | {"metadata": {"name": "status-of-it"}}
    status = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "InForce",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
        "lastVerdicts": [
            {
                "model": "hf://acme/x@1",
                "namespace": "default",
                "object": "Deployment/x",
                "outcome": "denied",
                "reason": "signature.missing",
                "time": "2026-01-01T00:00:00Z",
            }
        ],
    }
    text = yaml.safe_dump(made | {"status": status})
    patch = yaml.safe_dump({"spec": {"mode": "annotate"}, "status": status})
    where = ("clustergatepolicy", "status-of-it")
    try:
        assert installed.kubectl("create", "-f", "-", input=text).returncode == 0
        shown = installed.kubectl("get", *where, "-o", "jsonpath={.spec.mode} {.status}")
        assert shown.stdout == "enforce "
        done = installed.kubectl(
            "patch", *where, "--subresource=status", "--type=merge", "-p", patch
        )
        assert done.returncode == 0, done.stderr
        shown = installed.kubectl("get", "cgp", "status-of-it")
        lines = [line.split() for line in shown.stdout.splitlines()]
        assert lines[0] == ["NAME", "MODE", "READY", "AGE"]
        assert lines[1][:3] == ["status-of-it", "enforce", "True"]
        listed = installed.kubectl("get", "oms-gate", "--all-namespaces", "-o", "name")
        assert "status-of-it" in listed.stdout
    finally:
        installed.kubectl("delete", *where, "--ignore-not-found")
