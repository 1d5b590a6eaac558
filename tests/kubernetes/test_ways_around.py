"""Pods that would load another model than those that were admitted: each is refused, and honest
ones, which look much alike, are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from oms_gate.kubernetes.injection import Injected
from oms_gate.reason_codes import ReasonCode
from tests.kubernetes.pods import container, injected, models_in, of

Json = dict[str, Any]

MODELS = "oms-gate.dev/models"
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}
ELSEWHERE = {"name": "data", "mountPath": "/data"}
GOOD = "hf://acme/good"
AT_X = {MODELS: "hf://acme/good=/models/x"}


def from_config_map(name: str) -> Json:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}


def serving(*args: str, **more: Any) -> Json:
    """A vLLM server with a claim of somebody's."""
    more = {"volumeMounts": [ELSEWHERE], **more}
    return container(args=list(args), **more)


def script(text: str, *shell: str, **more: Any) -> Json:
    more = {"volumeMounts": [ELSEWHERE], **more}
    return container(command=[*(shell or ("sh", "-c")), text], **more)


def command(*words: str, **more: Any) -> Json:
    return container(command=list(words), **{"volumeMounts": [ELSEWHERE], **more})


def result(one: Json, annotations: Mapping[str, str] | None = None, **pod: Any) -> Injected:
    volumes = pod.pop("volumes", [CLAIM])
    return injected({"containers": [one], "volumes": volumes, **pod}, annotations)


TGI = "ghcr.io/huggingface/text-generation-inference:3"

SEEN: list[Json] = [
    serving("--model", "evil/model", "--served-model-name", "hf", "download"),
    container(image=TGI, args=["--model-id", "evil/model", "--hostname", "hf", "download"]),
    script("vllm serve evil/model", "bash", "-o", "pipefail", "-c"),
    script("vllm serve evil/model", "bash", "-euo", "pipefail", "-c"),
    script("vllm serve evil/model", "bash", "-Ec"),
    script("vllm serve evil/model", "sh", "-c", "--"),
    script("$CMD", env=[{"name": "CMD", "value": "vllm serve evil/model"}]),
    script("vllm $ARGS", env=[{"name": "ARGS", "value": "serve evil/model"}]),
    script('eval "vllm serve evil/model"'),
    script("# it's only a comment\nvllm serve evil/model"),
    script("vllm serve ${MODEL:-evil/model}"),
    command("su", "-c", "vllm serve evil/model", "vllm"),
    command("env", "-S", "vllm serve evil/model"),
    command("python3", "-mvllm.entrypoints.openai.api_server", "--model", "evil/model"),
    command("python3", "-um", "vllm.entrypoints.openai.api_server", "--model", "evil/model"),
    command("python3", "/opt/vllm/entrypoints/openai/api_server.py", "--model", "evil/model"),
    command("vllm", "run-batch", "--model", "evil/model", "-i", "a"),
    command("vllm", "bench", "throughput", "--model", "evil/model"),
    container(image="public.ecr.aws/x/vllm-cpu-release-repo:1", args=["--model", "evil/model"]),
    container(image="mirror.example/docker-vllm-openai:1", args=["--model", "evil/model"]),
]


@pytest.mark.parametrize("one", SEEN, ids=lambda one: str(one)[30:110])
def test_a_program_is_seen_however_it_is_started(one: Json) -> None:
    assert "hf://evil/model" in models_in({"containers": [one]})


