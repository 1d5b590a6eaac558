"""The Helm chart: what it makes of its values, and which values it refuses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml

import oms_gate
from oms_gate.config import GateConfig, load_config, load_trust
from tests.kubernetes.chart import (
    CHART,
    KUBERNETES,
    NAMESPACE,
    RELEASE,
    VALUES,
    Object,
    arguments,
    authority,
    containers,
    notes,
    of_kind,
    one,
    pods,
    rendered,
    run,
)
from tests.policy.opa_process import run_opa

EVERY = [None, *VALUES]
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

GATED = {
    ("", "v1"): ["pods", "pods/ephemeralcontainers", "replicationcontrollers"],
    ("apps", "v1"): ["deployments", "statefulsets", "daemonsets", "replicasets"],
    ("batch", "v1"): ["jobs", "cronjobs"],
    ("serving.kserve.io", "*"): ["inferenceservices", "llminferenceservices"],
    ("leaderworkerset.x-k8s.io", "*"): ["leaderworkersets"],
}

# Who may do what with what; with `of`, with these only.
CLUSTER_RULES = [
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["oms-gate.dev"],
        "resources": ["clustergatepolicies", "gatepolicies"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["oms-gate.dev"],
        "resources": ["clustergatepolicies/status", "gatepolicies/status"],
        "verbs": ["update", "patch"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
OWN_CLUSTER_RULE = {
    "apiGroups": ["admissionregistration.k8s.io"],
    "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    "resourceNames": ["oms-gate"],
    "verbs": ["get", "patch"],
}
CONFIG_MAPS_RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
OWN_RULE = {
    "apiGroups": [""],
    "resources": ["secrets"],
    "resourceNames": ["oms-gate-certificate"],
    "verbs": ["get", "update", "patch"],
}


def refusal(*settings: str) -> str:
    """What helm says of values that it must refuse."""
    done = run("template", *RELEASE, *(word for value in settings for word in ("--set", value)))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("values", EVERY)
def test_lint(values: str | None, tmp_path: Path) -> None:
    done = run("lint", "--strict", str(CHART), *KUBERNETES, *arguments(values, tmp_path))
    assert done.returncode == 0, done.stdout


def test_versions_are_those_of_the_gate(tmp_path: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == oms_gate.__version__
    images = {container["image"] for container in containers(rendered(None, tmp_path))}
    assert images == {f"oms-gate:{oms_gate.__version__}"}


@pytest.mark.parametrize("values", EVERY)
def test_pods_are_restricted(values: str | None, tmp_path: Path) -> None:
    objects = rendered(values, tmp_path)
    for spec in pods(objects):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"}.intersection(spec)
    for container in containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("values", EVERY)
def test_only_the_gate_has_a_token(values: str | None, tmp_path: Path) -> None:
    objects = rendered(values, tmp_path)
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    for made in objects:
        if made["kind"] in ("Pod", "Deployment"):
            (spec,) = pods([made])
            assert spec["automountServiceAccountToken"] is (made["kind"] == "Deployment")


def test_the_deployment_is_always_there(tmp_path: Path) -> None:
    objects = rendered(None, tmp_path)
    deployment = one(objects, "Deployment")["spec"]
    labels = deployment["selector"]["matchLabels"]
    pod = deployment["template"]["spec"]
    (gate,) = pod["containers"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert one(objects, "PodDisruptionBudget")["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": labels},
    }
    anti = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert anti[0]["podAffinityTerm"]["labelSelector"]["matchLabels"] == labels
    assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels
    assert pod["priorityClassName"] == "system-cluster-critical"
    quota = one(objects, "ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"]
    assert quota[0]["values"] == ["system-cluster-critical"]
    ports = {port["name"]: port["containerPort"] for port in gate["ports"]}
    assert ports == {"webhook": 8443, "health": 8080}
    assert gate["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert gate["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    wait = gate["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < wait < pod["terminationGracePeriodSeconds"]
    service = one(objects, "Service")["spec"]
    assert service["selector"] == labels
    assert labels.items() <= deployment["template"]["metadata"]["labels"].items()
    test_pod = one(objects, "Pod")["metadata"]["labels"]
    assert not service["selector"].items() <= test_pod.items()


def test_a_changed_configuration_starts_new_pods(tmp_path: Path) -> None:
    def annotation(*more: str) -> Any:
        deployment = one(rendered(None, tmp_path, *more), "Deployment")
        return deployment["spec"]["template"]["metadata"]["annotations"]

    assert annotation() == annotation() != annotation("--set", "config.assurance=declared")


@pytest.mark.parametrize("values", EVERY)
def test_webhooks(values: str | None, tmp_path: Path) -> None:
    objects = rendered(values, tmp_path)
    service = one(objects, "Service")
    for kind, verb in zip(WEBHOOKS, ("mutate", "validate"), strict=True):
        configuration = one(objects, kind)
        (webhook,) = configuration["webhooks"]
        assert configuration["metadata"]["name"] == service["metadata"]["name"]
        assert webhook["name"] == f"{verb}.oms-gate.dev"
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["timeoutSeconds"] == (5 if values == "everything" else 10)
        assert webhook["sideEffects"] == "NoneOnDryRun"
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["admissionReviewVersions"] == ["v1"]
        assert webhook.get("reinvocationPolicy") == ("IfNeeded" if verb == "mutate" else None)
        assert "objectSelector" not in webhook
        asked = webhook["clientConfig"]["service"]
        assert asked["path"] == f"/{verb}"
        assert asked["name"] == service["metadata"]["name"]
        assert asked["namespace"] == NAMESPACE
        assert asked["port"] in [port["port"] for port in service["spec"]["ports"]]
        for rule in webhook["rules"]:
            assert rule["operations"] == ["CREATE", "UPDATE"]
            assert rule["scope"] == "Namespaced"
        gated = {
            (rule["apiGroups"][0], rule["apiVersions"][0]): rule["resources"]
            for rule in webhook["rules"]
        }
        assert gated == GATED


@pytest.mark.parametrize(
    ("values", "exempt"),
    [(None, ["kube-system"]), ("everything", ["kube-system", "calico-system"]), ("little", [])],
)
def test_exemptions_are_the_listed_ones(
    values: str | None, exempt: list[str], tmp_path: Path
) -> None:
    objects = rendered(values, tmp_path)
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    for kind in WEBHOOKS:
        (webhook,) = one(objects, kind)["webhooks"]
        expressions = webhook.get("namespaceSelector", {}).get("matchExpressions", [])
        assert expressions == [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": exempt}
            for _ in exempt[:1]
        ]
        (condition,) = webhook["matchConditions"]
        assert condition["expression"].startswith(f"!(request.namespace == '{NAMESPACE}' && ")
        named = f"serviceAccountName.orValue('') == '{account}'"
        assert condition["expression"].count(named) == 2
        assert "||" not in condition["expression"]
    told = notes(values, tmp_path)
    lines = [line.split()[3] for line in told.splitlines() if line.startswith("  - the namespace")]
    assert lines == exempt
    assert f"of the service account {account}," in told


def test_the_guide_lists_the_exemptions_and_all_values() -> None:
    guide = (CHART / "README.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    (section,) = [part for part in guide.split("\n## ") if part.startswith("What is not gated")]
    for exempt in values["webhook"]["exemptNamespaces"]:
        assert f"`{exempt}`" in section
    assert "service account" in section

    def leaves(node: Object, *path: str) -> list[str]:
        found = []
        for key, value in node.items():
            nested = isinstance(value, dict) and value and key not in ("requests", "limits")
            inner = nested and not {"requests", "limits"} & value.keys()
            found += leaves(value, *path, key) if inner else [".".join((*path, key))]
        return found

    documented = [line.split("`")[1] for line in guide.splitlines() if line.startswith("| `")]
    assert sorted(documented) == sorted(leaves(values))


@pytest.mark.parametrize("values", EVERY)
def test_rights(values: str | None, tmp_path: Path) -> None:
    name = ("--set", "fullnameOverride=oms-gate")
    objects = rendered(values, tmp_path, *name)
    own = values not in ("existing", "cert-manager", "cert-manager-issuer")
    granted = {
        (made["kind"], made["metadata"]["name"]): made["rules"]
        for made in objects
        if made["kind"] in ("Role", "ClusterRole")
    }
    expected = {
        ("ClusterRole", "oms-gate"): CLUSTER_RULES + [OWN_CLUSTER_RULE] * own,
        ("Role", "oms-gate"): [CONFIG_MAPS_RULE] + [OWN_RULE] * own,
    }
    if values == "everything":
        expected["ClusterRole", "oms-gate-configmaps"] = [CONFIG_MAPS_RULE]
    assert granted == expected
    bound = [made for made in objects if made["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    assert {(made["roleRef"]["kind"], made["roleRef"]["name"]) for made in bound} == set(expected)
    for made in bound:
        assert made["subjects"] == [
            {"kind": "ServiceAccount", "name": "oms-gate", "namespace": NAMESPACE}
        ]


def test_its_own_certificate(tmp_path: Path) -> None:
    objects = rendered(None, tmp_path)
    (gate,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert gate["args"] == [
        "serve",
        "--webhook",
        "--config=/etc/oms-gate/gate.yaml",
        "--port=8443",
        "--health-port=8080",
        "--own-certificate=oms-gate-certificate",
        "--webhook-configuration=oms-gate",
        "--service=oms-gate",
    ]
    secret = one(objects, "Secret", "oms-gate-certificate")
    assert not {"data", "stringData"} & secret.keys()
    # Else an upgrade would overwrite what the gate has written.
    for kind in WEBHOOKS:
        assert "caBundle" not in one(objects, kind)["webhooks"][0]["clientConfig"]


@pytest.mark.parametrize("values", ["existing", "cert-manager", "cert-manager-issuer"])
def test_a_certificate_of_others(values: str, tmp_path: Path) -> None:
    objects = rendered(values, tmp_path)
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    (gate,) = pod["containers"]
    assert gate["args"][-2:] == [
        "--tls-cert=/etc/oms-gate-certificate/tls.crt",
        "--tls-key=/etc/oms-gate-certificate/tls.key",
    ]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "certificate"]
    assert of_kind(objects, "Secret") == []
    configurations = [one(objects, kind) for kind in WEBHOOKS]
    if values == "existing":
        assert volume["secret"]["secretName"] == "gate-tls"
        for configuration in configurations:
            bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"]
            assert base64.b64decode(bundle).decode() == authority()
        return
    certificate = one(objects, "Certificate", "oms-gate")["spec"]
    assert volume["secret"]["secretName"] == certificate["secretName"]
    assert certificate["dnsNames"][0] == "oms-gate.oms-gate.svc"
    issuer = certificate["issuerRef"]
    corporate = values == "cert-manager-issuer"
    assert issuer["name"] == ("corporate" if corporate else "oms-gate")
    assert len(of_kind(objects, "Issuer")) == (0 if corporate else 2)
    for configuration in configurations:
        annotations = configuration["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "oms-gate/oms-gate"}


def test_the_configuration_is_one(tmp_path: Path) -> None:
    """The gate reads what is mounted, with the trust beside it."""
    objects = rendered("everything", tmp_path)
    sources = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"][0]["projected"]
    for source in sources["sources"]:
        data = one(objects, "ConfigMap", source["configMap"]["name"])["data"]
        for item in source["configMap"]["items"]:
            path = tmp_path / item["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(data[item["key"]])
    document = yaml.safe_load((tmp_path / "gate.yaml").read_text())
    images = {container["image"] for container in containers(objects)}
    assert {document["kubernetes"]["image"]} == images
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(document))
    config = load_config(tmp_path / "gate.yaml")
    assert list(load_trust(config.trust).keys) == ["acme"]
    assert config.limits.policy_memory_bytes == 268435456
    assert config.publishers[0].models == ("hf://acme/*", "s3://models/**")


def test_sections_of_the_configuration_are_those_of_the_gate() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    sections = set(schema["properties"]["config"]["properties"])
    assert sections == set(GateConfig.model_fields)


def test_credentials(tmp_path: Path) -> None:
    (gate,) = one(rendered("everything", tmp_path), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    names = [source["secretRef"]["name"] for source in gate["envFrom"]]
    assert names == ["hub-token", "s3-keys"]
    environment = {variable["name"]: variable.get("value") for variable in gate["env"]}
    assert environment["HF_ENDPOINT"] == "https://hub.example"
    assert {"HOME", "POD_NAME", "POD_NAMESPACE"} <= environment.keys()


def test_the_network(tmp_path: Path) -> None:
    policy = one(rendered(None, tmp_path), "NetworkPolicy")["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "webhook", "protocol": "TCP"}]}]
    ports = [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]
    assert ports == [[53, 53], [443, 6443]]
    policy = one(rendered("everything", tmp_path), "NetworkPolicy")["spec"]
    (source,) = policy["ingress"][1]["from"]
    labels = source["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": "monitoring"}
    assert policy["ingress"][1]["ports"] == [{"port": "health", "protocol": "TCP"}]
    assert policy["egress"][2]["ports"][0]["port"] == 80


def test_kserve(tmp_path: Path) -> None:
    objects = rendered("everything", tmp_path)
    made = of_kind(objects, "ClusterStorageContainer")
    prefixes = [container["spec"]["supportedUriFormats"] for container in made]
    assert prefixes == [[{"prefix": "hf://"}], [{"prefix": "s3://"}]]
    for storage in made:
        container = storage["spec"]["container"]
        assert container["name"] == "storage-initializer"
        assert container["command"] == ["oms-gate", "storage-initializer"]
        assert container["image"] == next(containers(objects))["image"]
        (variable,) = container["env"]
        assert variable["name"] == "OMS_GATE_CONFIG_FILES"
        for name, content in json.loads(variable["value"]).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        config = load_config(tmp_path / "gate.yaml")
        assert list(load_trust(config.trust).keys) == ["acme"]


def test_opa_answers_beside_the_gate(tmp_path: Path, opa: Path) -> None:
    """OPA's program takes the sidecar's arguments, and the files as a ConfigMap mounts them."""
    objects = rendered("opa", tmp_path)
    config = yaml.safe_load(one(objects, "ConfigMap", "oms-gate")["data"]["gate.yaml"])
    assert config["policy"] == {"server": {"url": "http://127.0.0.1:8181"}}
    (sidecar,) = one(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    *own, ignore, place = sidecar["args"]
    assert own[:3] == ["run", "--server", "--addr=127.0.0.1:8181"]
    assert place == sidecar["volumeMounts"][0]["mountPath"]
    mount = tmp_path / "mount"
    hidden = mount / "..2026_01_01"
    hidden.mkdir(parents=True)
    (mount / "..data").symlink_to(hidden.name)
    for name, content in one(objects, "ConfigMap", "oms-gate-opa")["data"].items():
        (hidden / name).write_text(content)
        (mount / name).symlink_to(f"..data/{name}")
    with run_opa(opa, tmp_path, ignore, str(mount)) as server:
        answer = requests.get(f"{server.url}/v1/data/oms_gate", timeout=10).json()["result"]
    assert answer["publishers"][0]["name"] == "Acme"
    assert "decision" in answer["admission"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.tag=latest", "/image/tag"),
        ("opa.image.tag=latest", "/opa/image/tag"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("image.repository=oms-gate@sha256:1", "/image/repository"),
        ("image.repositry=oms-gate", "'repositry' not allowed"),
        ("replica=2", "'replica' not allowed"),
        ("replicas=0", "/replicas"),
        ("config.publisher=x", "'publisher' not allowed"),
        ("config.mode=warn", "/config/mode"),
        ("config.kubernetes.image=other", "/config/kubernetes/image"),
        ("webhook.failurePolicy=Ignore", "'failurePolicy' not allowed"),
        ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds"),
        ("webhook.exemptNamespaces[0]=*", "/webhook/exemptNamespaces/0"),
        ("certificates.mode=none", "/certificates/mode"),
        ("certificates.mode=existing", "needs certificates.caBundle"),
        ("trust.a\\.key=-----BEGIN PRIVATE KEY-----", "/trust/a.key"),
        ("trust.\\.\\./a=x", "'../a' does not match"),
        ("env[0].name=HOME", "/env/0/name"),
        ("opa.enabled=true", "needs opa.rego"),
    ],
)
def test_refused_values(setting: str, said: str) -> None:
    assert said in refusal(setting)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("opa.enabled=true", "opa.rego.a\\.rego=x", "config.publishers[0].name=A"), "no effect"),
        (("opa.enabled=true", "opa.rego.a\\.rego=x", "config.policy.rego=x"), "exclude each other"),
        (
            (
                "opa.enabled=true",
                "opa.rego.a\\.rego=x",
                "kserve.storageContainers.enabled=true",
            ),
            "cannot reach the OPA server",
        ),
        (
            ("certificates.mode=existing", "certificates.caBundle=-----BEGIN CERTIFICATE-----"),
            "needs certificates.existingSecret",
        ),
    ],
)
def test_values_that_exclude_each_other(settings: tuple[str, ...], said: str) -> None:
    assert said in refusal(*settings)


def test_manifests_are_those_of_the_chart() -> None:
    done = run("template", *RELEASE, "--skip-tests")
    assert done.returncode == 0, done.stderr
    committed = (CHART / "manifests/oms-gate.yaml").read_text()
    assert committed == done.stdout, "run `make manifests`"
