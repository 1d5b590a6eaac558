"""The programs that load models in pods, and how each is told which: one table.

``kubernetes.clients`` in ``gate.yaml`` adds to it.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Client(BaseModel):
    """How a program that loads models is recognised, and where it is told which.

    Options are compared without regard to ``_`` and ``-``, and abbreviated as argparse allows it.
    Values are names on the Hub (``org/name``), ``hf://`` or ``s3://`` URLs, or paths.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What messages call it.")
    programs: tuple[str, ...] = Field(
        default=(),
        description="Words that begin its command, such as 'vllm serve'; the first without its "
        "folder. They may stand anywhere in a container's command or in a script of it.",
    )
    images: tuple[str, ...] = Field(
        default=(),
        description="Names of images whose entry point it is, without registry, folder and tag; "
        "'*' stands for any text.",
    )
    positional: bool = Field(
        default=False, description="Whether its first argument without an option names the model."
    )
    options: tuple[str, ...] = Field(default=(), description="Options that name a model.")
    named_options: tuple[str, ...] = Field(
        default=(), description="Options with values NAME=MODEL, or JSON objects with a 'path'."
    )
    json_options: tuple[str, ...] = Field(
        default=(), description="Options with a JSON object whose 'model' names one."
    )
    environment: tuple[str, ...] = Field(
        default=(), description="Environment variables that name a model, or several with commas."
    )
    revisions: dict[str, str] = Field(
        default_factory=dict,
        description="By the option or variable that names a model ('' is the positional one): "
        "the one that gives its revision.",
    )
    cache_options: tuple[str, ...] = Field(
        default=(), description="Options that say where downloads are kept."
    )
    folder_options: tuple[str, ...] = Field(
        default=(), description="Options that say into which folder the model is put."
    )
    kind_options: tuple[str, ...] = Field(
        default=(), description="Options that say what kind of repository it is, such as dataset."
    )
    value_options: tuple[str, ...] = Field(
        default=(), description="Options with one value each that has nothing to do with models."
    )
    refused_options: tuple[str, ...] = Field(
        default=(),
        description="Options that let it load from elsewhere, or that name a file with options.",
    )
    refused_environment: tuple[str, ...] = Field(
        default=(), description="Variables that let it load from elsewhere."
    )
    name_option: str | None = Field(
        default=None,
        description="The option that keeps a model's public name where a path takes its place.",
    )
    needs_model: bool = Field(
        default=True, description="Whether it loads some model, even where none is named."
    )
    default: str | None = Field(
        default=None, description="The model, or the path, that it loads where none is named."
    )

    @field_validator("programs")
    @classmethod
    def _have_words(cls, programs: tuple[str, ...]) -> tuple[str, ...]:
        if not all(program.split() for program in programs):
            raise ValueError("an empty program would be every program")
        return programs


_DOWNLOAD: Final = {
    "positional": True,
    "revisions": {"": "--revision"},
    "cache_options": ("--cache-dir",),
    "folder_options": ("--local-dir",),
    "kind_options": ("--repo-type",),
    "needs_model": False,
}

# Often set from variables.
_SERVING: Final = (
    "--api-key",
    "--block-size",
    "--data-parallel-size",
    "--dtype",
    "--gpu-memory-utilization",
    "--host",
    "--hostname",
    "--master-addr",
    "--master-port",
    "--max-model-len",
    "--max-num-seqs",
    "--nnodes",
    "--node-rank",
    "--num-shard",
    "--pipeline-parallel-size",
    "--port",
    "--quantization",
    "--root-path",
    "--seed",
    "--tensor-parallel-size",
    "--tp-size",
    "-dp",
    "-pp",
    "-tp",
)

CLIENTS: Final = (
    Client(
        name="vLLM",
        programs=(
            "vllm serve",
            "vllm run-batch",
            "vllm bench latency",
            "vllm bench throughput",
            "-m vllm.entrypoints.openai.api_server",
            "-m vllm.entrypoints.openai.run_batch",
            "-m vllm.entrypoints.api_server",
            "-m vllm.entrypoints.cli.main",
        ),
        images=("vllm", "vllm-openai*", "*-vllm-openai*", "vllm-cpu*", "vllm-rocm*", "vllm-tpu*"),
        positional=True,
        options=(
            "--model",
            "--tokenizer",
            "--hf-config-path",
            "--speculative-model",
            "--speculative-config.model",
            "--qlora-adapter-name-or-path",
        ),
        named_options=("--lora-modules",),
        json_options=("--speculative-config", "-sc"),
        revisions={
            "": "--revision",
            "--model": "--revision",
            "--tokenizer": "--tokenizer-revision",
        },
        cache_options=("--download-dir",),
        value_options=_SERVING,
        refused_options=("--config", "--default-mm-loras", "--model-loader-extra-config"),
        refused_environment=(
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
            "VLLM_LORA_RESOLVER_CACHE_DIR",
            "VLLM_MODEL_REDIRECT_PATH",
            "VLLM_USE_MODELSCOPE",
        ),
        name_option="--served-model-name",
    ),
    Client(
        name="Text Generation Inference",
        programs=("text-generation-launcher", "text-generation-server"),
        images=("text-generation-inference*",),
        options=("--model-id", "--tokenizer-name"),
        named_options=("--lora-adapters",),
        environment=("MODEL_ID", "TOKENIZER_NAME", "LORA_ADAPTERS"),
        revisions={"--model-id": "--revision", "MODEL_ID": "REVISION"},
        cache_options=("--huggingface-hub-cache",),
        value_options=_SERVING,
        refused_options=("--weights-cache-override",),
        refused_environment=("WEIGHTS_CACHE_OVERRIDE",),
    ),
    Client(
        name="Text Embeddings Inference",
        programs=("text-embeddings-router",),
        images=("text-embeddings-inference*",),
        options=("--model-id",),
        environment=("MODEL_ID",),
        revisions={"--model-id": "--revision", "MODEL_ID": "REVISION"},
        cache_options=("--huggingface-hub-cache", "--hf-cache-dir"),
        value_options=_SERVING,
        name_option="--served-model-name",
    ),
    Client(
        name="SGLang",
        programs=("-m sglang.launch_server", "sglang serve"),
        images=("sglang",),
        options=(
            "--model-path",
            "--model",
            "--tokenizer-path",
            "--speculative-draft-model-path",
        ),
        named_options=("--lora-paths",),
        revisions={"--model-path": "--revision", "--model": "--revision"},
        cache_options=("--download-dir",),
        value_options=_SERVING,
        refused_options=("--config",),
        name_option="--served-model-name",
    ),
    Client(
        name="Triton",
        programs=("tritonserver",),
        images=("tritonserver*",),
        options=("--model-repository", "--model-store"),
    ),
    Client(
        name="KServe's Hugging Face server",
        programs=("-m huggingfaceserver",),
        images=("huggingfaceserver*",),
        options=("--model-id", "--model-dir", "--tokenizer", "--tokenizer-id"),
        named_options=("--lora-modules",),
        revisions={"--model-id": "--model-revision"},
        cache_options=("--download-dir",),
        default="/mnt/models",
    ),
    Client(name="hf download", programs=("hf download",), **_DOWNLOAD),
    Client(name="huggingface-cli download", programs=("huggingface-cli download",), **_DOWNLOAD),
)
"""The clients that the gate knows."""
