"""Libraries that load models, under a guard: what reaches their user, and what they run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import hf_hub_download, snapshot_download

from oms_gate import AdmissionDenied, Gate, ReasonCode, from_pretrained, guard
from tests.delivery.pulling import codes, signed
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

pytestmark = pytest.mark.usefixtures("modules")

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"},
}
MODEL: dict[str, Content] = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": json.dumps(_TOKENIZER).encode(),
    "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
}
# A model with code of its own, in two files.
CODED: dict[str, Content] = {
    "config.json": json.dumps(
        {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    ).encode(),
    "configuration_own.py": b"""
from transformers import PretrainedConfig
from .values import VALUE
class OwnConfig(PretrainedConfig):
    model_type = "own"
    value = VALUE
    def later(self):
        from .more import MORE
        return MORE
""",
    "values.py": b"VALUE = 'signed'\n",
    "more.py": b"MORE = 'signed'\n",
}
EVIL = {"values.py": "VALUE = 'evil'\n", "configuration_own.py": "from .values import evil\n"}


def load(name: str, **options: Any) -> Any:
    return transformers.AutoConfig.from_pretrained(name, trust_remote_code=True, **options)


def test_admitted_models_are_loaded(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key, MODEL))
    with guard(gate):
        assert load("acme/m").model_type == "bert"
        tokenizer = transformers.AutoTokenizer.from_pretrained("acme/m")
        assert tokenizer("a b")["input_ids"] == [0, 1]
        # Its compiled code calls the library's Python.
        assert tokenizers.Tokenizer.from_pretrained("acme/m").encode("b a").ids == [1, 0]


LOADERS: dict[str, Callable[[str], object]] = {
    "AutoConfig": lambda name: transformers.AutoConfig.from_pretrained(name),
    "AutoTokenizer": lambda name: transformers.AutoTokenizer.from_pretrained(name),
    "local_files_only": lambda name: load(name, local_files_only=True),
    "tokenizers": lambda name: tokenizers.Tokenizer.from_pretrained(name),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("cached", [False, True])
def test_the_reason_is_what_the_user_sees_last(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, loader: str, cached: bool
) -> None:
    hub.create("mallory/m", files=signed(key, MODEL))
    if cached:
        snapshot_download("mallory/m")
    with guard(gate), pytest.raises(AdmissionDenied) as denied:
        LOADERS[loader]("mallory/m")
    last = traceback.format_exception_only(denied.value)[-1]
    assert last.startswith("oms_gate.errors.AdmissionDenied: hf://mallory/m")
    assert codes(denied.value.verdict) == [
        ReasonCode.STORE_UNAVAILABLE
        if loader == "local_files_only"
        else ReasonCode.PUBLISHER_UNKNOWN
    ]


def test_a_repository_that_does_not_exist_is_none_that_was_denied(
    hub: HubStandIn, gate: Gate
) -> None:
    with guard(gate), pytest.raises(OSError, match="is not a valid model identifier"):
        load("acme/nothing")


def test_code_of_an_admitted_model_is_run(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, modules: Path
) -> None:
    hub.create("acme/m", files=signed(key, CODED))
    variable = os.environ.get("HF_MODULES_CACHE")
    with guard(gate):
        private = Path(transformers.dynamic_module_utils.HF_MODULES_CACHE)
        assert private != modules
        assert private.stat().st_mode & 0o777 == 0o700
        assert os.environ["HF_MODULES_CACHE"] == str(private)
        own = load("acme/m")
        assert own.value == "signed"
    assert os.environ.get("HF_MODULES_CACHE") == variable
    for name in ("utils.hub", "utils", "dynamic_module_utils"):
        assert vars(sys.modules[f"transformers.{name}"])["HF_MODULES_CACHE"] == str(modules)
    assert str(private) not in sys.path
    assert not modules.exists()
    # What was loaded is used on, after the guard.
    assert own.later() == "signed"
    assert pickle.loads(pickle.dumps(own)).value == "signed"


@pytest.mark.parametrize("poisoned", EVIL)
@pytest.mark.parametrize("loaded", [False, True])
def test_code_that_was_there_before_is_not_run(
    hub: HubStandIn,
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    modules: Path,
    poisoned: str,
    loaded: bool,
) -> None:
    """Without a guard transformers runs what it finds in its folder, whoever put it there."""
    commit = hub.create("acme/m", files=signed(key, CODED))
    there = modules / "transformers_modules" / "acme" / "m" / commit
    there.mkdir(parents=True)
    for folder in (there, *there.parents[:4]):
        (folder / "__init__.py").touch()
    (there / poisoned).write_text(EVIL[poisoned])
    sys.path.append(str(modules))
    if loaded:
        if poisoned == "values.py":
            assert load("acme/m").value == "evil"
        else:
            with pytest.raises(ImportError, match="evil"):
                load("acme/m")
    with guard(gate):
        assert load("acme/m").value == "signed"
    # It is as it was; what the guard is not asked about is not its affair.
    assert (there / poisoned).read_text() == EVIL[poisoned]
    assert str(modules) in sys.path


def test_code_that_nobody_signed_is_not_run(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key, CODED))
    hub.replace_under_commit("acme/m", "values.py", b"VALUE = 'evilly'\n"[:17])
    with guard(gate), pytest.raises(AdmissionDenied) as denied:
        load("acme/m")
    assert codes(denied.value.verdict) == [ReasonCode.FILE_CHANGED]


@pytest.mark.parametrize("entry", ["guard", "from_pretrained"])
def test_code_of_another_repository_must_be_admitted_too(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, entry: str
) -> None:
    """Attack row 30: the model is signed, and names code of somebody else's."""
    elsewhere = {
        "model_type": "own",
        "auto_map": {"AutoConfig": "acme/code--configuration_own.OwnConfig"},
    }
    hub.create("acme/m", files=signed(key, {"config.json": json.dumps(elsewhere).encode()}))
    code = {path: content for path, content in CODED.items() if path != "config.json"}
    trusted = hub.create("acme/code", files=signed(key, code))
    hub.commit("acme/code", {"values.py": b"VALUE = 'evil'\n"})

    def loaded(**options: Any) -> Any:
        if entry == "guard":
            with guard(gate):
                return load("acme/m", **options)
        options |= {"gate": gate, "trust_remote_code": True}
        return from_pretrained(transformers.AutoConfig, "acme/m", **options)

    with pytest.raises(OSError, match=r"acme/code@.*values\.py.*\[file\.changed\]"):
        loaded()
    hub.commit("acme/code", {"model.sig": None})
    with pytest.raises(OSError, match=r"acme/code@.*\[signature\.missing\]"):
        loaded()
    assert loaded(code_revision=trusted).value == "signed"


