"""What the chart makes, on a real API server: it is accepted, and it gates what it must."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from tests.kubernetes.chart import (
    CHART,
    NAMESPACE,
    VALUES,
    Object,
    of_kind,
    one,
    pods,
    rendered,
)
from tests.kubernetes.policies import Cluster

WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
OTHERS = "others-of-the-chart"
REFUSED = 'failed calling webhook "mutate.oms-gate.dev"'
GATED = {
    "Pod": "v1",
    "ReplicationController": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}


def apply(cluster: Cluster, objects: list[Object], *more: str) -> CompletedProcess[str]:
    """Apply the objects as they are, with every unknown field a mistake."""
    text = yaml.safe_dump_all(objects)
    return cluster.kubectl(
        "apply", "--server-side", "--validate=strict", *more, "-f", "-", input=text
    )


def workload(kind: str, account: str, namespace: str) -> Object:
    """An object of the kind, that is or makes pods of a service account."""
    labels = {"app": "x"}
    pod: Object = {
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "containers": [{"name": "x", "image": "x.example/x:1"}],
        },
    }
    made: Object = {"apiVersion": GATED[kind], "kind": kind}
    metadata: Object = {"name": "x", "namespace": namespace}
    spec: Object = {"template": pod}
    if kind == "Pod":
        return {**made, "metadata": metadata | {"labels": labels}, "spec": pod["spec"]}
    if kind in ("Job", "CronJob"):
        pod["spec"]["restartPolicy"] = "Never"
    elif kind == "ReplicationController":
        spec["selector"] = labels
    else:
        spec["selector"] = {"matchLabels": labels}
    if kind == "StatefulSet":
        spec["serviceName"] = "x"
    if kind == "CronJob":
        spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    return {**made, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Cluster:
    """The cluster, with the release's namespace, restricted, and one of others."""
    (made,) = yaml.safe_load_all((CHART / "manifests/namespace.yaml").read_text())
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHERS}}
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }
        for name, namespace in [
            ("oms-gate", NAMESPACE),
            ("gate", NAMESPACE),
            ("default", NAMESPACE),
            ("oms-gate", OTHERS),
            ("default", "kube-system"),
        ]
    ]
    done = apply(cluster, [made, other, *accounts], "--force-conflicts")
    assert done.returncode == 0, done.stderr
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds"))
    assert done.returncode == 0, done.stderr
    return cluster


