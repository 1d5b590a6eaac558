"""Kinds of files, by their names."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.policy.kinds import INERT, KINDS, kind_of

EXAMPLES = {
    "weights": "model.safetensors m.gguf m.ggml m.onnx m.onnx_data m.onnx_data_12 m.onnx.data m.h5 "
    "m.keras m.tflite m.msgpack m.npz m.npy m.mlmodel saved_model.pb v.data-00000-of-00001 v.index "
    "m.ort m.pdmodel yolo.weights m.lgb m.ubj m.cbm d.parquet d.arrow "
    "m.sft m.dduf m.flashpack MODEL.SAFETENSORS LICENSE.safetensors README.md.gguf",
    "pickle": "m.pt m.pth m.ckpt m.pkl m.pickle pytorch_model.bin m.joblib m.dill "
    "m.p m.skops m.pt2 m.torchscript __0_0.distcp README.pkl",
    "code": "modeling.py x.so x.so.1.2 x.dll x.dylib run.sh x.js n.ipynb k.cu README.py LICENSE.py "
    "m.llamafile m.pyz requirements.txt a/Requirements-dev.txt dev_requirements.in .claude/x.py "
    "requirements-vocab.txt vocab_requirements.txt tokenizer.model.v3.py vocab_x.py "
    "requirements.requirements.txt requirementsrequirements-x.requirements.txt "
    ".md/x.py docs.md/x.py x.md.py X.PY .cache/huggingface/x.py Dockerfile __init__.py",
    "config": "config.json a.yaml a.yml a.toml a.ini a.cfg a.conf chat_template.jinja SKILL.md "
    "a/oms-gate.verdict.json OMS-gate.verdict.json oms-gateXverdict.json "
    "model.safetensors.index.json Modelfile LICENSE.json d.jsonl "
    # Instructions to agents.
    "AGENTS.md CLAUDE.md GEMINI.md sub/CLAUDE.local.md AGENTS.override.md a/skill.md .cursorrules "
    ".windsurfrules .claude/agents/x.md sub/.Claude/x .cursor/rules/x.mdc .cursor/README.md "
    ".github/copilot-instructions.md .github/skills/x/y.md .github/prompts/x.prompt.md "
    "QWEN.md Warp.md CRUSH.md .windsurf/rules/x.md sub/.kiro/steering/x.md .junie/guidelines.md "
    ".gitx/x.md .x/.github/x.md",
    "tokenizer": "spiece.model tokenizer.json tekken.json tokenizer.model.v3 tokenizer.model.v7m1 "
    "vocab-src.json entity_vocab.json prophetnet.tokenizer bpe.codes byte_maps.json dict.txt "
    "vocab.txt vocab.json merges.txt a.tiktoken",
    "archive": "a.zip a.tar a.tar.gz a.gz a.xz a.7z a.nemo a.whl README.zip",
    "image": "a.png a.jpg a.JPEG a.svg",
    "document": "README.md a.rst a.pdf a.bib LICENSE LICENSE.txt LICENCE-MIT NOTICE NOTICE.txt "
    "README README.txt readme_vocab.txt "
    "license_model.txt Copying claude/x.md x.claude/x.md .github/x.md "
    "copilot-instructions.md .github/skills.md AGENTS.other.md .git/x.md .cache/x.md "
    "x/.github/x.md",
    "signature": "model.sig a.gguf.sig a.sigstore a.asc a.sig.json vocab_x.sig.json "
    "a.sigstore.json a.sigstore.jsonl a.intoto.json model.gguf.intoto.jsonl",
    "vcs": ".gitattributes .gitignore a/.gitkeep .claude/.gitignore",
    "cache": ".cache/huggingface/.gitignore .cache/huggingface/CACHEDIR.TAG "
    ".cache/huggingface/download/a/b.safetensors.metadata .cache/huggingface/download/x.lock "
    "oms-gate.verdict.json",
    # What a loader may read, or what nobody knows: never inert.
    "other": "notes.txt requirement.txt myrequirements.txt requirementsx.txt requirements.txt.x "
    "labels.txt model_params1.txt x.log "
    "a.wav data.csv x.xyz x "
    ".md .sig LICENSE.exe2 README.md~ readme.md.bak licenses.md.x model. md sig "
    "x.metadata .cache/x.lock .cache/huggingface/x.incomplete a/.cache/huggingface/x.lock "
    ".CACHE/huggingface/x.lock .cache/huggingface/cachedir.tag .git/config readmepy",
}


@pytest.mark.parametrize(
    ("path", "kind"), [(path, kind) for kind, paths in EXAMPLES.items() for path in paths.split()]
)
def test_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    "path", ["README.md\n", "README.md ", "a.md\u202e", "a.\u017fig", "a.md\0.py", ""]
)
def test_what_only_looks_inert_is_not(path: str) -> None:
    assert kind_of(path) not in INERT


@given(st.text(), st.sampled_from(["py", "pkl", "safetensors", "json", "zip"]))
def test_the_last_extension_decides(start: str, extension: str) -> None:
    name = start.rsplit("/", 1)[-1] + f"x.{extension}"
    assert kind_of(f"{start}x.{extension}") not in INERT or name.endswith((".sig.json",))


@given(st.text(), st.text())
def test_folders_do_not_matter(folder: str, name: str) -> None:
    name = name.replace("/", "")
    folder = folder.replace("/.", "/x.")  # Agents read what is hidden.
    assert kind_of(name) in KINDS
    assert kind_of(f"x{folder}/{name}") == kind_of(name)


@pytest.mark.parametrize(
    "word",
    [
        "requirements.",
        ".onnx",
        ".so.1",
        ".data-1-of-",
        ".github/",
        ".claude/",
        "readme-",
        "1.so.1",
        "vocab_",
        "-vocab",
    ],
)
@pytest.mark.parametrize("end", ["", "x", ".txt", "\n"])
def test_a_longer_name_takes_no_more_than_its_share(word: str, end: str) -> None:
    """The names of a listing come from strangers, a hundred thousand at a time."""

    def seconds(length: int) -> float:
        name = (word * length)[:length] + end
        return min(timeit.repeat(lambda: kind_of(name), number=5, repeat=9))

    assert seconds(16_000) < 9 * seconds(4_000)
