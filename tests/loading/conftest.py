"""Fixtures of the tests that load: a key, a gate that trusts it, and an admitted model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_gate import Gate
from tests.delivery.pulling import close_gates, gate_of
from tests.loading.real_model import real_files
from tests.peers.content import Content


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
