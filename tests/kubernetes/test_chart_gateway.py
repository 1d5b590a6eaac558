"""The Helm chart's gateway: what it is made of, and that it is not taken for the webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from oms_gate.config import load_config
from tests.kubernetes.chart import NAMESPACE, Object, one, rendered
from tests.peers.cluster import Cluster

NAME = "oms-gate-gateway"
ENABLED = ("--set", "gateway.enabled=true")
SECURE = (*ENABLED, "--set", "gateway.tls.existingSecret=gateway-tls")


def pod(objects: list[Object]) -> Any:
    return one(objects, "Deployment", NAME)["spec"]["template"]["spec"]


def test_there_is_none_unless_it_is_wanted(tmp_path: Path) -> None:
    assert not [made for made in rendered(None, tmp_path) if made["metadata"]["name"] == NAME]


def test_it_is_restricted_and_has_no_token(tmp_path: Path) -> None:
    objects = rendered(None, tmp_path, *ENABLED)
    webhook = one(objects, "Deployment", "oms-gate")["spec"]["template"]["spec"]
    spec = pod(objects)
    assert spec["securityContext"] == webhook["securityContext"]
    (gateway,) = spec["containers"]
    assert gateway["securityContext"] == webhook["containers"][0]["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == NAME
    bound = [made for made in objects if made["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    assert NAME not in {made["subjects"][0]["name"] for made in bound}


def test_requests_for_one_do_not_reach_the_other(tmp_path: Path) -> None:
    objects = rendered(None, tmp_path, *ENABLED)
    for kind in ("Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"):
        own, other = one(objects, kind, NAME)["spec"], one(objects, kind, "oms-gate")["spec"]
        for key in ("selector", "podSelector"):
            if key in own:
                assert own[key] != other[key]
    service = one(objects, "Service", "oms-gate")["spec"]["selector"]
    labels = one(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert not service.items() <= labels.items()
    assert one(objects, "Service", NAME)["spec"]["selector"].items() <= labels.items()
    (rule,) = one(objects, "NetworkPolicy", NAME)["spec"]["ingress"]
    assert rule == {"ports": [{"port": "gateway", "protocol": "TCP"}]}


@pytest.mark.parametrize(("options", "port"), [(ENABLED, 80), (SECURE, 443)])
def test_where_it_is_served(tmp_path: Path, options: tuple[str, ...], port: int) -> None:
    objects = rendered(None, tmp_path, *options)
    (gateway,) = pod(objects)["containers"]
    assert one(objects, "Service", NAME)["spec"]["ports"][0]["port"] == port
    assert ("--tls-cert=/etc/oms-gate-certificate/tls.crt" in gateway["args"]) is (port == 443)
    assert gateway["args"][:3] == ["serve", "--config=/etc/oms-gate/gate.yaml", "--host=0.0.0.0"]
    ports = {found["name"]: found["containerPort"] for found in gateway["ports"]}
    for name, option in (("gateway", "port"), ("health", "health-port")):
        assert f"--{option}={ports[name]}" in gateway["args"]
    (variable,) = [found for found in gateway["env"] if found["name"] == "OMS_GATE_VIA"]
    assert variable["value"] == f"{NAME}.{NAMESPACE}"


def test_what_it_keeps_fits_in_its_volume(tmp_path: Path) -> None:
    objects = rendered(None, tmp_path, *ENABLED, "--set", "gateway.cacheGiB=10")
    spec = pod(objects)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["cache"]["emptyDir"]["sizeLimit"] == "10Gi"
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert f"--cache={mounts['cache']}/models" in spec["containers"][0]["args"]
    (tmp_path / "gate.yaml").write_text(one(objects, "ConfigMap", "oms-gate")["data"]["gate.yaml"])
    config = load_config(tmp_path / "gate.yaml")
    assert 7.9 < config.gateway.cache_bytes / 1024**3 <= 8
    drain = config.service.drain_seconds
    wait = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain + wait < spec["terminationGracePeriodSeconds"]
    assert "gateway" not in yaml.safe_load(
        one(rendered(None, tmp_path), "ConfigMap", "oms-gate")["data"]["gate.yaml"]
    )


def test_opa_answers_beside_it(tmp_path: Path) -> None:
    objects = rendered("opa", tmp_path, *ENABLED)
    webhook = one(objects, "Deployment", "oms-gate")["spec"]["template"]["spec"]
    assert pod(objects)["initContainers"] == webhook["initContainers"]
    assert [volume for volume in pod(objects)["volumes"] if volume["name"] == "opa"]


def test_an_api_server_takes_it(cluster: Cluster, tmp_path: Path) -> None:
    namespace = cluster.namespace()
    objects = [
        made
        for made in rendered("everything", tmp_path, *SECURE, "--namespace", namespace)
        if made["metadata"]["name"] == "gate-gateway" and made["kind"] != "ServiceMonitor"
    ]
    assert {made["kind"] for made in objects} == {
        *("ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy")
    }
    done = cluster.kubectl(
        *("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-"),
        input=yaml.safe_dump_all(objects),
    )
    assert done.returncode == 0, done.stderr