# Beside a model that is admitted, from a volume that nobody has verified.
UNVERIFIED: list[Json] = [
    command("vllm", "serve", "--tokenizer", "acme/good", "--port", "80", "/data/evil"),
    command("vllm", "serve", "acme/good", "--enforce-eager", "/data/evil"),
    script("vllm serve acme/good --api-key '' --lora-modules x=/data/evil"),
    script("vllm serve acme/good --response-role ';' --lora-modules x=/data/evil"),
    script(r"vllm serve acme/good --response-role \; --lora-modules x=/data/evil"),
    script("vllm serve acme/good -tp $(nproc) --lora-modules x=/data/evil"),
    script("vllm serve acme/good -tp `nproc --all` --lora-modules x=/data/evil"),
    script("vllm serve acme/good > /log --lora-modules x=/data/evil"),
    script("vllm serve acme/good $E", env=[{"name": "E", "value": "--lora-modules x=/data/evil"}]),
    script("E='--lora-modules x=/data/evil'; vllm serve acme/good $E"),
    script("vllm serve acme/good $E", envFrom=[{"configMapRef": {"name": "x"}}]),
    script("vllm serve acme/good --port $E", envFrom=[{"configMapRef": {"name": "x"}}]),
    script("vllm serve acme/good --port=$E", env=[from_config_map("E")]),
    script('vllm serve acme/good "$@"', "sh", "-c"),
    script("vllm serve acme/good $(cat /data/args)"),
    serving("--model", "acme/good", "$(E)", env=[from_config_map("E")]),
    serving("acme/good", "--enforce-eager", "$(E)", env=[from_config_map("E")]),
    serving("acme/good", "$(1X)", env=[{"name": "1X", "value": "--model=/data/evil"}]),
    serving("acme/good", "$(A B)", env=[{"name": "A B", "value": "--model=/data/evil"}]),
    serving("--model", "acme/good", "--qlora-adapter-name-or-path", "/data/evil"),
    serving("--model", "acme/good", "--speculative-model", "/data/evil"),
    serving("--model", "acme/good", "-sc", '{"model": "/data/evil"}'),
    serving("--model", "acme/good", "--generation-config", "/data/evil"),
    container(
        image=TGI,
        args=["--model-id", "acme/good", "--lora-adapters", "x=/data/evil"],
        volumeMounts=[ELSEWHERE],
    ),
    container(
        image=TGI,
        args=["--model-id", "acme/good"],
        envFrom=[{"configMapRef": {"name": "x"}}],
        volumeMounts=[ELSEWHERE],
    ),
    container(
        image="kserve/huggingfaceserver:1",
        args=["--model_name=x"],
        volumeMounts=[{"name": "data", "mountPath": "/mnt/models"}],
    ),
    # Libraries take a folder of a model's name for it.
    serving("--model", "acme/good", workingDir="/data"),
    script("cd /data && vllm serve acme/good"),
    script("pushd /data; vllm serve acme/good"),
]


@pytest.mark.parametrize("one", UNVERIFIED, ids=lambda one: str(one)[30:130])
def test_nothing_is_read_from_a_volume_that_nobody_verified(one: Json) -> None:
    codes = [reason.code for reason in result(one).problems]
    assert codes
    assert set(codes) == {ReasonCode.POD_UNVERIFIED_PATH}


# What nobody can tell, or leads away from what was verified, whatever volumes there are.
ASTRAY: list[Json] = [
    command("bash", "/scripts/start.sh"),
    command("ray", "start", "--address=x:6379", "--block"),
    script("$(echo vllm) serve evil/model"),
    serving("--model", "acme/good", "--model-loader-extra-config", '{"tensorizer_uri": "s3://x"}'),
    serving("--model", "acme/good", "--default-mm-loras", '{"image": "/x"}'),
    serving("--model", "acme/good", env=[{"name": "VLLM_MODEL_REDIRECT_PATH", "value": "/x"}]),
    serving("--model", "acme/good", env=[{"name": "VLLM_USE_MODELSCOPE", "value": "1"}]),
    serving("--model", "acme/good", env=[from_config_map("VLLM_LORA_RESOLVER_CACHE_DIR")]),
    container(
        image=TGI,
        args=["--model-id", "acme/good"],
        env=[{"name": "WEIGHTS_CACHE_OVERRIDE", "value": "/x"}],
    ),
    script("HF_HUB_OFFLINE=0 HF_ENDPOINT=http://evil vllm serve acme/good"),
    script("export HF_HUB_CACHE=/tmp; vllm serve acme/good"),
    script("unset HF_HUB_OFFLINE; vllm serve acme/good"),
    script("env -i vllm serve acme/good"),
    script("env -u HF_HUB_OFFLINE vllm serve acme/good"),
    command("env", "HF_HUB_CACHE=/tmp", "vllm", "serve", "acme/good"),
    command("env", "-i", "vllm", "serve", "acme/good"),
    container(
        image="x",
        command=["sh", "-c", "MODEL_ID=/evil text-generation-launcher"],
        env=[{"name": "MODEL_ID", "value": "acme/good"}],
    ),
]


@pytest.mark.parametrize("one", ASTRAY, ids=lambda one: str(one)[30:130])
def test_what_leads_away_from_what_was_verified_is_refused(one: Json) -> None:
    one = {key: value for key, value in one.items() if key != "volumeMounts"}
    codes = [reason.code for reason in result(one, volumes=[]).problems]
    assert codes == [ReasonCode.POD_MODEL_UNKNOWN]


def at_x(**more: Any) -> Json:
    return {"name": "data", "mountPath": "/models/x", **more}


