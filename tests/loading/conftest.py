"""Fixtures of the tests that load: a key, a gate that trusts it, and an admitted model."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from tests.delivery.pulling import close_gates, gate_of, signed
from tests.loading.real_model import real_files
from tests.peers.content import Content
from tests.peers.hub import HubStandIn


@pytest.fixture(scope="module", autouse=True)
def gates() -> Iterator[None]:
    """The gates of a module are closed with it: each has a thread."""
    yield
    close_gates()


@pytest.fixture
def settings(public_key: Path) -> dict[str, Any]:
    """A configuration that trusts the key for Acme's models."""
    return {
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "hf://datasets/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
        "stores": {"private_hosts": ["localhost"]},  # The stand-in's other origin, for 1.x.
    }


@pytest.fixture
def gate(settings: dict[str, Any]) -> Gate:
    return gate_of(settings)


@pytest.fixture
def annotating(settings: dict[str, Any]) -> Gate:
    """The same, which lets denied models through."""
    return gate_of(settings | {"mode": "annotate"})


@pytest.fixture
def embeddings(tmp_path: Path) -> dict[str, Content]:
    """A model of model2vec: a vector for each token of the real tokenizer."""
    import numpy
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(real_files()["tokenizer.json"]))
    vectors = numpy.random.default_rng(1).random((tokenizer.get_vocab_size(), 4), numpy.float32)
    folder = tmp_path / "static"
    StaticModel(vectors, tokenizer).save_pretrained(str(folder))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def working_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where others may have put something."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def base(hub: HubStandIn, key: ec.EllipticCurvePrivateKey, working_folder: Path) -> str:
    """A model that is signed on the Hub, and in a folder of its name is not."""
    from tests.loading.folders import BASE, put

    hub.create("acme/base", files=signed(key, {"config.json": BASE}))
    return put(working_folder / "acme/base", {"config.json": BASE})


@pytest.fixture
def adapter(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    named = json.dumps({"base_model_name_or_path": "acme/base"}).encode()
    hub.create("acme/adapter", files=signed(key, {"adapter_config.json": named}))
    return "acme/adapter"


@pytest.fixture
def gate_of_folders(settings: dict[str, Any]) -> Gate:
    (publisher,) = settings["publishers"]
    everywhere = publisher | {"models": ["hf://acme/*", "/**/acme/*"]}
    return gate_of(settings | {"publishers": [everywhere]})


@pytest.fixture
def modules(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where transformers has the code of models; nothing is loaded from there yet."""
    folder = home / "modules"
    for name in ("utils.hub", "utils", "dynamic_module_utils"):
        module = importlib.import_module(f"transformers.{name}")
        monkeypatch.setattr(module, "HF_MODULES_CACHE", str(folder))
    path, loaded = list(sys.path), set(sys.modules)
    yield folder
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        if name.startswith("transformers_modules"):
            del sys.modules[name]
