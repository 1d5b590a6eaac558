"""The examples for clusters are what the API server and the gate take them for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from oms_gate.kubernetes.workloads import at, workload_of
from tests.kubernetes.guarding import install_policies
from tests.kubernetes.pods import injected
from tests.peers.cluster import Cluster

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/kubernetes").glob("*.yaml"))
UNCHANGED = ("init-container.yaml", "policies.yaml")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted(cluster: Cluster, path: Path) -> None:
    install_policies(cluster)
    namespace = cluster.namespace()
    arguments = ("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-f")
    done = cluster.kubectl(*arguments, str(path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.name not in UNCHANGED], ids=lambda path: path.stem
)
def test_the_gate_fetches_the_model_of_an_example(path: Path) -> None:
    item: dict[str, Any] = yaml.safe_load(path.read_text())
    workload = workload_of(item["apiVersion"].partition("/")[0], item["kind"], item)
    assert workload is not None
    (place,) = workload.templates
    template = at(item, place)
    made = injected(template["spec"], template["metadata"].get("annotations"))
    assert not made.problems
    assert made.pod["initContainers"][0]["name"] == "oms-gate-0"
