"""A small model that every client of the tests can load: embeddings of two words."""

from __future__ import annotations

import json
from typing import Any

import numpy
from safetensors.numpy import save

_VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "a": 2, "model": 3}
_TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": _VOCABULARY, "unk_token": "[UNK]"},
}


def files() -> dict[str, bytes]:
    """Its files: for transformers a BERT, for model2vec the vectors of its words."""
    return {
        "README.md": b"# Two words\n",
        "config.json": json.dumps({"model_type": "bert", "normalize": True}).encode(),
        "model.safetensors": weights(1),
        "tokenizer.json": json.dumps(_TOKENIZER).encode(),
        "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
    }


def weights(factor: float) -> bytes:
    """The vectors of its words."""
    vectors = numpy.arange(len(_VOCABULARY) * 64, dtype=numpy.float32).reshape(-1, 64)
    return save({"embeddings": factor * vectors})
