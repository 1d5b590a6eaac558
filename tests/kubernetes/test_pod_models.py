"""Which models a pod uses: by its annotation, and by what its containers run."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import StepError
from oms_gate.kubernetes.clients import CLIENTS, Client
from oms_gate.kubernetes.scripts import tokens
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.reason_codes import ReasonCode
from tests.kubernetes.pods import container, found_in, models_in

ORG = "hf://acme/m"

NAMED: list[tuple[dict[str, Any], set[str]]] = [
    (container(args=["--model", "acme/m"]), {ORG}),
    (container(args=["--model=acme/m"]), {ORG}),
    (container(args=["acme/m"]), {ORG}),
    (container(args=["--mode=acme/m"]), {ORG}),
    (container(args=["--enforce-eager", "acme/m"]), {ORG}),
    (container(args=["acme/m", "--revision", "v1"]), {f"{ORG}@v1"}),
    (container(args=["--model", "acme/m", "--revision=refs/pr/1"]), {f"{ORG}@refs/pr/1"}),
    (
        container(args=["acme/m", "--tokenizer", "acme/t", "--tokenizer-revision", "x"]),
        {ORG, "hf://acme/t@x"},
    ),
    (
        container(args=["acme/m", "--tokenizer_revision=x", "--tokenizer=acme/t"]),
        {ORG, "hf://acme/t@x"},
    ),
    (
        container(args=["acme/m", "--lora-modules", "a=acme/a", "b=acme/b"]),
        {ORG, "hf://acme/a", "hf://acme/b"},
    ),
    (
        container(args=["acme/m", "--lora-modules", '{"name": "a", "path": "acme/a"}']),
        {ORG, "hf://acme/a"},
    ),
    (
        container(args=["acme/m", "--speculative-config", '{"model": "acme/d"}']),
        {ORG, "hf://acme/d"},
    ),
    (container(args=["acme/m", "--speculative-config", '{"method": "ngram"}']), {ORG}),
    (container(args=["acme/m", "--served-model-name", "acme/public"]), {ORG}),
    (container(args=["--model", "$(MODEL)"], env=[{"name": "MODEL", "value": "acme/m"}]), {ORG}),
    (
        container(
            args=["--model", "$(ORG)/m"],
            env=[{"name": "A", "value": "acme"}, {"name": "ORG", "value": "$(A)"}],
        ),
        {ORG},
    ),
    (container(image="python", command=["vllm", "serve", "acme/m"]), {ORG}),
    (container(image="python", command=["/opt/bin/vllm", "serve"], args=["acme/m"]), {ORG}),
    (
        container(
            image="python",
            command=["numactl", "-N", "0", "python3", "-m", "vllm.entrypoints.openai.api_server"],
            args=["--model", "acme/m"],
        ),
        {ORG},
    ),
    (container(image="python", command=["sh", "-c", "exec vllm serve acme/m --port 1"]), {ORG}),
    (
        container(image="python", command=["bash", "-ec"], args=["cd /x && vllm serve 'acme/m'"]),
        {ORG},
    ),
    (
        container(
            image="python", command=["bash", "-c", "M=acme/m\nvllm serve \\\n  --model ${M}"]
        ),
        {ORG},
    ),
    (
        container(
            image="python",
            command=["sh", "-c", "vllm serve $MODEL"],
            env=[{"name": "MODEL", "value": "acme/m"}],
        ),
        {ORG},
    ),
    (container(image="python", command=["sh", "-c", "bash -c 'vllm serve acme/m'"]), {ORG}),
    (container(image="python", command=["sh", "-c", "(vllm serve acme/m)&wait"]), {ORG}),
    (
        container(image="python", command=["sh", "-c", "hf download acme/m; hf download acme/t"]),
        {ORG, "hf://acme/t"},
    ),
    (container(image="python", command=["huggingface-cli", "download", "acme/m"]), {ORG}),
    (
        container(image="python", command=["hf", "download", "--revision", "v1", "acme/m"]),
        {f"{ORG}@v1"},
    ),
    (
        container(image="python", command=["hf", "download", "--repo-type", "dataset", "acme/d"]),
        {"hf://datasets/acme/d"},
    ),
    (container(image="python", command=["hf", "download", "acme/m", "config.json"]), {ORG}),
    (
        container(
            image="ghcr.io/huggingface/text-generation-inference:3", args=["--model-id", "acme/m"]
        ),
        {ORG},
    ),
    (
        container(
            image="tgi/text-generation-inference@sha256:00",
            env=[{"name": "MODEL_ID", "value": "acme/m"}, {"name": "REVISION", "value": "v1"}],
        ),
        {f"{ORG}@v1"},
    ),
    (
        container(
            image="text-generation-inference",
            command=["/entrypoint.sh"],
            env=[
                {"name": "MODEL_ID", "value": "acme/m"},
                {"name": "LORA_ADAPTERS", "value": "acme/a,acme/b"},
            ],
        ),
        {ORG, "hf://acme/a", "hf://acme/b"},
    ),
    (container(image="ghcr.io/x/text-embeddings-inference:1", args=["--model-id=acme/m"]), {ORG}),
    (
        container(
            image="lmsysorg/sglang:1",
            command=["python3", "-m", "sglang.launch_server", "--model-path", "acme/m"],
        ),
        {ORG},
    ),
    (
        container(image="nvcr.io/nvidia/tritonserver:25", args=["--model-repository=s3://b/x"]),
        {"s3://b/x"},
    ),
    (container(image="x", command=["tritonserver", "--model-store", "s3://b/x"]), {"s3://b/x"}),
    (
        container(image="kserve/huggingfaceserver:1", args=["--model_name=x", "--model_id=acme/m"]),
        {ORG},
    ),
    (
        container("storage-initializer", "kserve/x", args=["hf://acme/m:v1", "/mnt/models"]),
        {f"{ORG}@v1"},
    ),
    (container("storage-initializer", "kserve/x", args=["s3://b/x", "/mnt/models"]), {"s3://b/x"}),
    (container(image="python", command=["python", "server.py", "--model", "acme/m"]), set()),
    (container(image="vllm/router:1", args=["--model", "acme/m"]), set()),
    (container(image="busybox"), set()),
]


@pytest.mark.parametrize(("given", "models"), NAMED, ids=map(str, range(len(NAMED))))
@pytest.mark.parametrize("field", ["containers", "initContainers", "ephemeralContainers"])
def test_the_models_that_a_container_names_are_found(
    given: dict[str, Any], models: set[str], field: str
) -> None:
    found = found_in({field: [given]})
    assert {use.reference.url for use in found.uses} == models
    assert not found.problems


UNCLEAR: list[dict[str, Any]] = [
    container(),
    container(args=["--dtype", "half"]),
    container(args=["--model", "$(MODEL)"], envFrom=[{"configMapRef": {"name": "x"}}]),
    container(
        args=["--model", "$(M)"],
        env=[{"name": "M", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}],
    ),
    container(args=["--config", "/etc/vllm.yaml"]),
    container(image="python", command=["sh", "-c", "vllm serve $(cat /etc/model)"]),
    container(image="python", command=["sh", "-c", "vllm serve `cat /etc/model`"]),
    container(image="python", command=["sh", "-c", 'M=$(cat x); vllm serve "$M"']),
    container(
        image="text-generation-inference",
        env=[{"name": "MODEL_ID", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}],
    ),
    container(
        image="text-generation-inference",
        env=[
            {"name": "MODEL_ID", "value": "acme/m"},
            {"name": "REVISION", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
        ],
    ),
]

WRONG: list[dict[str, Any]] = [
    container(image="python", command=["sh", "-c", "vllm serve $MODEL"]),
    container(image="python", command=["sh", "-c", "vllm serve 'acme/m"]),
    container(args=["--model", "acme/m/../x"]),
    container(args=["--model", "acme/m@v1"]),
    container(args=["--model", "acme/m/folder"]),
    container(args=["acme/m", "--lora-modules", "{broken"]),
    container(image="python", command=["hf", "download", "--repo-type", "bucket", "acme/m"]),
    container("storage-initializer", "kserve/x", args=["hf://acme/m"]),
    container("storage-initializer", "kserve/x", args=["hf://acme", "/mnt/models"]),
]


@pytest.mark.parametrize("given", UNCLEAR, ids=lambda value: str(value)[:70])
def test_what_nobody_can_tell_is_a_problem(given: dict[str, Any]) -> None:
    found = found_in({"containers": [given]})
    assert [reason.code for reason in found.problems] == [ReasonCode.POD_MODEL_UNKNOWN]
    assert "nobody can tell" in found.problems[0].message
    assert not found.uses


@pytest.mark.parametrize("given", WRONG, ids=lambda value: str(value)[:70])
def test_what_can_be_no_model_is_a_problem(given: dict[str, Any]) -> None:
    found = found_in({"containers": [given]})
    assert [reason.code for reason in found.problems] == [ReasonCode.POD_MODEL_UNKNOWN]


def test_an_annotation_says_what_the_container_does_not() -> None:
    pod = {"containers": [container(args=["--config", "/etc/vllm.yaml"])]}
    found = found_in(pod, {"oms-gate.dev/models": "acme/m"})
    assert [use.reference.url for use in found.uses] == [ORG]
    assert not found.problems


def test_an_annotation_names_several_models_and_their_folders() -> None:
    text = "acme/m, hf://acme/t@v1\n s3://b/x=/models/x/"
    uses = found_in({"containers": []}, {"oms-gate.dev/models": text}).uses
    assert [(use.reference.url, use.folder) for use in uses] == [
        (ORG, None),
        ("hf://acme/t@v1", None),
        ("s3://b/x", "/models/x"),
    ]


@pytest.mark.parametrize(
    "text",
    ["s3://b/x", "acme/m=models", "acme/m=/", "acme/m=/a/../b", "acme/m=//x", "s3://b/?x=/x"],
)
def test_an_annotation_that_cannot_be_meant_is_a_problem(text: str) -> None:
    found = found_in({"containers": []}, {"oms-gate.dev/models": text})
    assert [reason.code for reason in found.problems] == [ReasonCode.POD_MODEL_UNKNOWN]
    assert not found.uses


def test_a_local_path_is_no_name() -> None:
    found = found_in({"containers": [container(args=["/models/x"])]})
    assert [(local.path, local.surely) for local in found.paths] == [("/models/x", True)]
    assert not found.uses


def test_only_an_init_container_of_the_gates_name_is_the_gates() -> None:
    fake = container("oms-gate-0", args=["acme/m"])
    assert models_in({"initContainers": [fake]}) == set()
    assert models_in({"containers": [fake]}) == models_in({"ephemeralContainers": [fake]}) == {ORG}


def test_operators_add_clients() -> None:
    mine = Client(name="mine", programs=("serve-it",), options=("--weights",))
    settings = KubernetesSettings(image="x", clients=(mine,))
    pod = {"containers": [container(image="x", command=["serve-it", "--weights", "acme/m"])]}
    assert not found_in(pod).uses
    assert [use.reference.url for use in found_in(pod, None, settings).uses] == [ORG]


def test_the_last_of_several_values_counts() -> None:
    env = [{"name": "M", "value": "acme/other"}, {"name": "M", "value": "acme/m"}]
    assert models_in({"containers": [container(args=["$(M)"], env=env)]}) == {ORG}


_words = st.lists(
    st.sampled_from(
        [
            *(p for c in CLIENTS for p in c.programs),
            "--model",
            "=",
            "acme/m",
            "$(X)",
            "$X",
            "sh",
            "-c",
        ]
    )
    | st.text(max_size=12),
    max_size=8,
)


@given(_words, _words)
def test_whatever_a_container_runs_it_can_be_read(command: list[str], args: list[str]) -> None:
    found_in({"containers": [container(image="x", command=command, args=args)]})


@given(_words, st.text(max_size=30))
def test_whatever_a_script_says_it_can_be_read(words: list[str], more: str) -> None:
    script = " ".join(words) + more
    found_in({"containers": [container(image="x", command=["sh", "-c", script])]})


LONG = "x" * 1000


SCRIPTS: list[tuple[str, list[str | None]]] = [
    ("a b", ["a", "b"]),
    ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
    ("a'b'\"c\"d", ["abcd"]),
    ("a '' b", ["a", "", "b"]),
    ("a;b&&c|d&", ["a", None, "b", None, None, "c", None, "d", None]),
    ("a ';' \\; \"&\"", ["a", ";", ";", "&"]),
    ("a \\\n  b\nc", ["a", "b", None, "c"]),
    ("a # it's\nb#c", ["a", None, "b#c"]),
    ("a $(b 'c d' $(e)) f", ["a", "$(b 'c d' $(e))", "f"]),
    ("a `b c` d", ["a", "`b c`", "d"]),
    ("a ${b:-c d} e", ["a", "${b:-c d}", "e"]),
    ("a > b 2>&1 <c d", ["a", "d"]),
    ("a 2>b c", ["a", "c"]),
    ("sh <<EOF\nb c\nEOF\nd", ["sh", "b c\n", None, None, "d"]),
    ("sh <<'EOF' # x\nit's\nEOF\n", ["sh", "it's\n", None, None]),
    ("sh <<< 'b c'", ["sh", "b c"]),
    (r'a "b\"c" "\$d"', ["a", 'b"c', "$d"]),
    ("(a)", [None, "a", None]),
]


@pytest.mark.parametrize(("script", "words"), SCRIPTS)
def test_a_script_is_taken_apart_as_a_shell_does(script: str, words: list[str | None]) -> None:
    assert [token if isinstance(token, str) else None for token in tokens(script)] == words


@pytest.mark.parametrize("script", ["a 'b", 'a "b', 'a "b\\"', "a `b"])
def test_a_quotation_that_is_not_ended_is_an_error(script: str) -> None:
    with pytest.raises(ValueError, match="not ended"):
        list(tokens(script))


@given(st.text(alphabet="ab '\"\\`$(){};&|<>#\n", max_size=60))
def test_whatever_is_taken_apart_comes_to_an_end(script: str) -> None:
    with suppress(ValueError):
        list(tokens(script))


@pytest.mark.parametrize("kind", ["environment", "script"])
def test_variables_that_grow_without_end_are_refused(kind: str) -> None:
    """Each ten times as long as the one before: no machine could hold the last one."""
    env = [{"name": "V0", "value": LONG}]
    env += [{"name": f"V{i}", "value": f"$(V{i - 1})" * 10} for i in range(1, 12)]
    script = ";".join([f"V0={LONG}", *(f"V{i}=" + f"$V{i - 1}" * 10 for i in range(1, 12))])
    given = {
        "environment": container(image="x", env=env),
        "script": container(image="x", command=["sh", "-c", f"{script};true"]),
    }
    with pytest.raises(StepError) as caught:
        found_in({"containers": [given[kind]]})
    assert caught.value.reason.code is ReasonCode.POD_MALFORMED
    assert "kubernetes.characters" in caught.value.reason.message


@pytest.mark.parametrize(
    "given",
    [
        container(image="x", command=["true"] * 20_001),
        container(image="x", command=["sh", "-c", "true;" * 20_001]),
        container(image="x", command=["vllm", "serve"] * 5_000),
        container(args=["--model", "acme/m"] * 10_001),
    ],
    ids=["command", "script", "programs", "arguments"],
)
def test_more_words_than_can_be_read_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(StepError) as caught:
        found_in({"containers": [given]})
    assert caught.value.reason.code is ReasonCode.POD_MALFORMED
