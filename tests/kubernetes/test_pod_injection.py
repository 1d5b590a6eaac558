"""What the gate makes of a pod, and that nobody gets between that and what was decided."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.kubernetes.changes import changes
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.reason_codes import ReasonCode
from tests.kubernetes.pods import COMMIT, SETTINGS, SIGNATURE, container, injected, of

HUB_MOUNT = {"name": "oms-gate-hub", "mountPath": "/oms-gate/hub", "readOnly": True}
MODELS = "oms-gate.dev/models"
ADMITTED = "oms-gate.dev/admitted"
PLACED = "oms-gate.dev/placed"


def pod(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containers": list(containers), **more}


SERVER = container(args=["--model", "acme/m"])


def mount(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **more}


def codes(result: Any) -> list[ReasonCode]:
    return [reason.code for reason in result.problems]


def test_a_model_is_fetched_first_and_used_offline() -> None:
    helper = container("helper", "busybox")
    result = injected(pod(SERVER, initContainers=[helper]))
    first, second = result.pod["initContainers"]
    assert first["name"] == "oms-gate-0"
    assert first["image"] == SETTINGS.image
    assert first["args"] == [
        "pull",
        f"hf://acme/m@{COMMIT}",
        "/oms-gate/hub",
        "--hub-cache",
        "--ref",
        "main",
        "--pinned-signature",
        SIGNATURE,
    ]
    assert first["volumeMounts"] == [mount("oms-gate-hub", "/oms-gate/hub")]
    assert first["securityContext"]["readOnlyRootFilesystem"]
    assert second == helper
    server = of(result.pod, "server")
    assert server["args"] == SERVER["args"]
    assert server["volumeMounts"] == [HUB_MOUNT]
    assert {entry["name"]: entry["value"] for entry in server["env"]} == {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": "/oms-gate/hub",
        "HUGGINGFACE_HUB_CACHE": "/oms-gate/hub",
    }
    assert result.pod["volumes"] == [{"name": "oms-gate-hub", "emptyDir": {}}]
    assert json.loads(result.annotations[ADMITTED]) == [
        {"model": "hf://acme/m", "revision": COMMIT, "signature": SIGNATURE}
    ]
    assert not result.problems


def test_a_pod_without_models_stays_as_it_is() -> None:
    before = pod(container("web", "nginx", args=["-g", "x"]))
    result = injected(before)
    assert (result.pod, result.annotations) == (before, {})


def test_a_branch_keeps_its_name_in_the_cache() -> None:
    result = injected(pod(container(args=["acme/m", "--revision", "v1"])))
    args = of(result.pod, "oms-gate-0")["args"]
    assert args[1] == f"hf://acme/m@{COMMIT}"
    assert args[args.index("--ref") + 1] == "v1"


def test_a_url_becomes_a_folder_that_the_annotation_names() -> None:
    server = container(image="tritonserver:1", args=["--model-repository=s3://b/models/x"])
    result = injected(pod(server))
    assert of(result.pod, "server")["args"] == ["--model-repository=/oms-gate/models/x"]
    assert result.annotations[PLACED] == "s3://b/models/x=/oms-gate/models/x"
    fetcher = of(result.pod, "oms-gate-0")
    pinned = ["--pinned-signature", SIGNATURE]
    assert fetcher["args"] == ["pull", "s3://b/models/x", "/oms-gate/models/x", *pinned]


def test_a_server_goes_on_to_call_a_model_by_its_name() -> None:
    result = injected(pod(container(args=["--model", "s3://b/x"])))
    words = ["--model", "/oms-gate/models/x", "--served-model-name", "s3://b/x"]
    assert of(result.pod, "server")["args"] == words
    named = injected(pod(container(args=["s3://b/x", "--served-model-name", "y"])))
    assert of(named.pod, "server")["args"] == ["/oms-gate/models/x", "--served-model-name", "y"]


def test_two_models_of_one_name_get_two_folders() -> None:
    one = container("one", "tritonserver", args=["--model-repository=s3://a/x"])
    two = container("two", "tritonserver", args=["--model-repository=s3://b/x"])
    result = injected(pod(one, two))
    folders = {of(result.pod, name)["args"][0] for name in ("one", "two")}
    assert len(folders) == 2
    assert not result.problems


def test_where_downloads_are_kept_is_where_the_model_is() -> None:
    server = container(args=["acme/m", "--download-dir", "/data"])
    assert of(injected(pod(server)).pod, "server")["args"] == [
        "acme/m",
        "--download-dir",
        "/oms-gate/hub",
    ]


@pytest.mark.parametrize(
    "script", ["vllm serve acme/m --download-dir /data", "tritonserver --model-store s3://b/x"]
)
def test_a_script_cannot_be_changed(script: str) -> None:
    result = injected(pod(container(image="x", command=["sh", "-c", script])))
    assert codes(result) == [ReasonCode.POD_MODEL_UNKNOWN]


def test_credentials_are_those_of_who_reads() -> None:
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    other = [{"name": "PYTHONPATH", "value": "/evil"}, {"name": "HF_ENDPOINT", "value": "http://x"}]
    fetcher = of(injected(pod(SERVER | {"env": [token, *other]})).pod, "oms-gate-0")
    assert fetcher["env"] == [token]


def test_credentials_of_whole_secrets_are_taken_one_by_one() -> None:
    token = {"name": "HF_TOKEN", "value": "mine"}
    sources = [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "s3"}, "prefix": "AWS_"}]
    given = pod(SERVER | {"env": [token], "envFrom": sources})
    fetcher = of(injected(given).pod, "oms-gate-0")
    assert "envFrom" not in fetcher
    found = {entry["name"]: entry for entry in fetcher["env"]}
    assert found["HF_TOKEN"] == token
    assert found["AWS_ACCESS_KEY_ID"]["valueFrom"] == {
        "secretKeyRef": {"name": "s3", "key": "ACCESS_KEY_ID", "optional": True}
    }
    assert found["HUGGING_FACE_HUB_TOKEN"]["valueFrom"]["configMapKeyRef"]["name"] == "all"
    assert not {"PYTHONPATH", "OMS_GATE_CONFIG"} & set(found)


def test_operators_give_the_init_containers_their_own() -> None:
    own = KubernetesSettings(
        image="x", environment={"HF_ENDPOINT": "http://hub"}, config_map="oms-gate"
    )
    result = injected(pod(SERVER), None, own)
    fetcher = of(result.pod, "oms-gate-0")
    assert {entry["name"]: entry["value"] for entry in fetcher["env"]} == {
        "HF_ENDPOINT": "http://hub",
        "OMS_GATE_CONFIG": "/etc/oms-gate/gate.yaml",
    }
    volume = {"name": "oms-gate", "defaultMode": 0o644}
    assert {"name": "oms-gate-config", "configMap": volume} in result.pod["volumes"]


def test_what_would_overrule_the_cache_goes() -> None:
    env = [
        {"name": "HF_HUB_OFFLINE", "value": "0"},
        {"name": "HF_HUB_CACHE", "value": "/mine"},
        {"name": "TRANSFORMERS_CACHE", "value": "/mine"},
        {"name": "X", "value": "1"},
        {"name": "HF_HUB_OFFLINE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    result = of(injected(pod(SERVER | {"env": env})).pod, "server")["env"]
    assert [(entry["name"], entry["value"]) for entry in result] == [
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_CACHE", "/oms-gate/hub"),
        ("X", "1"),
        ("HUGGINGFACE_HUB_CACHE", "/oms-gate/hub"),
    ]


DOWNLOAD = container(
    "download",
    "python",
    command=["hf", "download", "acme/m", "--local-dir", "/models"],
    volumeMounts=[mount("models", "/models")],
)
LOCAL = container(args=["/models"], volumeMounts=[mount("models", "/models/")])


def local(volume: dict[str, Any], *others: dict[str, Any], **more: Any) -> dict[str, Any]:
    volumes = [{"name": "models", **volume}, *more.pop("volumes", [])]
    return pod(LOCAL, *others, initContainers=[DOWNLOAD], volumes=volumes, **more)


@pytest.mark.parametrize(
    "volume", [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "x"}}, {"ephemeral": {}}]
)
def test_the_users_volume_is_filled_by_the_gate_alone(volume: dict[str, Any]) -> None:
    sidecar = container("sidecar", "busybox", volumeMounts=[mount("models", "/elsewhere")])
    result = injected(local(volume, sidecar))
    assert not result.problems
    assert of(result.pod, "oms-gate-0")["volumeMounts"] == [mount("models", "/models")]
    for name in ("download", "server", "sidecar"):
        (only,) = of(result.pod, name)["volumeMounts"]
        assert only["readOnly"] is True


def test_another_name_for_the_same_claim_is_read_only_too() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "x"}}
    writer = container("writer", "busybox", volumeMounts=[mount("again", "/w")])
    result = injected(local(claim, writer, volumes=[{"name": "again", **claim}]))
    assert of(result.pod, "writer")["volumeMounts"][0]["readOnly"] is True


def test_a_claim_is_not_used_as_a_device() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "x"}}
    device = {"volumeDevices": [{"name": "models", "devicePath": "/dev/x"}]}
    result = injected(local(claim, container("writer", "busybox", **device)))
    assert codes(result) == [ReasonCode.POD_CHANGED]


@pytest.mark.parametrize(
    "volume",
    [
        {"hostPath": {"path": "/x"}},
        {"nfs": {"server": "x", "path": "/"}},
        {"configMap": {"name": "x"}},
    ],
)
def test_a_volume_that_others_can_write_to_is_refused(volume: dict[str, Any]) -> None:
    assert ReasonCode.POD_UNVERIFIED_PATH in codes(injected(local(volume)))


def test_a_volume_is_not_filled_through_two_mounts() -> None:
    other = LOCAL | {"name": "other", "volumeMounts": [mount("second", "/models")]}
    volumes = [{"name": "models", "emptyDir": {}}, {"name": "second", "emptyDir": {}}]
    result = injected(pod(LOCAL, other, volumes=volumes), {MODELS: "hf://acme/m=/models"})
    assert ReasonCode.POD_UNVERIFIED_PATH in codes(result)


@pytest.mark.parametrize("path", ["/models", "/models/../models", "/data/x"])
def test_a_path_that_nothing_has_verified_is_refused(path: str) -> None:
    server = container(args=[path], volumeMounts=[mount("data", "/data")])
    result = injected(pod(server, volumes=[{"name": "data", "emptyDir": {}}]))
    assert codes(result) == [ReasonCode.POD_UNVERIFIED_PATH]


def test_another_part_of_a_filled_volume_is_not_verified() -> None:
    """A claim may hold more than what was fetched into it."""
    server = container(
        args=["/evil"],
        volumeMounts=[
            mount("models", "/models", subPath="good"),
            mount("models", "/evil", subPath="evil"),
        ],
    )
    volumes = [{"name": "models", "persistentVolumeClaim": {"claimName": "x"}}]
    result = injected(pod(server, volumes=volumes), {MODELS: "acme/m=/models"})
    assert codes(result) == [ReasonCode.POD_UNVERIFIED_PATH]
    good = server | {"args": ["/models"]}
    assert not injected(pod(good, volumes=volumes), {MODELS: "acme/m=/models"}).problems


def test_the_annotation_fills_the_path_that_a_server_reads() -> None:
    server = container(args=["/models/x"])
    result = injected(pod(server), {MODELS: "s3://b/x=/models/x"})
    assert not result.problems
    assert of(result.pod, "server")["volumeMounts"] == [
        mount("oms-gate-0", "/models/x", readOnly=True)
    ]


def test_two_models_do_not_share_a_folder() -> None:
    result = injected(pod(), {MODELS: "s3://b/x=/m s3://b/y=/m"})
    assert codes(result) == [ReasonCode.POD_MODEL_UNKNOWN]


@pytest.mark.parametrize(
    "path", ["/oms-gate/hub", "/oms-gate/hub/", "/oms-gate/hub/models--acme--m", "//oms-gate/hub/x"]
)
def test_nothing_is_mounted_over_a_model(path: str) -> None:
    server = SERVER | {"volumeMounts": [mount("mine", path)]}
    result = injected(pod(server, volumes=[{"name": "mine", "emptyDir": {}}]))
    assert codes(result) == [ReasonCode.POD_CHANGED]


def test_no_part_of_the_cache_is_mounted_instead() -> None:
    server = SERVER | {"volumeMounts": [mount("oms-gate-hub", "/oms-gate/hub", subPath="x")]}
    assert codes(injected(pod(server))) == [ReasonCode.POD_CHANGED]


@pytest.mark.parametrize("field", ["containers", "ephemeralContainers"])
@pytest.mark.parametrize("name", ["oms-gate-0", "oms-gate-17", "storage-initializer"])
def test_the_gates_names_are_its_own(field: str, name: str) -> None:
    fake = container(name, "evil", args=["hf://acme/m", "/mnt/models"])
    before = pod(SERVER)
    before[field] = [*before.get(field, []), fake]
    assert ReasonCode.POD_CHANGED in codes(injected(before))


def test_a_container_that_looks_like_the_gates_becomes_it() -> None:
    fake = container(
        "oms-gate-0",
        "evil",
        command=["sh"],
        args=["-c", "cp evil /oms-gate/hub"],
        env=[{"name": "LD_PRELOAD", "value": "/evil.so"}],
        envFrom=[{"configMapRef": {"name": "evil"}}],
        workingDir="/evil",
        restartPolicy="Always",
        lifecycle={"postStart": {"exec": {"command": ["evil"]}}},
        volumeMounts=[
            mount("oms-gate-hub", "/oms-gate/hub"),
            mount("evil", "/opt/oms-gate"),
            mount("token", "/var/run/secrets/kubernetes.io/serviceaccount", readOnly=True),
        ],
        securityContext={"privileged": True, "runAsUser": 7},
    )
    volumes = [{"name": "evil", "emptyDir": {}}, {"name": "token", "emptyDir": {}}]
    result = injected(pod(SERVER, initContainers=[fake], volumes=volumes))
    made, plain = of(result.pod, "oms-gate-0"), of(injected(pod(SERVER)).pod, "oms-gate-0")
    assert made["securityContext"] == plain["securityContext"] | {"runAsUser": 7}
    assert made["volumeMounts"] == [*plain["volumeMounts"], fake["volumeMounts"][2]]
    keys = ("volumeMounts", "securityContext")
    assert {k: v for k, v in made.items() if k not in keys} == {
        k: v for k, v in plain.items() if k not in keys
    }


def test_a_fake_goes_where_there_is_no_model() -> None:
    result = injected(pod(container("web", "nginx"), initContainers=[container("oms-gate-3", "x")]))
    assert result.pod["initContainers"] == []


def test_kserves_initializer_becomes_the_gates() -> None:
    initializer = container(
        "storage-initializer",
        "kserve/storage-initializer",
        args=["hf://acme/m:v1", "/mnt/models", "s3://b/lora", "/mnt/lora"],
        volumeMounts=[mount("kserve-provision-location", "/mnt/models")],
    )
    server = container(
        "kserve-container",
        "kserve/huggingfaceserver:1",
        args=["--model_dir=/mnt/models"],
        volumeMounts=[mount("kserve-provision-location", "/mnt/models", readOnly=True)],
    )
    volumes = [{"name": "kserve-provision-location", "emptyDir": {}}]
    result = injected(pod(server, initContainers=[initializer], volumes=volumes))
    assert not result.problems
    made = of(result.pod, "storage-initializer")
    assert made["image"] == SETTINGS.image
    assert made["args"][:3] == ["pull", f"hf://acme/m@{COMMIT}", "/mnt/models"]
    assert made["volumeMounts"] == [mount("kserve-provision-location", "/mnt/models")]
    assert result.annotations[PLACED] == "s3://b/lora=/mnt/lora"
    again = injected(result.pod, result.annotations)
    assert (again.pod, again.annotations) == (result.pod, result.annotations)


# What others add to every container after the gate, and may.
def added_by_others(made: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(made)
    role = [
        {"name": "AWS_ROLE_ARN", "value": "arn:x"},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/eks/token"},
    ]
    for one in (*made.get("initContainers", []), *made["containers"]):
        one["env"] = [*one.get("env", []), *role]
        one["volumeMounts"] = [
            *one.get("volumeMounts", []),
            mount("token", "/var/run/secrets/eks", readOnly=True),
        ]
        one["imagePullPolicy"] = "IfNotPresent"
        one["terminationMessagePath"] = "/dev/termination-log"
    made["volumes"] = [*made.get("volumes", []), {"name": "token", "projected": {}}]
    return made


ANY_CONTAINER = st.sampled_from(
    [
        SERVER,
        DOWNLOAD,
        LOCAL,
        container(args=["acme/m", "--download-dir", "/data", "--tokenizer", "acme/t"]),
        container(args=["s3://b/x"]),
        container(args=["--model", "s3://b/y", "--lora-modules", "a=acme/m"]),
        container(image="tritonserver", args=["--model-repository=s3://c/x"]),
        container(image="x", command=["sh", "-c", "vllm serve acme/m --revision v1"]),
        container("storage-initializer", "x", args=["hf://acme/m:v1", "/mnt/m", "s3://b/x", "/x"]),
        container("web", "nginx", volumeMounts=[mount("models", "/w")]),
        container("oms-gate-1", "evil"),
    ]
)
ANNOTATION = st.sampled_from(
    ["", "acme/m", "s3://b/x=/models", "acme/t@v2 s3://b/x=/oms-gate/models/x"]
)


@settings(max_examples=300)
@given(
    st.lists(ANY_CONTAINER, max_size=3), st.lists(ANY_CONTAINER, max_size=2), ANNOTATION, st.data()
)
def test_done_again_it_changes_nothing(
    servers: list[dict[str, Any]],
    before: list[dict[str, Any]],
    annotation: str,
    data: st.DataObject,
) -> None:
    """Whatever is in a pod: nor after others have added what they may."""

    def named(lot: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
        return [
            one
            if one["name"].startswith(("oms-gate", "storage"))
            else one | {"name": f"{prefix}{i}"}
            for i, one in enumerate(copy.deepcopy(lot))
        ]

    given_pod = pod(
        *[one for one in named(servers, "c") if not one["name"].startswith(("oms", "storage"))],
        initContainers=named(before, "i"),
        volumes=[{"name": "models", "emptyDir": {}}],
    )
    once = injected(given_pod, {MODELS: annotation} if annotation else {})
    if once.problems:
        return
    made = added_by_others(once.pod) if data.draw(st.booleans()) else once.pod
    twice = injected(made, once.annotations)
    assert (twice.pod, twice.annotations) == (made, once.annotations)
    assert not twice.problems


def test_the_patch_makes_the_pod() -> None:
    template = {"metadata": {}, "spec": pod(SERVER)}
    result = injected(template["spec"])
    operations = changes(("spec", "template"), template, result.pod, result.annotations)
    assert {operation["path"] for operation in operations} == {
        "/spec/template/spec/volumes",
        "/spec/template/spec/initContainers",
        "/spec/template/spec/containers",
        "/spec/template/metadata/annotations",
    }
    assert not changes(
        (), {"metadata": {"annotations": {}}, "spec": template["spec"]}, template["spec"], {}
    )