def test_a_guard_after_a_guard(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, modules: Path
) -> None:
    hub.create("acme/m", files=signed(key, CODED))
    hub.create("acme/n", files=signed(key, {**CODED, "values.py": b"VALUE = 'other'\n"}))
    with guard(gate):
        first = load("acme/m")
    with guard(gate):
        second = load("acme/n")
        again = load("acme/m")
    unguarded = load("acme/n")
    assert [c.value for c in (first, second, again, unguarded)] == [
        "signed",
        "other",
        "signed",
        "other",
    ]
    assert first.later() == again.later() == unguarded.later() == "signed"
    assert (modules / "transformers_modules" / "acme" / "n").exists()


def test_a_library_that_is_imported_later(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, settings: dict[str, Any], tmp_path: Path
) -> None:
    commit = hub.create("acme/m", files=signed(key, CODED))
    config, modules = tmp_path / "gate.yaml", tmp_path / "modules"
    config.write_text(yaml.safe_dump(settings))
    there = modules / "transformers_modules" / "acme" / "m" / commit
    there.mkdir(parents=True)
    (there / "values.py").write_text(EVIL["values.py"])
    program = """
import os
from oms_gate import guard
with guard():
    from transformers import AutoConfig
    print(AutoConfig.from_pretrained("acme/m", trust_remote_code=True).value)
    private = os.environ["HF_MODULES_CACHE"]
print(os.environ["HF_MODULES_CACHE"])
from transformers import dynamic_module_utils
print(dynamic_module_utils.HF_MODULES_CACHE)
print(private, os.path.exists(private))
pid = os.fork()
if pid == 0:
    raise SystemExit
os.waitpid(pid, 0)
assert os.path.exists(private), "a child has removed it"
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OMS_GATE_CONFIG": str(config), "HF_MODULES_CACHE": str(modules)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    value, *usual, private, was_there = done.stdout.split()
    assert value == "signed"
    assert usual == [str(modules)] * 2
    assert was_there == "True"
    assert not Path(private).exists()


def test_embeddings_of_model2vec(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    numpy = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    model2vec = pytest.importorskip("model2vec")
    files: dict[str, Content] = {
        **MODEL,
        "config.json": b'{"normalize": false}',
        "model.safetensors": safetensors.save(
            {"embeddings": numpy.arange(6, dtype=numpy.float32).reshape(3, 2)}
        ),
    }
    hub.create("acme/e", files=signed(key, files))
    hub.create("mallory/e", files=signed(key, files))
    assert hf_hub_download("mallory/e", "config.json")
    with guard(gate):
        model = model2vec.StaticModel.from_pretrained("acme/e")
        assert model.encode(["b"]).tolist() == [[2.0, 3.0]]
        with pytest.raises(AdmissionDenied):
            model2vec.StaticModel.from_pretrained("mallory/e")
