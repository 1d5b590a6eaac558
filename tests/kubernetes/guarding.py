"""The webhook service as its users run it: a process, in front of a real API server."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from tests.peers.cluster import Cluster, program

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example/oms-gate@sha256:" + "0" * 64
_START_SECONDS = 60
_with_policies: WeakSet[Cluster] = WeakSet()


class Service:
    """A running ``oms-gate serve --webhook``, if an impatient one; a context manager."""

    def __init__(
        self,
        config: Mapping[str, Any],
        folder: Path,
        kubeconfig: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._host = host
        self._port = port
        self._folder = folder
        (folder / "gate.yaml").write_text(json.dumps(config))
        self._arguments = arguments
        self._environment = {"KUBECONFIG": str(kubeconfig), **(environment or {})}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.kubernetes.impatient", "serve", "--webhook"]
        options = ["-c", str(self._folder / "gate.yaml"), "--host", self._host]
        ports = ["--port", str(self._port), "--health-port", "0"]
        with (self._folder / "service.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *options, *ports, *self._arguments],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            opened = re.findall(r":(\d+)", line)
            assert len(opened) == 2, f"it did not start: {line!r}\n{self.log}"
            self.port, self.health_port = map(int, opened)
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return (self._folder / "service.log").read_text()

    def get(self, path: str) -> tuple[int, str]:
        """What the health port says."""
        url = f"http://{self._host}:{self.health_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def review(self, path: str, review: Mapping[str, Any] | str, ca: Path) -> dict[str, Any]:
        """Ask as the API server does; what is answered."""
        request = urllib.request.Request(
            f"https://{self._host}:{self.port}{path}",
            data=(review if isinstance(review, str) else json.dumps(review)).encode(),
            headers={"Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=ca)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            response: dict[str, Any] = json.loads(answer.read())["response"]
            return response

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.get("/readyz")[0] == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"it did not become ready\n{self.log}")


def webhook_configurations(service: Service, ca: Path) -> Iterator[dict[str, Any]]:
    """The chart's own configurations, for a service that listens on this machine."""
    for configuration in rendered("--show-only", "templates/webhooks.yaml"):
        for hook in configuration["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {
                "url": f"https://127.0.0.1:{service.port}{path}",
                "caBundle": base64.b64encode(ca.read_bytes()).decode(),
            }
        yield configuration


def rendered(*arguments: str) -> Iterator[dict[str, Any]]:
    """The objects of the chart."""
    import yaml

    helm = program("helm")
    assert helm is not None
    command = [str(helm), "template", "oms-gate", str(ROOT / "charts/oms-gate")]
    digest = IMAGE.partition("@")[2]
    options = ["-n", "oms-gate-system", "--kube-version", "1.36.0", "--set"]
    done = subprocess.run(
        [*command, *options, f"image.digest={digest}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    yield from filter(None, yaml.safe_load_all(done.stdout))


def install_policies(cluster: Cluster) -> None:
    """Install the chart's CRDs, if they are not there."""
    if cluster in _with_policies:
        return
    _with_policies.add(cluster)
    done = cluster.kubectl("apply", "-f", str(ROOT / "charts/oms-gate/crds"))
    assert done.returncode == 0, done.stderr
    done = cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    assert done.returncode == 0, done.stderr


def service_account(cluster: Cluster, folder: Path) -> Path:
    """The kubeconfig of who the chart lets the gate be: it has no other rights."""
    kinds = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    namespace = "oms-gate-system"
    cluster.kubectl("create", "namespace", namespace)
    objects = [item for item in rendered() if item["kind"] in kinds]
    for item in objects:
        done = cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(item))
        assert done.returncode == 0, done.stderr
    (name,) = (item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount")
    config = json.loads(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": cluster.service_account_token(namespace, name)}
    path = folder / "gate.kubeconfig"
    path.write_text(json.dumps(config))
    return path


class Guard:
    """A cluster with the gate's service."""

    def __init__(self, cluster: Cluster, service: Service) -> None:
        self.cluster = cluster
        self.service = service

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Let the API server ask the service."""
        ca = self.cluster.authority.certificate
        with self.cluster.install_webhooks(*webhook_configurations(self.service, ca)):
            yield

    def kubectl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl(*arguments, **options)

    def create(self, namespace: str, item: Mapping[str, Any], *arguments: str) -> str:
        """What kubectl says when it creates this object: "" where it could, else why not."""
        done = self.kubectl(
            "create", "-n", namespace, "-f", "-", *arguments, input=json.dumps(item)
        )
        return done.stderr if done.returncode else ""

    def warnings(self, namespace: str, item: Mapping[str, Any]) -> str:
        """Create an object; what its user is warned of."""
        done = self.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(item))
        assert done.returncode == 0, done.stderr
        return done.stderr

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any]:
        done = self.kubectl("get", kind, name, "-n", namespace, "-o", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def events(self, namespace: str, least: int = 1) -> list[dict[str, Any]]:
        """The events of a namespace, once there are so many."""
        deadline = time.monotonic() + 10
        while True:
            done = self.kubectl("get", "events", "-n", namespace, "-o", "json")
            items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
            if len(items) >= least or time.monotonic() > deadline:
                return items
            time.sleep(0.1)


@contextmanager
def guarded(
    cluster: Cluster, config: Mapping[str, Any], folder: Path, **environment: str
) -> Iterator[Guard]:
    """A cluster with a running service."""
    credential = cluster.authority.issue(f"webhook-{folder.name}", hosts=["127.0.0.1"])
    files = ("--tls-cert", str(credential.certificate), "--tls-key", str(credential.key))
    kubeconfig = service_account(cluster, folder)
    namespace = {"POD_NAMESPACE": "oms-gate-system"}
    with Service(
        config, folder, kubeconfig, *files, environment={**environment, **namespace}
    ) as service:
        yield Guard(cluster, service)
