"""From a pod to its model: what admission makes of a pod is run as a kubelet would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.delivery.pulling import signed, tree
from tests.kubernetes.guarding import ROOT, Guard
from tests.kubernetes.pods import container, of
from tests.kubernetes.test_admission import kserve_pod, pod
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

Json = dict[str, Any]
UNSIGNED = {"docs/guide.md": b"nobody signed this"}


class Node:
    """Runs containers of a pod as processes; volumes are folders."""

    def __init__(self, folder: Path, spec: Json, **environment: str) -> None:
        self._folder = folder
        self._spec = spec
        self._environment = environment

    def volume(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir(exist_ok=True)
        return place

    def run(self, name: str, program: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a container: program stands for its image's entry point."""
        one = of(self._spec, name)
        words = [*program, *one.get("command", []), *one.get("args", [])]
        environment = {entry["name"]: entry["value"] for entry in one.get("env", [])}
        for mount in one.get("volumeMounts", []):
            if mount["name"].startswith("kube-api-access"):
                continue
            place = str(self.volume(mount["name"]))
            words = [word.replace(mount["mountPath"], place) for word in words]
            for key, value in environment.items():
                environment[key] = value.replace(mount["mountPath"], place)
        return subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, **self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


GATE = [sys.executable, "-m", "oms_gate"]


@pytest.fixture
def namespace(guard: Guard) -> str:
    return guard.cluster.namespace()


def admitted(guard: Guard, namespace: str, item: Json) -> Json:
    assert guard.create(namespace, item) == ""
    made: Json = guard.get(namespace, "pod", item["metadata"]["name"])["spec"]
    return made


def put(s3: SeaweedFS, bucket: str, files: Mapping[str, Any]) -> None:
    for path, content in files.items():
        s3.put(bucket, f"acme/x/{path}", content)


def test_a_server_finds_the_signed_files_of_the_hub_and_no_others(
    guard: Guard, namespace: str, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    hub.create("acme/good", files={**files, **UNSIGNED})
    node = Node(tmp_path, admitted(guard, namespace, pod()), HF_ENDPOINT=hub.endpoint)
    done = node.run("oms-gate-0", GATE)
    assert done.returncode == 0, done.stderr
    commit = hub.head("acme/good")
    held = node.volume("oms-gate-hub") / "models--acme--good"
    assert tree(held / "snapshots" / commit).keys() - {"oms-gate.verdict.json"} == set(files)
    # The server, with the environment that it was given, and a Hub that is not there for it.
    hub.clear()
    look = (
        "import huggingface_hub as h, sys; f = h.snapshot_download(sys.argv[2]);"
        "print(f); print(open(h.hf_hub_download(sys.argv[2], 'config.json')).read())"
    )
    found = node.run("server", [sys.executable, "-c", look])
    assert found.returncode == 0, found.stderr
    assert commit in found.stdout
    assert "model_type" in found.stdout
    assert not hub.requests


def test_what_changed_after_admission_does_not_arrive(
    guard: Guard, namespace: str, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    hub.create("acme/good", files=signed(key))
    node = Node(tmp_path, admitted(guard, namespace, pod()), HF_ENDPOINT=hub.endpoint)
    evil = models.FILES["model.safetensors"][::-1]
    hub.replace_under_commit("acme/good", "model.safetensors", evil)
    done = node.run("oms-gate-0", GATE)
    assert done.returncode == 1
    assert "file.changed" in done.stdout + done.stderr
    assert not [path for path in node.volume("oms-gate-hub").rglob("*") if path.is_file()]


@pytest.mark.parametrize("image", ["tritonserver:1", "vllm/vllm-openai:v1"])
def test_a_server_finds_the_signed_files_of_s3(
    guard: Guard,
    namespace: str,
    s3: SeaweedFS,
    s3_bucket: str,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    image: str,
) -> None:
    files = signed(key)
    put(s3, s3_bucket, {**files, **UNSIGNED})
    option = "--model-repository" if "triton" in image else "--model"
    server = container(image=image, args=[option, f"s3://{s3_bucket}/acme/x"])
    item = pod()
    item["spec"]["containers"] = [server]
    spec = admitted(guard, namespace, item)
    node = Node(tmp_path, spec, **s3.environment())
    done = node.run("oms-gate-0", GATE)
    assert done.returncode == 0, done.stderr
    assert tree(node.volume("oms-gate-0")) == files
    assert of(spec, "server")["args"][1] == "/oms-gate/models/x"


def test_a_new_signature_in_s3_does_not_arrive(
    guard: Guard,
    namespace: str,
    s3: SeaweedFS,
    s3_bucket: str,
    key: ec.EllipticCurvePrivateKey,
    stranger: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
) -> None:
    put(s3, s3_bucket, signed(key))
    spec = admitted(guard, namespace, pod(f"s3://{s3_bucket}/acme/x"))
    put(s3, s3_bucket, signed(stranger, {**models.FILES, "config.json": b"{}"}))
    node = Node(tmp_path, spec, **s3.environment())
    done = node.run("oms-gate-0", GATE)
    assert done.returncode == 1
    assert "signature.not-pinned" in done.stdout + done.stderr
    assert not tree(node.volume("oms-gate-0"))


def test_a_downloader_finds_its_folder_filled(
    guard: Guard, namespace: str, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    hub.create("acme/good", files={**files, **UNSIGNED})
    mount = {"name": "models", "mountPath": "/models"}
    download = container(
        "download",
        "python",
        args=["download", "acme/good", "--local-dir", "/models"],
        command=["hf"],
        volumeMounts=[mount],
    )
    server = container(args=["/models"], volumeMounts=[mount])
    item = pod(initContainers=[download], volumes=[{"name": "models", "emptyDir": {}}])
    item["spec"]["containers"] = [server]
    node = Node(tmp_path, admitted(guard, namespace, item), HF_ENDPOINT=hub.endpoint)
    assert node.run("oms-gate-0", GATE).returncode == 0
    assert tree(node.volume("models")) == files
    hub.clear()
    done = node.run("download", ["env", f"PATH={Path(sys.executable).parent}"])
    assert done.returncode == 0, done.stderr
    assert tree(node.volume("models")) == files
    assert not hub.requests


def test_kserves_pod_gets_its_model(
    guard: Guard, namespace: str, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    hub.create("acme/good", files=files)
    spec = admitted(guard, namespace, kserve_pod("hf://acme/good"))
    node = Node(tmp_path, spec, HF_ENDPOINT=hub.endpoint)
    done = node.run("storage-initializer", GATE)
    assert done.returncode == 0, done.stderr
    assert tree(node.volume("kserve-provision-location")) == files