# With the model in a folder of its own.
BESIDE: list[tuple[Json, Mapping[str, str], list[Json]]] = [
    # Another part of the claim that was filled, beside it, over it, and all of it.
    (
        serving("--model", "/data/evil", volumeMounts=[at_x(subPath="good"), ELSEWHERE]),
        AT_X,
        [CLAIM],
    ),
    (
        serving(
            "/models/x",
            volumeMounts=[
                at_x(subPath="good"),
                {"name": "data", "mountPath": "/models/x/w", "subPath": "evil"},
            ],
        ),
        AT_X,
        [CLAIM],
    ),
    (
        serving(
            "/models/x",
            volumeMounts=[at_x(), {"name": "evil", "mountPath": "/models/x/config.json"}],
        ),
        AT_X,
        [CLAIM, {"name": "evil", "configMap": {"name": "evil"}}],
    ),
    # A link that images have.
    (
        serving(
            "/run/models/x", volumeMounts=[{"name": "data", "mountPath": "/var/run/models/x/w"}]
        ),
        {MODELS: "hf://acme/good=/run/models/x"},
        [CLAIM],
    ),
    (serving("./models/x", workingDir="/data"), AT_X, [CLAIM]),
    (serving("~/x"), {MODELS: "hf://acme/good=/~/x"}, [CLAIM]),
    (serving("--model", "/models/y"), AT_X, []),
    # What may be told of the model is in somebody's file.
    (serving("--config", "/data/c.yaml"), {MODELS: "acme/good"}, [CLAIM]),
    (
        container(image=TGI, env=[from_config_map("MODEL_ID")], volumeMounts=[ELSEWHERE]),
        {MODELS: "acme/good"},
        [CLAIM],
    ),
    # A folder of the model's name.
    (
        serving("acme/good", volumeMounts=[{"name": "data", "mountPath": "/app/acme/good"}]),
        {},
        [CLAIM],
    ),
    # The volumes of all pods of the node.
    (
        serving("acme/good", volumeMounts=[]),
        {},
        [{"name": "n", "hostPath": {"path": "/var/lib/kubelet/pods"}}],
    ),
    (serving("acme/good", volumeMounts=[]), {}, [{"name": "n", "hostPath": {"path": "/"}}]),
    (serving("/models/$(X)"), {MODELS: "hf://acme/good=/models/$(X)"}, [CLAIM]),
]


@pytest.mark.parametrize("case", BESIDE, ids=lambda case: str(case)[30:150])
def test_nothing_takes_the_place_of_a_verified_folder(
    case: tuple[Json, Mapping[str, str], list[Json]],
) -> None:
    one, annotations, volumes = case
    assert result(one, annotations, volumes=volumes).problems


def test_an_ephemeral_volumes_claim_is_the_same_by_its_name() -> None:
    writer = container("writer", "busybox", volumeMounts=[{"name": "again", "mountPath": "/w"}])
    volumes = [
        {"name": "data", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "again", "persistentVolumeClaim": {"claimName": "server-data"}},
    ]
    pod = {"containers": [serving("/models/x", volumeMounts=[at_x()]), writer], "volumes": volumes}
    made = injected(pod, AT_X)
    assert of(made.pod, "writer")["volumeMounts"][0]["readOnly"] is True


def test_no_variable_is_expanded_in_the_init_container() -> None:
    one = serving("acme/good", "--revision", "$$(HF_TOKEN)", volumeMounts=[])
    args = of(result(one, volumes=[]).pod, "oms-gate-0")["args"]
    assert args[args.index("--ref") + 1] == "$$(HF_TOKEN)"


@pytest.mark.parametrize(
    "path",
    ["/var/run/secrets/../../../usr/lib/python3", "/opt/oms-gate", "/var/run/secretsx", "/etc/ssl"],
)
def test_nothing_is_mounted_over_the_init_containers_own_files(path: str) -> None:
    fake = container(
        "oms-gate-0",
        "x",
        volumeMounts=[{"name": "evil", "mountPath": path}],
        terminationMessagePath="/opt/oms_gate/__main__.py",
    )
    made = of(
        result(serving("acme/good"), initContainers=[fake], volumes=[CLAIM]).pod, "oms-gate-0"
    )
    assert [mount["name"] for mount in made["volumeMounts"]] == ["oms-gate-hub"]
    assert "terminationMessagePath" not in made


