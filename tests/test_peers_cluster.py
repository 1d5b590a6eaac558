"""The API server as kubectl, the Python client and a webhook see it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from tests.peers.cluster import Cluster

Json = dict[str, Any]
Decide = Callable[[Json], Json]
POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "server"},
    "spec": {"containers": [{"name": "server", "image": "registry.example/server"}]},
}


def create(cluster: Cluster, namespace: str, body: Json, user: Path | None = None) -> str:
    """What kubectl says when it creates this object: "" where it could, else why it could not."""
    done = cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(body), user=user)
    return done.stderr if done.returncode else ""


def core(cluster: Cluster, user: Path | None = None) -> Any:
    return kubernetes.client.CoreV1Api(cluster.client(user))


def pods(cluster: Cluster, namespace: str) -> list[Any]:
    return list(core(cluster).list_namespaced_pod(namespace).items)


@contextmanager
def webhook(
    cluster: Cluster, decide: Decide, address: str = "127.0.0.1", name: str = "127.0.0.1"
) -> Iterator[int]:
    """A webhook at this address, with a certificate for this name; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            response = {"uid": asked["uid"]} | decide(asked)
            review = {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": response,
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(review).encode())

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer((address, 0), Handler)
    issued = cluster.authority.issue("hook", hosts=[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configuration(cluster: Cluster, kind: str, namespace: str, **place: Any) -> Json:
    """A webhook configuration for the pods of one namespace; place: of its clientConfig."""
    authority = base64.b64encode(cluster.authority.certificate.read_bytes()).decode()
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": f"{kind.lower()}-{namespace}"},
        "webhooks": [
            {
                "name": "hook.oms-gate.test",
                "clientConfig": {"caBundle": authority, **place},
                "rules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def deny(request: Json) -> Json:
    return {
        "allowed": False,
        "status": {"message": f"{request['name']} is not welcome", "code": 403},
        "auditAnnotations": {"reason": "unwelcome"},
    }


def label(request: Json) -> Json:
    patch = [{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]
    return {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
    }


def test_pods_are_created_by_kubectl_and_by_the_client(cluster: Cluster) -> None:
    namespace = cluster.namespace({"team": "vision"})
    assert create(cluster, namespace, POD) == ""
    core(cluster).create_namespaced_pod(namespace, POD | {"metadata": {"name": "second"}})
    assert [pod.metadata.name for pod in pods(cluster, namespace)] == ["second", "server"]
    assert core(cluster).read_namespace(namespace).metadata.labels["team"] == "vision"


def test_namespaces_are_separate(cluster: Cluster) -> None:
    first, second = cluster.namespace(), cluster.namespace()
    assert first != second
    assert create(cluster, first, POD) == ""
    assert "already exists" in create(cluster, first, POD)
    assert pods(cluster, second) == []


def test_what_an_object_does_not_have_is_refused(cluster: Cluster) -> None:
    wrong = POD | {"spec": POD["spec"] | {"initContainer": []}}
    assert 'unknown field "spec.initContainer"' in create(cluster, cluster.namespace(), wrong)


def test_a_user_has_what_rbac_gives(cluster: Cluster) -> None:
    namespace, other = cluster.namespace(), cluster.namespace()
    alice = cluster.user("alice", ["engineers"])
    refused = create(cluster, namespace, POD, alice)
    assert 'User "alice" cannot create resource "pods"' in refused
    role = ("create", "role", "starter", "--verb=create", "--resource=pods")
    binding = ("create", "rolebinding", "starters", "--role=starter", "--group=engineers")
    for arguments in (role, binding):
        assert cluster.kubectl(*arguments, "-n", namespace).returncode == 0
    while cluster.kubectl(
        "auth", "can-i", "create", "pods", "-n", namespace, user=alice
    ).returncode:
        pass  # the API server hears of it in a moment
    assert create(cluster, namespace, POD, alice) == ""
    assert "Forbidden" in create(cluster, other, POD, alice)
    with pytest.raises(kubernetes.client.ApiException, match="Forbidden"):
        core(cluster, alice).list_node()


def test_a_token_is_its_service_account(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    settings = kubernetes.client.Configuration()
    settings.host = cluster.url
    settings.ssl_ca_cert = str(cluster.authority.certificate)
    settings.api_key["authorization"] = f"Bearer {cluster.service_account_token(namespace)}"
    with kubernetes.client.ApiClient(settings) as client:
        reviews: Any = kubernetes.client.AuthenticationV1Api(client)
        me = reviews.create_self_subject_review({})
        assert me.status.user_info.username == f"system:serviceaccount:{namespace}:default"
        with pytest.raises(kubernetes.client.ApiException, match="Forbidden"):
            kubernetes.client.CoreV1Api(client).list_namespaced_pod(namespace)


def test_a_webhook_denies_and_says_why(cluster: Cluster) -> None:
    namespace, other = cluster.namespace(), cluster.namespace()
    with webhook(cluster, deny) as port:
        url = f"https://127.0.0.1:{port}/validate"
        with cluster.install_webhooks(configuration(cluster, "Validating", namespace, url=url)):
            refused = create(cluster, namespace, POD)
            assert create(cluster, other, POD) == ""
        assert 'admission webhook "hook.oms-gate.test" denied the request' in refused
        assert "server is not welcome" in refused
        # From here it is not asked any more.
        assert create(cluster, namespace, POD) == ""
    refusal, admission = cluster.audit_events(2, namespace=namespace, resource="pods")
    assert refusal["annotations"]["hook.oms-gate.test/reason"] == "unwelcome"
    assert refusal["responseStatus"]["code"] == 403
    assert "hook.oms-gate.test/reason" not in admission["annotations"]


def test_a_webhook_changes_an_object(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    with webhook(cluster, label) as port:
        url = f"https://127.0.0.1:{port}/mutate"
        with cluster.install_webhooks(configuration(cluster, "Mutating", namespace, url=url)):
            assert create(cluster, namespace, POD) == ""
    assert [pod.metadata.labels for pod in pods(cluster, namespace)] == [{"seen": "yes"}]


def test_a_webhook_without_the_right_certificate_is_not_believed(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    with webhook(cluster, label) as port:
        url = f"https://localhost:{port}/mutate"
        with cluster.install_webhooks(configuration(cluster, "Mutating", namespace, url=url)):
            assert "failed to verify certificate" in create(cluster, namespace, POD)


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
def test_webhooks_are_in_effect_while_they_are_installed(cluster: Cluster, kind: str) -> None:
    """Were nobody to wait, about one answer in twenty-five would be wrong; hence so many."""
    namespace = cluster.namespace()
    unreachable = configuration(cluster, kind, namespace, url="https://127.0.0.1:9/")
    for number in range(20):
        pod = POD | {"metadata": {"name": f"server-{number}"}}
        with (
            cluster.install_webhooks(unreachable),
            pytest.raises(kubernetes.client.ApiException, match="failed calling webhook"),
        ):
            core(cluster).create_namespaced_pod(namespace, pod)
        core(cluster).create_namespaced_pod(namespace, pod)


def test_whoever_listens_at_its_address_is_the_service(cluster: Cluster) -> None:
    namespace, hooks, address = cluster.namespace(), cluster.namespace(), "127.77.0.80"
    with webhook(cluster, deny, address, f"hook.{hooks}.svc") as port:
        service = {"clusterIP": address, "ports": [{"port": port}]}
        core(cluster).create_namespaced_service(
            hooks, {"metadata": {"name": "hook"}, "spec": service}
        )
        place = {"namespace": hooks, "name": "hook", "port": port}
        with cluster.install_webhooks(
            configuration(cluster, "Validating", namespace, service=place)
        ):
            assert "server is not welcome" in create(cluster, namespace, POD)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("serving.kserve.io/v1alpha1", "LLMInferenceService"),
        ("serving.kserve.io/v1alpha2", "LLMInferenceService"),
        ("serving.kserve.io/v1alpha1", "ClusterStorageContainer"),
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
        ("cert-manager.io/v1", "Certificate"),
        ("cert-manager.io/v1", "Issuer"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ],
)
def test_objects_of_others_are_kept_as_they_are(cluster: Cluster, version: str, kind: str) -> None:
    namespace = cluster.namespace()
    body = {"apiVersion": version, "kind": kind, "spec": {"any": [{"thing": 1}]}}
    body["metadata"] = {"name": f"{kind.lower()}-{version.partition('/')[2]}"}
    arguments = ("-n", namespace, "-f", "-", "-o", "json")
    made = cluster.kubectl("create", *arguments, input=json.dumps(body))
    assert made.stderr == ""
    kept = json.loads(made.stdout)
    assert (kept["apiVersion"], kept["spec"]) == (version, {"any": [{"thing": 1}]})