@pytest.mark.parametrize("values", [None, *VALUES])
def test_all_objects_are_accepted(values: str | None, namespaces: Cluster, tmp_path: Path) -> None:
    objects = rendered(values, tmp_path)
    done = apply(namespaces, objects, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(objects)


@pytest.mark.parametrize("values", [None, *VALUES])
def test_pods_are_restricted_as_the_api_server_sees_it(
    values: str | None, namespaces: Cluster, tmp_path: Path
) -> None:
    made: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"restricted-{number}", "namespace": NAMESPACE},
            "spec": spec,
        }
        for number, spec in enumerate(pods(rendered(values, tmp_path)))
    ]
    done = apply(namespaces, made, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    made[0]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = apply(namespaces, made, "--dry-run=server")
    assert 'violates PodSecurity "restricted' in done.stderr


def test_an_overlay_replaces_image_and_configuration(namespaces: Cluster, tmp_path: Path) -> None:
    """As README.md of the chart shows it."""
    (tmp_path / "base").mkdir()
    for part in ("kustomization.yaml", "crds", "manifests"):
        place = CHART / part
        copies = sorted(place.iterdir()) if place.is_dir() else [place]
        for copy in copies:
            target = tmp_path / "base" / copy.relative_to(CHART)
            target.parent.mkdir(exist_ok=True)
            target.write_text(copy.read_text())
    guide = (CHART / "README.md").read_text()
    overlay = guide.split("# kustomization.yaml\n")[1].split("```")[0]
    digest = "sha256:" + "1" * 64
    overlay = overlay.replace("oms-gate/charts/oms-gate", "base").replace("sha256:...", digest)
    (tmp_path / "kustomization.yaml").write_text(overlay)
    (tmp_path / "gate.yaml").write_text("mode: annotate\n")
    done = namespaces.kubectl("kustomize", str(tmp_path))
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"registry.example.com/oms-gate@{digest}"
    (config,) = of_kind(objects, "ConfigMap")
    assert config["data"] == {"gate.yaml": "mode: annotate\n"}
    mounted = pod["volumes"][0]["projected"]["sources"][0]["configMap"]["name"]
    assert mounted == config["metadata"]["name"]
    done = apply(namespaces, objects, "--dry-run=server", "--force-conflicts")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def gated(namespaces: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with the webhooks of a gate that does not answer."""
    objects = rendered(None, tmp_path_factory.mktemp("gated"))
    made = [one(objects, kind) for kind in WEBHOOKS] + [one(objects, "Service")]
    try:
        done = apply(namespaces, made, "--force-conflicts")
        assert done.returncode == 0, done.stderr
        for _ in range(100):  # The API server takes them up a moment later.
            done = apply(namespaces, [workload("Pod", "oms-gate", OTHERS)], "--dry-run=server")
            if REFUSED in done.stderr:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"the webhooks are not asked: {done.stdout}{done.stderr}")
        yield namespaces
    finally:
        for kind in WEBHOOKS:
            namespaces.kubectl("delete", kind, "oms-gate", "--ignore-not-found")


@pytest.mark.parametrize("kind", GATED)
def test_everything_else_waits_for_the_gate(kind: str, gated: Cluster) -> None:
    """Also under the gate's own names, where only one of both is the gate's."""
    for account, namespace in [("oms-gate", OTHERS), ("default", NAMESPACE)]:
        done = apply(gated, [workload(kind, account, namespace)], "--dry-run=server")
        assert REFUSED in done.stderr, done.stderr + done.stdout


@pytest.mark.parametrize("kind", GATED)
def test_the_gate_itself_does_not_wait(kind: str, gated: Cluster, tmp_path: Path) -> None:
    made = workload(kind, "oms-gate", NAMESPACE)
    if kind == "Pod":
        (made["spec"],) = pods([one(rendered(None, tmp_path), "Deployment")])
    done = apply(gated, [made], "--dry-run=server")
    exempt = kind in ("Pod", "Deployment", "ReplicaSet")
    assert (REFUSED in done.stderr) is not exempt, done.stderr
    assert (done.returncode == 0) is exempt, done.stderr


def test_an_exempt_namespace_does_not_wait(gated: Cluster) -> None:
    done = apply(gated, [workload("Deployment", "default", "kube-system")], "--dry-run=server")
    assert done.returncode == 0, done.stderr


def test_a_container_added_to_a_pod_of_the_gate_waits(gated: Cluster, tmp_path: Path) -> None:
    pod = workload("Pod", "oms-gate", NAMESPACE)
    pod["metadata"]["name"] = "debugged"
    (pod["spec"],) = pods([one(rendered(None, tmp_path), "Deployment")])
    pod["spec"].pop("priorityClassName")
    try:
        done = apply(gated, [pod])
        assert done.returncode == 0, done.stderr
        extra = {**pod["spec"]["containers"][0], "name": "debugger"}
        kept = {key: extra[key] for key in ("name", "image", "securityContext")}
        patch = json.dumps({"spec": {"ephemeralContainers": [kept]}})
        where = ("pod", "debugged", "--namespace", NAMESPACE, "--subresource=ephemeralcontainers")
        done = gated.kubectl("patch", *where, "--type=strategic", "-p", patch)
        assert REFUSED in done.stderr, done.stderr
    finally:
        gated.kubectl(
            "delete",
            "pod",
            "debugged",
            "--namespace",
            NAMESPACE,
            "--force",
            "--wait=false",
            "--ignore-not-found",
        )
