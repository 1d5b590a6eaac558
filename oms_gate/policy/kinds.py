"""What a file is to a loader, by its name alone.

A file of an inert kind (`INERT`) is one that no loader reads. Everything else counts as readable:
a name that is not known for certain is ``other``, which is not inert.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from oms_gate.verdict import VERDICT_FILE

Kind = Literal[
    "weights",
    "pickle",
    "code",
    "config",
    "tokenizer",
    "archive",
    "image",
    "document",
    "signature",
    "vcs",
    "cache",
    "other",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
INERT: Final[frozenset[Kind]] = frozenset({"cache", "document", "image", "signature", "vcs"})

_EXTENSIONS: Final[dict[Kind, str]] = {
    "weights": """
        safetensors sft dduf flashpack gguf ggml onnx onnx_data h5 hdf5 keras tflite msgpack npz npy
        mlmodel pb pbtxt pte engine plan params caffemodel ot mnn ncnn rknn ort pdmodel weights lgb
        ubj cbm parquet arrow""",
    "pickle": """
        bin pt pt2 pth ckpt torchscript distcp pkl p pickle skops joblib dill cloudpickle pdparams
        pdiparams jit ptl t7""",
    "code": """
        py pyc pyd pyi pyw pyx pxd pyz so dll dylib a o sh bash zsh ps1 bat cmd exe llamafile wasm
        js mjs cjs ts ipynb cu cuh ptx cubin metal cl c cc cpp cxx h hpp rs go java jar class lua rb
        pl r jl swift kt php tcl""",
    "config": "json jsonl yaml yml toml ini cfg conf jinja jinja2 j2 xml properties env",
    "tokenizer": "model spm tiktoken vocab bpe codes tokenizer",
    "archive": "zip tar gz tgz bz2 xz zst lz4 7z rar nemo mar whl egg",
    "image": "png jpg jpeg gif webp svg bmp ico tiff avif",
    "document": "md rst pdf bib",
    "signature": "sig sigstore asc",
}
_BY_EXTENSION: Final[dict[str, Kind]] = {
    extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()
}

_BY_NAME: Final[dict[str, Kind]] = {
    **dict.fromkeys((".gitattributes", ".gitignore", ".gitkeep"), "vcs"),
    **dict.fromkeys(
        (
            "tokenizer.json",
            "tekken.json",
            "byte_maps.json",
            "emoji.json",
            "word_shape.json",
            "word_pronunciation.json",
            "dict.txt",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "merges.txt",
        ),
        "tokenizer",
    ),
    **dict.fromkeys(("dockerfile", "makefile"), "code"),
    "modelfile": "config",
    # What an agent is told to do is read, although it is prose.
    **dict.fromkeys(
        (
            "skill.md",
            "agents.md",
            "agents.override.md",
            "claude.md",
            "claude.local.md",
            "crush.md",
            "gemini.md",
            "qwen.md",
            "warp.md",
            ".cursorrules",
            ".windsurfrules",
        ),
        "config",
    ),
}

_DOCUMENT = re.compile(
    r"(?:licen[cs]e|copying|notice|readme|changelog|authors|citation|contributing|security)"
    r"(?:[-_][^.]*)?(?:\.(?:txt|md|rst|pdf|html))?"
)
# Names whose end is numbered, and ends of more than one part.
_BY_PATTERN: Final[tuple[tuple[re.Pattern[str], Kind], ...]] = (
    (re.compile(r".+\.onnx(?:\.data|_data(?:_\d+)?)"), "weights"),
    (re.compile(r".+\.(?:data-\d+-of-\d+|index)"), "weights"),
    (re.compile(r"tokenizer\.model\.v\d+(?:m\d+)?"), "tokenizer"),
    (re.compile(r".+\.so(?:\.\d+)+"), "code"),
    # Installing a package runs it. The word is looked for once: a name may repeat it.
    (re.compile(r"(?=.*\.(?:txt|in)\Z).*?(?<![^-_.])requirements[-_.].*"), "code"),
    (re.compile(r".+\.(?:(?:sig|sigstore|intoto)\.json|(?:sigstore|intoto)\.jsonl)"), "signature"),
    (_DOCUMENT, "document"),
    # Last, as a name may be more than one of these. Its end is looked for once.
    (re.compile(r"(?=.*\.(?:json|txt)\Z)(?:.*?[-_])??vocab(?:[-_].*|\.(?:json|txt))"), "tokenizer"),
)
# The bookkeeping of downloads to a local folder, by huggingface_hub and by the gate: nothing else
# reads it.
_CACHE = re.compile(
    r"\.cache/huggingface/"
    r"(?:\.gitignore|CACHEDIR\.TAG|trees/[0-9a-f]{40}\.json|(?:[^/]+/)*[^/]+\.(?:metadata|lock))"
    rf"|{re.escape(VERDICT_FILE)}"
)
# Where agents look for instructions, whatever these are called: hidden folders, one for each agent.
_AGENT = re.compile(
    r"(?:.+/)?(?:\.(?!(?:git|github|cache)/)[^/]+/.+"
    r"|\.github/(?:copilot-instructions\.md|(?:agents|instructions|prompts|skills)/.+))",
    re.DOTALL,
)


def kind_of(path: str) -> Kind:
    """The kind of the file at `path`, which is relative to the model and uses ``/``.

    The last extension decides: ``LICENSE.safetensors`` is weights, ``README.py`` is code, and
    what a folder is called says nothing about its files; but where an agent looks for its
    instructions, prose is ``config``. Case does not matter, except for a download client's own
    bookkeeping (``cache``), which has to be named exactly.
    """
    if _CACHE.fullmatch(path):
        return "cache"
    kind = _kind_of_name(path)
    return "config" if kind in ("document", "other") and _AGENT.fullmatch(path.lower()) else kind


def _kind_of_name(path: str) -> Kind:
    name = path.rsplit("/", 1)[-1].lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    for pattern, kind in _BY_PATTERN:
        if pattern.fullmatch(name):
            return kind
    stem, _, extension = name.rpartition(".")
    return _BY_EXTENSION.get(extension, "other") if stem else "other"
