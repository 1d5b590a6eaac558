"""Pods and what makes them, on a real API server: no way around the gate."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import kubernetes
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.delivery.pulling import signed
from tests.kubernetes.guarding import IMAGE, Guard
from tests.kubernetes.pods import container, of
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.test_peers_cluster import configuration, webhook

Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey

ADMITTED = "oms-gate.dev/admitted"


def pod(model: str = "acme/good", **more: Any) -> Json:
    spec = {"containers": [container(args=["--model", model])], **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}, "spec": spec}


@pytest.fixture(autouse=True)
def _repositories(hub: HubStandIn, key: Key, stranger: Key) -> None:
    hub.create("acme/good", files=signed(key))
    hub.create("acme/unsigned", files=dict(models.FILES))
    hub.create("acme/theirs", files=signed(stranger))


@pytest.fixture
def namespace(guard: Guard) -> str:
    return guard.cluster.namespace()


def test_a_signed_model_is_pinned_and_fetched(
    guard: Guard, namespace: str, hub: HubStandIn
) -> None:
    assert guard.create(namespace, pod()) == ""
    made = guard.get(namespace, "pod", "server")
    commit = hub.head("acme/good")
    fetcher = made["spec"]["initContainers"][0]
    assert (fetcher["name"], fetcher["image"]) == ("oms-gate-0", IMAGE)
    assert fetcher["args"][1] == f"hf://acme/good@{commit}"
    (pinned,) = json.loads(made["metadata"]["annotations"][ADMITTED])
    assert pinned["revision"] == commit


@pytest.mark.parametrize(
    ("model", "sentences"),
    [
        ("acme/unsigned", ["[signature.missing]", "its publisher must sign it"]),
        (
            "acme/theirs",
            [
                "[publisher.wrong-signer]",
                'signed by the key "stranger"',
                'names only the key "acme"',
            ],
        ),
        ("acme/nowhere", ["[store.not-found]"]),
        ("other/model", ["[store.not-found]"]),
        (
            "/models/x",
            ["[pod.unverified-path]", "oms-gate.dev/models: hf://organization/name=/models/x"],
        ),
    ],
)
def test_a_denial_names_the_model_the_signer_and_the_remedy(
    guard: Guard, namespace: str, model: str, sentences: list[str]
) -> None:
    said = guard.create(namespace, pod(model))
    for sentence in ("is denied by oms-gate", model, "container server, vLLM, --model", *sentences):
        assert sentence in said


def test_the_python_client_is_told_the_same(guard: Guard, namespace: str) -> None:
    core: Any = kubernetes.client.CoreV1Api(guard.cluster.client())
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.create_namespaced_pod(namespace, pod("acme/unsigned"))
    status = json.loads(caught.value.body or "")
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert "[signature.missing]" in status["message"]
    made: Any = core.create_namespaced_pod(namespace, pod())
    assert made.spec.init_containers[0].name == "oms-gate-0"


TEMPLATE = {"metadata": {"labels": {"app": "x"}}}
SELECTOR = {"selector": {"matchLabels": {"app": "x"}}}
Wrap = Callable[[Json], Json]


def controller(api: str, kind: str, spec: Wrap) -> tuple[str, Callable[[Json], Json]]:
    def wrap(pod_spec: Json) -> Json:
        template = {**TEMPLATE, "spec": pod_spec}
        metadata = {"name": "server"}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec(template)}

    return kind, wrap


def _job(template: Json) -> Json:
    return {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}


CONTROLLERS = dict(
    [
        controller("apps/v1", "Deployment", lambda t: {**SELECTOR, "template": t}),
        controller("apps/v1", "ReplicaSet", lambda t: {**SELECTOR, "template": t}),
        controller("apps/v1", "DaemonSet", lambda t: {**SELECTOR, "template": t}),
        controller(
            "apps/v1", "StatefulSet", lambda t: {**SELECTOR, "serviceName": "x", "template": t}
        ),
        controller(
            "v1", "ReplicationController", lambda t: {"selector": {"app": "x"}, "template": t}
        ),
        controller("batch/v1", "Job", lambda t: {"template": _job(t)}),
        controller(
            "batch/v1",
            "CronJob",
            lambda t: {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": _job(t)}}},
        ),
        controller(
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            lambda t: {"leaderWorkerTemplate": {"leaderTemplate": t, "workerTemplate": t}},
        ),
    ]
)


def test_a_mixed_pair_of_templates_is_reviewed_as_a_whole(guard: Guard, namespace: str) -> None:
    good, bad = ({**TEMPLATE, "spec": pod(name)["spec"]} for name in ("acme/good", "acme/unsigned"))
    for leader, worker in ((good, bad), (bad, good)):
        item = CONTROLLERS["LeaderWorkerSet"](good["spec"])
        item["spec"]["leaderWorkerTemplate"] = {"leaderTemplate": leader, "workerTemplate": worker}
        assert "[signature.missing]" in guard.create(namespace, item)


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_controllers_are_denied_and_pinned_like_their_pods(
    guard: Guard, namespace: str, kind: str
) -> None:
    wrap = CONTROLLERS[kind]
    assert "[signature.missing]" in guard.create(namespace, wrap(pod("acme/unsigned")["spec"]))
    assert guard.create(namespace, wrap(pod()["spec"])) == ""
    made = json.dumps(guard.get(namespace, kind, "server"))
    assert "oms-gate-0" in made
    # What comes from the template is as it should be.
    assert made.count("--pinned-signature") == made.count('"vllm/vllm-openai:v1"')


def test_pods_of_a_template_stay_with_what_was_admitted(
    guard: Guard, namespace: str, hub: HubStandIn, key: Key
) -> None:
    assert guard.create(namespace, CONTROLLERS["Deployment"](pod()["spec"])) == ""
    template = guard.get(namespace, "deployment", "server")["spec"]["template"]
    commit = hub.head("acme/good")
    hub.commit("acme/good", signed(key, {**models.FILES, "config.json": b"{}"}))
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "server-1",
        "uid": "1",
        "controller": True,
    }
    metadata = {**template["metadata"], "name": "server-1", "ownerReferences": [owner]}
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    assert guard.create(namespace, item) == ""
    made = guard.get(namespace, "pod", "server-1")
    assert made["spec"]["initContainers"][0]["args"][1] == f"hf://acme/good@{commit}"
    # Who names it anew gets what it is now.
    assert guard.create(namespace, pod()) == ""
    args = guard.get(namespace, "pod", "server")["spec"]["initContainers"][0]["args"]
    assert args[1] == f"hf://acme/good@{hub.head('acme/good')}"


# Row 29 of the attacks: what lets the existing operator be passed by.


def test_a_pod_needs_no_label_to_be_gated(guard: Guard, namespace: str) -> None:
    assert "[signature.missing]" in guard.create(namespace, pod("acme/unsigned"))
    labels = {"oms-gate.dev/ignore": "true", "modelvalidation.ml.sigstore.dev/ignore": "true"}
    item = pod("acme/unsigned")
    item["metadata"] |= {"labels": labels, "annotations": {"oms-gate.dev/mode": "annotate"}}
    assert "[signature.missing]" in guard.create(namespace, item)


def test_no_label_of_a_namespace_takes_it_out(guard: Guard) -> None:
    labels = {
        "oms-gate.dev/ignore": "true",
        "oms-gate.dev/mode": "annotate",
        "admission.oms-gate.dev/ignore": "true",
        "control-plane": "oms-gate",
    }
    namespace = guard.cluster.namespace(labels)
    assert "[signature.missing]" in guard.create(namespace, pod("acme/unsigned"))
    # The label by which the exempt ones are known is the API server's.
    name = "kubernetes.io/metadata.name"
    guard.kubectl("label", "ns", namespace, "--overwrite", f"{name}=kube-system")
    assert guard.get("", "ns", namespace)["metadata"]["labels"][name] == namespace


def test_a_container_that_looks_like_the_gates_is_replaced(guard: Guard, namespace: str) -> None:
    fake = container("oms-gate-0", "evil", command=["sh", "-c", "true"])
    assert guard.create(namespace, pod(initContainers=[fake])) == ""
    (only,) = guard.get(namespace, "pod", "server")["spec"]["initContainers"]
    assert only["image"] == IMAGE
    assert "command" not in only


def test_a_container_of_the_gates_name_is_refused(guard: Guard, namespace: str) -> None:
    item = pod()
    item["spec"]["containers"].append(container("oms-gate-0", "evil"))
    assert "[pod.changed]" in guard.create(namespace, item)


def test_what_another_webhook_changes_afterwards_is_seen(guard: Guard, namespace: str) -> None:
    """One that is called again after the gate has been, and gives the workload its volume back."""

    def writable(request: Json) -> Json:
        mounts = request["object"]["spec"]["containers"][0].get("volumeMounts") or []
        for index, mount in enumerate(mounts):
            if mount["name"] == "oms-gate-hub":
                path = f"/spec/containers/0/volumeMounts/{index}/readOnly"
                patch = json.dumps([{"op": "add", "path": path, "value": False}]).encode()
                return {
                    "allowed": True,
                    "patchType": "JSONPatch",
                    "patch": base64.b64encode(patch).decode(),
                }
        return {"allowed": True}

    with webhook(guard.cluster, writable) as port:
        url = f"https://127.0.0.1:{port}/"
        hook = configuration(guard.cluster, "Mutating", namespace, url=url)
        hook["metadata"]["name"] = f"zz-{namespace}"
        hook["webhooks"][0]["reinvocationPolicy"] = "IfNeeded"
        with guard.cluster.install_webhooks(hook):
            said = guard.create(namespace, pod())
    assert "[pod.changed]" in said
    assert "spec.containers" in said


def test_an_update_brings_no_other_model(guard: Guard, namespace: str) -> None:
    item = CONTROLLERS["Deployment"](pod()["spec"])
    assert guard.create(namespace, item) == ""
    item["spec"]["template"]["spec"] = pod("acme/unsigned")["spec"]
    done = guard.kubectl("replace", "-n", namespace, "-f", "-", input=json.dumps(item))
    assert "[signature.missing]" in done.stderr
    patch = [
        {"op": "replace", "path": "/spec/template/spec/containers/0/args/1", "value": "acme/theirs"}
    ]
    done = guard.kubectl(
        "patch", "deployment", "server", "-n", namespace, "--type=json", "-p", json.dumps(patch)
    )
    assert "[publisher.wrong-signer]" in done.stderr


def test_an_update_of_a_pods_image_brings_no_model(guard: Guard, namespace: str) -> None:
    item = pod("acme/good")
    item["spec"]["containers"][0]["image"] = "busybox"
    assert guard.create(namespace, item) == ""
    done = guard.kubectl(
        "set", "image", "pod/server", "-n", namespace, "server=vllm/vllm-openai:v1"
    )
    assert "[pod.changed]" in done.stderr


def test_what_runs_can_be_labelled_scaled_and_removed(
    guard: Guard, namespace: str, hub: HubStandIn
) -> None:
    assert guard.create(namespace, pod()) == ""
    assert guard.create(namespace, CONTROLLERS["Deployment"](pod()["spec"])) == ""
    hub.reset()
    for arguments in (
        ("label", "pod", "server", "a=b"),
        ("annotate", "pod", "server", "a=b"),
        ("scale", "deployment", "server", "--replicas=3"),
        ("delete", "deployment", "server"),
        ("delete", "pod", "server", "--force"),
    ):
        done = guard.kubectl(*arguments, "-n", namespace)
        assert done.returncode == 0, done.stderr


def test_the_evidence_on_a_pod_stays_true(guard: Guard, namespace: str) -> None:
    assert guard.create(namespace, pod()) == ""
    before = guard.get(namespace, "pod", "server")["metadata"]["annotations"]
    guard.kubectl("annotate", "pod", "server", "-n", namespace, "--overwrite", f"{ADMITTED}=[]")
    assert guard.get(namespace, "pod", "server")["metadata"]["annotations"] == before


@pytest.mark.parametrize(
    "forged",
    [
        "nonsense",
        "{}",
        '[{"model": "hf://acme/good", "revision": "main", "signature": "SIGNATURE"}]',
        '[{"model": "hf://acme/good", "revision": "COMMIT", "signature": "../x"}]',
        '[{"model": "hf://acme/unsigned", "revision": "COMMIT", "signature": "SIGNATURE"}]',
        '[{"model": "hf://acme/good", "signature": "SIGNATURE"}]',
    ],
)
def test_what_was_decided_cannot_be_made_up(
    guard: Guard, namespace: str, hub: HubStandIn, forged: str
) -> None:
    commit = hub.head("acme/good")
    item = pod()
    text = forged.replace("COMMIT", commit).replace("SIGNATURE", "0" * 64)
    item["metadata"]["annotations"] = {ADMITTED: text}
    assert guard.create(namespace, item) == ""
    made = guard.get(namespace, "pod", "server")
    (pinned,) = json.loads(made["metadata"]["annotations"][ADMITTED])
    assert (pinned["revision"], pinned["signature"] != "0" * 64) == (commit, True)


def test_a_made_up_signature_is_not_taken(guard: Guard, namespace: str, hub: HubStandIn) -> None:
    made_up = [
        {"model": "hf://acme/good", "revision": hub.head("acme/good"), "signature": "0" * 64}
    ]
    item = pod()
    item["metadata"]["annotations"] = {ADMITTED: json.dumps(made_up)}
    assert "[signature.not-pinned]" in guard.create(namespace, item)


OWN_SETTINGS = [{"name": "HF_HUB_CACHE", "value": "/data"}, {"name": "X", "value": "1"}]
APPLIED = {
    "plain": container(args=["acme/good"]),
    "variables": container(args=["acme/good"], env=[*OWN_SETTINGS, {"name": "HF_HUB_OFFLINE"}]),
    "folder": container(args=["acme/good", "--download-dir", "/data"]),
}


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("kind", ["Pod", "Deployment", "Job"])
@pytest.mark.parametrize("given", APPLIED)
def test_who_applies_the_same_again_changes_nothing(
    guard: Guard, namespace: str, kind: str, given: str, side: str
) -> None:
    spec = {"containers": [APPLIED[given]]}
    item = {**pod(), "spec": spec} if kind == "Pod" else CONTROLLERS[kind](spec)
    versions = []
    for _ in range(3):
        arguments = ["apply", "-n", namespace, "-f", "-", "-o", "json"]
        arguments += ["--server-side"] if side == "server" else []
        done = guard.kubectl(*arguments, input=json.dumps(item))
        assert done.returncode == 0, done.stderr
        versions.append(json.loads(done.stdout)["metadata"]["generation"])
    assert versions[1:] == versions[:1] * 2


def test_a_model_is_put_into_the_claim_of_a_stateful_set(guard: Guard, namespace: str) -> None:
    server = container(args=["/models/x"], volumeMounts=[{"name": "data", "mountPath": "/models"}])
    item = CONTROLLERS["StatefulSet"]({"containers": [server]})
    resources = {"requests": {"storage": "1Gi"}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": resources}
    item["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    annotations = {"oms-gate.dev/models": "acme/good=/models/x"}
    item["spec"]["template"]["metadata"] = {**TEMPLATE["metadata"], "annotations": annotations}
    assert guard.create(namespace, item) == ""
    template = guard.get(namespace, "statefulset", "server")["spec"]["template"]
    (fetcher,) = template["spec"]["initContainers"]
    assert fetcher["volumeMounts"] == [{"name": "data", "mountPath": "/models/x", "subPath": "x"}]
    # Its controller makes pods of it, with the claim.
    made = {"apiVersion": "v1", "kind": "Pod", **template}
    made["metadata"] = {**template["metadata"], "name": "server-0"}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-server-0"}}
    made["spec"] = {**template["spec"], "volumes": [volume]}
    assert guard.create(namespace, made) == ""


def test_a_restricted_namespace_takes_the_init_container(guard: Guard) -> None:
    namespace = guard.cluster.namespace({"pod-security.kubernetes.io/enforce": "restricted"})
    strict = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    item = pod()
    item["spec"]["containers"][0]["securityContext"] = strict
    assert guard.create(namespace, item) == ""


def debug(guard: Guard, namespace: str, extra: Json) -> str:
    """Add an ephemeral container; what is said against it."""
    item = guard.get(namespace, "pod", "server")
    item["spec"]["ephemeralContainers"] = [extra]
    path = f"/api/v1/namespaces/{namespace}/pods/server/ephemeralcontainers"
    done = guard.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(item))
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("model", ["acme/unsigned", "acme/second"])
def test_an_ephemeral_container_brings_no_model(
    guard: Guard, namespace: str, hub: HubStandIn, key: Key, model: str
) -> None:
    hub.create("acme/second", files=signed(key))
    assert guard.create(namespace, pod()) == ""
    extra = container("debug", "python", command=["hf", "download", model])
    assert "[pod.changed]" in debug(guard, namespace, extra)


def test_an_ephemeral_container_can_only_read(guard: Guard, namespace: str) -> None:
    assert guard.create(namespace, pod()) == ""
    mounts = [{"name": "oms-gate-hub", "mountPath": "/x"}]
    assert debug(guard, namespace, container("debug", "busybox", volumeMounts=mounts)) == ""
    made = of(guard.get(namespace, "pod", "server")["spec"], "debug")
    assert made["volumeMounts"][0]["readOnly"] is True


def test_a_pod_from_before_the_gate_gets_no_model_either(_guarded: Guard, hub: HubStandIn) -> None:
    namespace = _guarded.cluster.namespace()
    assert _guarded.create(namespace, pod()) == ""
    with _guarded.registered():
        extra = container("debug", "python", command=["vllm", "serve", "/data/evil"])
        assert "[pod.unverified-path]" in debug(_guarded, namespace, extra)
        extra = container("debug", "python", command=["vllm", "serve", "acme/theirs"])
        assert "[pod.changed]" in debug(_guarded, namespace, extra)
        assert debug(_guarded, namespace, container("debug", "busybox")) == ""


def test_no_ephemeral_container_has_a_name_of_the_gates(guard: Guard, namespace: str) -> None:
    assert guard.create(namespace, pod()) == ""
    extra = container("oms-gate-1", "python", command=["vllm", "serve", "acme/good"])
    assert "[pod.changed]" in debug(guard, namespace, extra)


def test_who_debugs_a_pod_without_models_may(guard: Guard, namespace: str) -> None:
    item = pod()
    item["spec"]["containers"] = [container("server", "nginx")]
    assert guard.create(namespace, item) == ""
    assert debug(guard, namespace, container("debug", "busybox")) == ""


def test_a_sidecar_can_only_read(guard: Guard, namespace: str) -> None:
    sidecar = container(
        "sidecar",
        "busybox",
        restartPolicy="Always",
        volumeMounts=[{"name": "oms-gate-hub", "mountPath": "/x"}],
    )
    assert guard.create(namespace, pod(initContainers=[sidecar])) == ""
    made = guard.get(namespace, "pod", "server")["spec"]["initContainers"]
    assert [one["name"] for one in made] == ["oms-gate-0", "sidecar"]
    assert made[1]["volumeMounts"][0]["readOnly"] is True


def test_a_dry_run_is_decided_alike_and_leaves_nothing(guard: Guard, namespace: str) -> None:
    assert "[signature.missing]" in guard.create(
        namespace, pod("acme/unsigned"), "--dry-run=server"
    )
    assert guard.create(namespace, pod(), "--dry-run=server") == ""
    assert guard.create(namespace, pod("acme/theirs")) != ""
    (only,) = guard.events(namespace)
    assert "publisher.wrong-signer" in only["message"]


def test_events_and_the_audit_log_say_what_was_decided(guard: Guard, namespace: str) -> None:
    assert guard.create(namespace, pod("acme/unsigned")) != ""
    assert guard.create(namespace, pod()) == ""
    by_reason = {event["reason"]: event for event in guard.events(namespace, 2)}
    denied = by_reason["ModelDenied"]
    assert (denied["type"], denied["involvedObject"]["name"]) == ("Warning", "server")
    assert "[signature.missing]" in denied["message"]
    assert by_reason["ModelAdmitted"]["type"] == "Normal"
    audited = [
        e["annotations"] for e in guard.cluster.audit_events(namespace=namespace, resource="pods")
    ]
    assert [a.get("mutate.oms-gate.dev/outcome") for a in audited[:2]] == ["denied", "admitted"]
    assert audited[0]["mutate.oms-gate.dev/reasons"] == "signature.missing"
    (model,) = json.loads(audited[1]["validate.oms-gate.dev/models"])
    assert model["outcome"] == "admitted"
    assert model["signer"].startswith("sha256:")


def test_what_a_controllers_pod_was_denied_for_is_said_at_the_controller(
    guard: Guard, namespace: str
) -> None:
    item = pod("acme/unsigned")
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "of-it",
        "uid": "7",
        "controller": True,
    }
    item["metadata"] = {"generateName": "of-it-", "ownerReferences": [owner]}
    assert guard.create(namespace, item) != ""
    (event,) = guard.events(namespace)
    assert event["involvedObject"]["kind"] == "ReplicaSet"
    assert event["involvedObject"]["name"] == "of-it"


def test_what_is_in_s3_is_pinned_by_its_signature(
    guard: Guard, namespace: str, s3: SeaweedFS, s3_bucket: str, key: Key
) -> None:
    def publish(files: dict[str, bytes]) -> None:
        for path, content in signed(key, files).items():
            s3.put(s3_bucket, f"acme/x/{path}", content)

    publish({"config.json": b"{}", "model.safetensors": b"1" * 1000})
    item = CONTROLLERS["Deployment"](pod(f"s3://{s3_bucket}/acme/x")["spec"])
    assert guard.create(namespace, item) == ""
    template = guard.get(namespace, "deployment", "server")["spec"]["template"]
    server = of(template["spec"], "server")
    assert server["args"][:2] == ["--model", "/oms-gate/models/x"]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one"},
        "spec": template["spec"],
    }
    assert guard.create(namespace, made) == ""
    publish({"config.json": b"[]", "model.safetensors": b"1" * 1000})
    made["metadata"] = {**template["metadata"], "name": "two"}
    said = guard.create(namespace, made, "--as=two", "--as-group=system:masters")
    assert "[signature.not-pinned]" in said
    assert "remove the annotation" in said


ISVC = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "x"},
}
LLM = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "LLMInferenceService",
    "metadata": {"name": "x"},
}


def kserve(item: Json, uri: str) -> Json:
    if item is ISVC:
        model = {"modelFormat": {"name": "huggingface"}, "storageUri": uri}
        return {**item, "spec": {"predictor": {"model": model}}}
    return {**item, "spec": {"model": {"uri": uri, "lora": {"adapters": [{"uri": uri}]}}}}


@pytest.mark.parametrize("item", [ISVC, LLM], ids=lambda item: item["kind"])
def test_kserves_objects_are_decided_on_and_pinned(
    guard: Guard, namespace: str, item: Json, hub: HubStandIn
) -> None:
    said = guard.create(namespace, kserve(item, "hf://acme/unsigned"))
    assert "[signature.missing]" in said
    assert "spec." in said
    assert "[pod.model-unknown]" in guard.create(namespace, kserve(item, "hf://acme"))
    assert "kubernetes.schemes" in guard.create(namespace, kserve(item, "pvc://claim/x"))
    assert guard.create(namespace, kserve(item, "hf://acme/good")) == ""
    made = json.dumps(guard.get(namespace, item["kind"], "x"))
    uri = f"hf://acme/good:{hub.head('acme/good')}"
    assert made.count(f'"{uri}"') == (1 if item is ISVC else 2)


def kserve_pod(uri: str) -> Json:
    """A pod as KServe makes it."""
    volume = "kserve-provision-location"
    initializer = container(
        "storage-initializer",
        "kserve/storage-initializer:1",
        args=[uri, "/mnt/models"],
        volumeMounts=[{"name": volume, "mountPath": "/mnt/models"}],
    )
    server = container(
        "kserve-container",
        "kserve/huggingfaceserver:1",
        args=["--model_dir=/mnt/models"],
        volumeMounts=[{"name": volume, "mountPath": "/mnt/models", "readOnly": True}],
    )
    item = pod(initContainers=[initializer], volumes=[{"name": volume, "emptyDir": {}}])
    item["spec"]["containers"] = [server]
    return item


def test_the_pods_of_kserve_are_gated_themselves(guard: Guard, namespace: str) -> None:
    assert "[signature.missing]" in guard.create(namespace, kserve_pod("hf://acme/unsigned"))
    assert guard.create(namespace, kserve_pod("hf://acme/good")) == ""
    (only,) = guard.get(namespace, "pod", "server")["spec"]["initContainers"]
    assert (only["name"], only["image"]) == ("storage-initializer", IMAGE)


def test_the_webhook_down_means_no_pod(guard: Guard, namespace: str) -> None:
    """Its configuration fails closed: whether it answers is not for an attacker to use."""
    configurations = list(_nobody(guard))
    assert all(hook["failurePolicy"] == "Fail" for c in configurations for hook in c["webhooks"])
    with guard.cluster.install_webhooks(*configurations):
        said = guard.create(namespace, pod())
    assert "failed calling webhook" in said


def _nobody(guard: Guard) -> list[Json]:
    from tests.kubernetes.guarding import webhook_configurations

    found = []
    for item in webhook_configurations(guard.service, guard.cluster.authority.certificate):
        item["metadata"]["name"] += "-down"
        for hook in item["webhooks"]:
            hook["clientConfig"]["url"] = "https://127.0.0.1:9/"
            hook["rules"] = [rule for rule in hook["rules"] if "pods" in rule["resources"]]
        found.append(item)
    return found


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"apiVersion": "admission.k8s.io/v1"}', "nonsense"]
)
def test_what_is_no_review_is_an_error(guard: Guard, body: str) -> None:
    import ssl
    import urllib.error
    import urllib.request

    context = ssl.create_default_context(cafile=guard.cluster.authority.certificate)
    url = f"https://127.0.0.1:{guard.service.port}/validate"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, data=body.encode(), context=context, timeout=10)
    assert caught.value.code == 400
    caught.value.close()
