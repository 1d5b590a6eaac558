"""A real Kubernetes API server for the tests: kube-apiserver over etcd, and kubectl.

with Cluster() as cluster:
    namespace = cluster.namespace()
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pod))
    with cluster.install_webhooks(configuration):      # in effect from here
        cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(other))
    cluster.audit_events(namespace=namespace, resource="pods")

There are no controllers and no nodes: a deployment makes no pods, a pod does not start, a deleted
namespace stays, and the roles that gather others (admin, edit, view) are empty. The address of a
Service is one of this machine (see `SERVICES`), so whoever listens there is the Service, also to
the API server that calls a webhook by its Service.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import kubernetes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers.authority import Authority, write_key

# Where the API server takes the addresses of Services from: all of them lead to this machine.
SERVICES: Final = "127.77.0.0/16"
PROGRAMS: Final = ("etcd", "kube-apiserver", "kubectl")

_CRDS = Path(__file__).parent / "kubernetes" / "crds"
_START_SECONDS = 60.0
_NOTICE_SECONDS = 30.0
_PAUSE_SECONDS = 0.02
_ETCD = "unix://etcd:0"  # a socket in the working directory, so no port can be taken
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}
_serial = count(1)


class Cluster:
    """The API server; a context manager that starts it, and kills it in the end.

    place: where its folder is made; None for where temporary ones are. `authority` issues the
    certificates of its users, and may issue those of webhooks.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._clients: dict[Path, Any] = {}
        self._port: socket.socket | None = None
        self.kubeconfig: Path
        self.authority: Authority

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The API server's URL; `authority.certificate` vouches for it."""
        assert self._port is not None
        return f"https://127.0.0.1:{self._port.getsockname()[1]}"

    @property
    def pids(self) -> list[int]:
        """The processes of etcd and kube-apiserver."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Start etcd and the API server, wait until it is ready, and install the CRDs.

        Raises:
            RuntimeError: a program is missing, ended or does not answer; with its log's end.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="cluster-", dir=self._place)
        try:
            self._launch(Path(self._folder.name))
            self._install_crds()
        except BaseException:
            self.stop()
            raise

    def _launch(self, folder: Path) -> None:
        # Bound but not listening: it keeps the port free for kube-apiserver, which shares it.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self._run(
            folder,
            "etcd",
            "--data-dir=data",
            "--unsafe-no-fsync",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=unix://peer:0",
            "--initial-advertise-peer-urls=unix://peer:0",
            "--initial-cluster=default=unix://peer:0",
        )
        self.authority = Authority(folder)
        server = self.authority.issue("server", hosts=["127.0.0.1", "localhost"])
        self.kubeconfig = self.user("admin", ["system:masters"])
        write_key(ec.generate_private_key(ec.SECP256R1()), folder / "accounts.key")
        (folder / "audit.yaml").write_text(json.dumps(_AUDIT))
        # kube-apiserver tries again only after a second.
        self._await(lambda: (folder / "etcd:0").exists())
        self._run(
            folder,
            "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # it wants an address that is not this machine's
            f"--secure-port={self._port.getsockname()[1]}",
            "--permit-port-sharing",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={self.authority.certificate}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=accounts.key",
            "--service-account-signing-key-file=accounts.key",
            f"--service-cluster-ip-range={SERVICES}",
            "--audit-policy-file=audit.yaml",
            "--audit-log-path=audit.log",
        )
        context = ssl.create_default_context(cafile=self.authority.certificate)
        self._await(lambda: _answers(f"{self.url}/readyz", context))

    def _run(self, folder: Path, name: str, *arguments: str) -> None:
        found = program(name)
        if found is None:
            raise RuntimeError(f"there is no {name} in .tools/bin or on the PATH: run `make peers`")
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [found, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
        self._processes.append(process)

    def _await(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and all(one.poll() is None for one in self._processes):
            if is_there():
                return
            time.sleep(_PAUSE_SECONDS)
        log = (self._path / "log").read_text(errors="replace")
        raise RuntimeError(f"the API server did not start:\n{log[-3000:]}")

    def _install_crds(self) -> None:
        for arguments in (
            ("create", "-f", str(_CRDS)),
            ("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"),
        ):
            done = self.kubectl(*arguments)
            if done.returncode:
                raise RuntimeError(f"the CRDs could not be installed: {done.stderr}")

    def stop(self) -> None:
        """Kill both programs and delete everything."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        if self._port is not None:
            self._port.close()
            self._port = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def _core(self) -> Any:
        return kubernetes.client.CoreV1Api(self.client())

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name)

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """The kubeconfig of this user, who has what RBAC gives to name and groups."""
        credential = self.authority.issue(name, groups=groups)
        cluster = {"server": self.url, "certificate-authority": str(self.authority.certificate)}
        keys = {
            "client-certificate": str(credential.certificate),
            "client-key": str(credential.key),
        }
        path = credential.key.with_suffix(".kubeconfig")
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "test", "cluster": cluster}],
                    "users": [{"name": name, "user": keys}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                    "current-context": "test",
                }
            )
        )
        return path

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - the name that subprocess has for it
        user: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with this text as its input, as the admin or as a `user`."""
        found = program("kubectl")
        assert found is not None
        return subprocess.run(
            [found, *arguments],
            input=input or "",
            env={
                "PATH": os.defpath,
                "HOME": str(self._path),
                "KUBECONFIG": str(user or self.kubeconfig),
                "KUBERC": "off",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def client(self, user: Path | None = None) -> Any:
        """The ApiClient of the Python client, as the admin or as a `user`."""
        who = user or self.kubeconfig
        if who not in self._clients:
            configuration: Any = kubernetes.config
            self._clients[who] = configuration.new_client_from_config(
                str(who), persist_config=False
            )
        return self._clients[who]

    def namespace(self, labels: Mapping[str, str] | None = None) -> str:
        """The name of a new namespace with these labels and the service account `default`."""
        core = self._core
        name = f"team-{next(_serial)}-{secrets.token_hex(4)}"
        core.create_namespace({"metadata": {"name": name, "labels": dict(labels or {})}})
        core.create_namespaced_service_account(name, {"metadata": {"name": "default"}})
        return name

    def service_account_token(self, namespace: str, name: str = "default") -> str:
        """A token of this service account for the API server, valid for an hour."""
        answer = self._core.create_namespaced_service_account_token(
            name, namespace, {"spec": {"expirationSeconds": 3600}}
        )
        return str(answer.status.token)

    def install_webhooks(self, *configurations: Mapping[str, Any]) -> ExitStack:
        """Create webhook configurations of either kind, and wait until they are in effect.

        They are removed again when what is returned is closed, which ``with`` does.
        """
        installed = ExitStack()
        installed.callback(self.await_webhooks)
        with ExitStack() as undo:
            undo.enter_context(installed)
            for configuration in configurations:
                create, delete = self._registration(configuration["kind"])
                create(configuration)
                installed.callback(delete, configuration["metadata"]["name"])
            self.await_webhooks()
            undo.pop_all()
        return installed

    def await_webhooks(self) -> None:
        """Wait until each change of webhook configurations that was made before is in effect.

        The API server hears of changes in their order. So when it calls a webhook that is
        configured now, which is unreachable and therefore refuses, it has heard of all before.

        Raises:
            RuntimeError: it did not happen.
        """
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            name = f"probe-{secrets.token_hex(4)}.oms-gate.test"
            create, delete = self._registration(kind)
            create(_probe_configuration(kind, name))
            try:
                self._await_refusal(name)
            finally:
                delete(name)

    def _await_refusal(self, webhook: str) -> None:
        core = self._core
        body = {"metadata": {"name": webhook, "labels": {"probe": webhook}}}
        deadline = time.monotonic() + _NOTICE_SECONDS
        while time.monotonic() < deadline:
            try:
                core.create_namespaced_config_map("default", body, dry_run="All")
            except kubernetes.client.ApiException as refusal:
                if f"calling webhook {webhook}" in (refusal.body or "").replace('\\"', ""):
                    return
                raise
            time.sleep(_PAUSE_SECONDS)
        raise RuntimeError("the API server took no notice of a webhook configuration")

    def _registration(self, kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        api: Any = kubernetes.client.AdmissionregistrationV1Api(self.client())
        if kind == "MutatingWebhookConfiguration":
            create = api.create_mutating_webhook_configuration
            return create, api.delete_mutating_webhook_configuration
        create = api.create_validating_webhook_configuration
        return create, api.delete_validating_webhook_configuration

    def audit_events(self, count: int = 1, **reference: str) -> list[dict[str, Any]]:
        """What the audit log says of finished requests about such objects, the oldest first.

        reference: what `objectRef` must have (namespace, name, resource, subresource, ...). The
        API server may write after it has answered: waits up to five seconds for so many events.
        """
        deadline = time.monotonic() + 5
        while True:
            lines = (self._path / "audit.log").read_bytes().split(b"\n")[:-1]
            events = [
                event
                for event in map(json.loads, lines)
                if reference.items() <= event.get("objectRef", {}).items()
            ]
            if len(events) >= count or time.monotonic() > deadline:
                return events
            time.sleep(_PAUSE_SECONDS)


def program(name: str) -> Path | None:
    """The program of this name, as ``make peers`` builds it or as it is on the PATH."""
    local = Path(__file__).parents[2] / ".tools" / "bin" / name
    found = str(local) if local.exists() else shutil.which(name)
    return Path(found) if found else None


def _answers(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, context=context, timeout=5):
            return True
    except OSError:  # an answer that it is not ready is one, too
        return False


def _probe_configuration(kind: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": name,
                "clientConfig": {"url": "https://127.0.0.1:9/"},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["configmaps"],
                    }
                ],
                "objectSelector": {"matchLabels": {"probe": name}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