HONEST: list[tuple[Json, Mapping[str, str]]] = [
    # A key, an address and a number from elsewhere.
    (
        serving(
            "acme/good",
            "--api-key",
            "$(K)",
            "--host",
            "$(H)",
            env=[from_config_map("K"), from_config_map("H")],
        ),
        {},
    ),
    (serving("acme/good", "--max-logprobs=$(N)", env=[from_config_map("N")]), {}),
    (serving("acme/good", "--chat-template", "/data/t.jinja"), {}),
    (serving("--chat-template", "/data/t.jinja", "--model", "acme/good"), {}),
    (
        serving(
            "acme/good", volumeMounts=[{"name": "data", "mountPath": "/root/.cache/huggingface"}]
        ),
        {},
    ),
    (serving("acme/good:Q4_K_M"), {}),
    (script("echo it is starting vllm serve; vllm serve acme/good"), {}),
    (script("vllm serve acme/good # that's all"), {}),
    (script("vllm serve acme/good 2>&1 | tee /data/log"), {}),
    (script("vllm serve acme/good --port ${PORT:-8000}"), {}),
    (script("vllm serve acme/good --host $HOSTNAME"), {}),
    (script("vllm --help; vllm serve --help; vllm serve acme/good"), {}),
    (script("pip install vllm && vllm serve acme/good", volumeMounts=[]), {}),
    (script("cd /app && vllm serve acme/good"), {}),
    (command("vllm", "serve", "--chat-template", "/data/t.jinja", "acme/good"), {}),
    (command("vllm", "serve", "--x", "/app", "acme/good", volumeMounts=[]), {}),
    (command("ray", "start", "--block", volumeMounts=[]), {MODELS: "acme/good"}),
    (
        serving("--model", "$(M)", env=[from_config_map("M")], volumeMounts=[]),
        {MODELS: "acme/good"},
    ),
    (script("vllm serve acme/good -tp $(nproc)", volumeMounts=[]), {}),
    (
        serving("/models/x", volumeMounts=[{"name": "data", "mountPath": "/models"}]),
        AT_X,
    ),
]


@pytest.mark.parametrize("case", HONEST, ids=lambda case: str(case[0])[30:130])
def test_who_is_honest_is_not_refused(case: tuple[Json, Mapping[str, str]]) -> None:
    one, annotations = case
    made = result(one, annotations)
    assert [reason.message for reason in made.problems] == []
    assert "hf://acme/good" in models_in({"containers": [one]}, annotations)


def test_a_pod_may_say_that_it_uses_no_models() -> None:
    one = command("pytest", volumeMounts=[])
    assert result(one, volumes=[]).problems
    made = result(one, {MODELS: "none"}, volumes=[])
    assert not made.problems
    assert of(made.pod, "server")["env"] == [{"name": "HF_HUB_OFFLINE", "value": "1"}]


def test_a_downloader_fills_the_folder_of_a_volume_that_others_read() -> None:
    """In one volume of the pod, or in a claim: below where it is mounted."""
    mount = {"name": "data", "mountPath": "/data"}
    words = ["hf", "download", "acme/good", "--local-dir", "/data/m"]
    download = container("download", "python", command=words, volumeMounts=[mount])
    for volume in (CLAIM, {"name": "data", "emptyDir": {}}):
        made = result(serving("/data/m"), initContainers=[download], volumes=[volume])
        assert not made.problems
        fetcher = of(made.pod, "oms-gate-0")
        assert fetcher["volumeMounts"] == [{"name": "data", "mountPath": "/data/m", "subPath": "m"}]
        assert of(made.pod, "server")["volumeMounts"] == [{**mount, "readOnly": True}]


def test_what_the_gate_placed_goes_with_the_word_that_named_it() -> None:
    first = result(serving("--model", "s3://b/one"), volumes=[])
    before = of(first.pod, "server")["volumeMounts"]
    changed = {
        "containers": [serving("--model", "s3://b/two", volumeMounts=before)],
        "initContainers": first.pod["initContainers"],
    }
    second = injected({**changed, "volumes": first.pod["volumes"]}, first.annotations)
    assert second.annotations["oms-gate.dev/placed"] == "s3://b/two=/oms-gate/models/two"
    assert len(second.pod["initContainers"]) == 1
    mounts = of(second.pod, "server")["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts] == ["/data", "/oms-gate/models/two"]
    third = injected({**second.pod, "containers": [serving("acme/good")]}, second.annotations)
    assert "oms-gate.dev/placed" not in third.annotations
    kept = {**third.pod, "containers": [{**serving("acme/good"), "volumeMounts": mounts}]}
    fourth = injected(kept, third.annotations)
    mounts = of(fourth.pod, "server")["volumeMounts"]
    assert [mount["name"] for mount in mounts] == ["data", "oms-gate-hub"]


def test_a_user_of_root_leaves_the_init_container_its_own() -> None:
    made = result(serving("acme/good"), securityContext={"runAsUser": 0})
    security = of(made.pod, "oms-gate-0")["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
