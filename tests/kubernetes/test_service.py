"""The service in operation: its certificates, its deadline, its stores, its end."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.reason_codes import ReasonCode
from tests.delivery.pulling import signed
from tests.kubernetes.guarding import Service, install_policies, rendered
from tests.kubernetes.test_admission import pod
from tests.peers import faults
from tests.peers.cluster import Cluster
from tests.peers.hub import HubStandIn

Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey


def review(item: Json, namespace: str = "default", **more: Any) -> Json:
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "userInfo": {"username": "me"},
        "object": item,
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def serial(port: int, ca: Path, name: str = "127.0.0.1", host: str = "127.0.0.1") -> int:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection((host, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def files_of(cluster: Cluster, folder: Path) -> tuple[Path, Path]:
    """A certificate and its key, in files that may be replaced."""
    issued = cluster.authority.issue(f"service-{folder.name}", hosts=["127.0.0.1"])
    pair = folder / "tls.crt", folder / "tls.key"
    shutil.copy(issued.certificate, pair[0])
    shutil.copy(issued.key, pair[1])
    return pair


@pytest.fixture(scope="module")
def credential(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return files_of(cluster, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def _service(
    cluster: Cluster,
    gate_config: Json,
    credential: tuple[Path, Path],
    _hub_server: HubStandIn,
) -> Iterator[Service]:
    install_policies(cluster)
    settings = gate_config["kubernetes"] | {"admission_seconds": 1, "denial_seconds": 0}
    options = ("--tls-cert", str(credential[0]), "--tls-key", str(credential[1]))
    config = gate_config | {"kubernetes": settings}
    folder, environment = credential[0].parent, {"HF_ENDPOINT": _hub_server.endpoint}
    with Service(config, folder, cluster.kubeconfig, *options, environment=environment) as service:
        yield service


@pytest.fixture
def service(_service: Service, hub: HubStandIn, key: Key) -> Service:
    """The service, and models on the Hub whose verdicts it does not know yet."""
    for model in ("slow", "known", "down"):
        hub.create(f"acme/{model}", files=signed(key))
    return _service


def replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


def test_a_certificate_is_rotated_under_load(
    service: Service, cluster: Cluster, credential: tuple[Path, Path]
) -> None:
    ca = cluster.authority.certificate
    failures: list[BaseException] = []
    answers = 0
    stopped = threading.Event()

    def ask() -> None:
        nonlocal answers
        while not stopped.is_set():
            try:
                assert service.review("/validate", review({"spec": {}}), ca)["allowed"] is True
                answers += 1
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        before = serial(service.port, ca)
        seen = {before}
        for number in range(2):
            issued = cluster.authority.issue(f"next-{number}-{service.port}", hosts=["127.0.0.1"])
            # For a while they do not belong together.
            replace(credential[0], issued.certificate.read_bytes())
            time.sleep(0.6)  # It looks twice.
            assert serial(service.port, ca) in seen
            replace(credential[1], issued.key.read_bytes())
            deadline = time.monotonic() + 15
            while serial(service.port, ca) in seen and time.monotonic() < deadline:
                time.sleep(0.1)
            seen.add(serial(service.port, ca))
        assert len(seen) == 3
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert answers > 50


def test_an_answer_comes_in_time_and_the_check_goes_on(
    service: Service, cluster: Cluster, hub: HubStandIn
) -> None:
    ca = cluster.authority.certificate
    hub.inject(faults.Stall(3), "*", times=1)
    started = time.monotonic()
    answer = service.review("/mutate?timeout=1s", review(pod("acme/slow")), ca)
    assert time.monotonic() - started < 2.5
    assert f"[{ReasonCode.DEADLINE_EXCEEDED}]" in answer["status"]["message"]
    deadline = time.monotonic() + 20
    while not answer["allowed"] and time.monotonic() < deadline:
        answer = service.review("/mutate?timeout=1s", review(pod("acme/slow")), ca)
    assert answer["allowed"] is True


def test_a_store_that_is_down_denies_and_leaves_the_service_well(
    service: Service, cluster: Cluster, hub: HubStandIn
) -> None:
    ca = cluster.authority.certificate
    assert service.review("/mutate", review(pod("acme/known")), ca)["allowed"] is True
    hub.inject(faults.Status(503), "*")
    answer = service.review("/mutate", review(pod("acme/down")), ca)
    assert f"[{ReasonCode.STORE_UNAVAILABLE}]" in answer["status"]["message"]
    assert service.get("/healthz")[0] == service.get("/readyz")[0] == 200
    # What was decided a moment ago is decided.
    assert service.review("/mutate", review(pod("acme/known")), ca)["allowed"] is True
    metrics = service.get("/metrics")[1]
    assert 'oms_gate_denials_total{reason="store.unavailable"}' in metrics
    assert 'oms_gate_reviews_total{kind="Pod",outcome="denied"}' in metrics
    assert 'oms_gate_admissions_total{allowed="true",webhook="mutate"}' in metrics


def test_a_namespace_that_nobody_knows_is_a_denial(service: Service, cluster: Cluster) -> None:
    answer = service.review("/mutate", review(pod(), "nowhere"), cluster.authority.certificate)
    assert f"[{ReasonCode.CLUSTER_UNAVAILABLE}]" in answer["status"]["message"]


def test_an_object_of_no_shape_is_a_denial(service: Service, cluster: Cluster) -> None:
    ca = cluster.authority.certificate
    for spec in ({"containers": "x"}, {"containers": [1]}, {"containers": [{"env": [1]}]}):
        answer = service.review("/validate", review({"spec": spec}), ca)
        assert f"[{ReasonCode.POD_MALFORMED}]" in answer["status"]["message"]
    deep = json.dumps(review({})).replace("{}", "[" * 100_000 + "]" * 100_000)
    with pytest.raises(urllib.error.HTTPError) as caught:
        service.review("/validate", deep, ca)
    assert caught.value.code == 400
    caught.value.close()
    many = ",".join(f"acme/m{number}" for number in range(40))
    item = pod()
    item["metadata"]["annotations"] = {"oms-gate.dev/models": many}
    answer = service.review("/validate", review(item), ca)
    assert f"[{ReasonCode.POD_MALFORMED}]" in answer["status"]["message"]
    assert "kubernetes.models" in answer["status"]["message"]


@pytest.mark.parametrize(
    "url",
    ["file:///etc", "http://169.254.169.254/x", "ftp://x/y", "memory://x", "github://x/y"],
)
def test_the_gate_asks_only_the_stores_that_it_is_to_ask(
    service: Service, cluster: Cluster, url: str
) -> None:
    item = pod()
    item["metadata"]["annotations"] = {"oms-gate.dev/models": f"{url}=/x"}
    answer = service.review("/mutate", review(item), cluster.authority.certificate)
    assert f"[{ReasonCode.POD_MODEL_UNKNOWN}]" in answer["status"]["message"]
    assert "kubernetes.schemes" in answer["status"]["message"]


def test_only_the_api_server_is_answered_where_it_can_be_known(
    cluster: Cluster, gate_config: Json, tmp_path: Path
) -> None:
    """And it ends when it is told to."""
    install_policies(cluster)
    ca = cluster.authority.certificate
    certificate, key = files_of(cluster, tmp_path)
    files = ("--tls-cert", str(certificate), "--tls-key", str(key))
    client = cluster.authority.issue(f"api-server-{tmp_path.name}")
    with Service(
        gate_config, tmp_path, cluster.kubeconfig, *files, "--client-ca", str(ca)
    ) as service:
        context = ssl.create_default_context(cafile=ca)
        url = f"https://127.0.0.1:{service.port}/validate"
        body = json.dumps(review({"spec": {}})).encode()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, data=body, context=context, timeout=10)
        assert caught.value.code == 403
        caught.value.close()
        context.load_cert_chain(client.certificate, client.key)
        with urllib.request.urlopen(url, data=body, context=context, timeout=10) as answer:
            assert json.loads(answer.read())["response"]["allowed"] is True
        service.process.terminate()
        assert service.process.wait(20) == 0
        assert "Traceback" not in service.log


def test_it_makes_its_own_certificate_and_renews_it(
    cluster: Cluster, gate_config: Json, hub: HubStandIn, tmp_path: Path
) -> None:
    """The API server reaches it by its Service, and trusts what it has written down itself."""
    install_policies(cluster)
    address, (own, guarded) = "127.77.0.81", (cluster.namespace(), cluster.namespace())
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    core: Any = kubernetes.client.CoreV1Api(cluster.client())
    core.create_namespaced_secret(own, {"metadata": {"name": "oms-gate-tls"}})
    ports = {"clusterIP": address, "ports": [{"port": port}]}
    core.create_namespaced_service(own, {"metadata": {"name": "oms-gate"}, "spec": ports})
    configurations = list(rendered("--show-only", "templates/webhooks.yaml"))
    for item in configurations:
        item["metadata"]["name"] = own
        for hook in item["webhooks"]:
            hook["clientConfig"]["service"] |= {"namespace": own, "port": port}
            names = {"kubernetes.io/metadata.name": guarded}
            hook["namespaceSelector"] = {"matchLabels": names}
    arguments = ("--own-certificate", "oms-gate-tls", "--webhook-configuration", own)
    environment = {"HF_ENDPOINT": hub.endpoint, "POD_NAMESPACE": own}
    with (
        cluster.install_webhooks(*configurations),
        Service(
            gate_config,
            tmp_path,
            cluster.kubeconfig,
            *arguments,
            environment=environment,
            host=address,
            port=port,
        ),
    ):
        cluster.await_webhooks()
        assert "[store.not-found]" in _denial(cluster, guarded)
        secret = core.read_namespaced_secret("oms-gate-tls", own)
        ca = tmp_path / "ca.crt"
        ca.write_bytes(base64.b64decode(secret.data["ca.crt"]))
        name = f"oms-gate.{own}.svc"
        before = serial(port, ca, name, address)
        del secret.data["tls.crt"]  # As if it were soon to end.
        core.replace_namespaced_secret("oms-gate-tls", own, secret)
        deadline = time.monotonic() + 30
        while serial(port, ca, name, address) == before and time.monotonic() < deadline:
            time.sleep(0.2)
        assert serial(port, ca, name, address) != before
        assert "[store.not-found]" in _denial(cluster, guarded)


def _denial(cluster: Cluster, namespace: str) -> str:
    done = cluster.kubectl(
        "create", "-n", namespace, "-f", "-", input=json.dumps(pod("acme/nowhere"))
    )
    return done.stderr
