"""What is read past Python while a model loads: weights and tokenizers of folders are refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors
from safetensors.numpy import load_file, save, save_file
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel, WordPiece
from transformers import BertTokenizer, GPT2Tokenizer

from oms_gate import ConfigError, Gate, from_pretrained
from tests.loading.folders import put, refused

pytestmark = pytest.mark.usefixtures("working_folder")

WEIGHTS = save({"a": numpy.zeros(3)})
TOKENIZER = Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str().encode()
PIECES = io.BytesIO()
SentencePieceTrainer.train(
    sentence_iterator=iter(["a b"] * 9), model_writer=PIECES, vocab_size=7, minloglevel=5
)
VOCABULARY = json.dumps({"a": 0}).encode()


def listed(name: str) -> Any:
    """As huggingface_hub's own mixin does: nobody looks at the file."""
    (file,) = os.listdir(name)  # noqa: PTH208
    return load_file(f"{name}/{file}")


@pytest.mark.parametrize(
    ("files", "read"),
    [
        ({"w.safetensors": WEIGHTS}, lambda at: safetensors.safe_open(f"{at}/w.safetensors", "np")),
        (
            {"w.safetensors": WEIGHTS},
            lambda at: safetensors.safe_open(framework="np", filename=Path(at, "w.safetensors")),
        ),
        ({"w.safetensors": WEIGHTS}, listed),
        ({"weights": WEIGHTS}, listed),  # Whatever it is called.
        ({"tokenizer.json": TOKENIZER}, lambda at: Tokenizer.from_file(f"{at}/tokenizer.json")),
        (
            {"tokenizer.json": TOKENIZER},
            lambda at: Tokenizer.from_file(path=f"{at}/tokenizer.json"),
        ),
        ({"s": PIECES.getvalue()}, lambda at: SentencePieceProcessor(f"{at}/s")),
        ({"s": PIECES.getvalue()}, lambda at: SentencePieceProcessor().load(f"{at}/s")),
        ({"s": PIECES.getvalue()}, lambda at: SentencePieceProcessor().LoadFromFile(f"{at}/s")),
        ({"s": PIECES.getvalue()}, lambda at: SentencePieceProcessor().load_from_file(f"{at}/s")),
        ({"v": VOCABULARY}, lambda at: WordLevel.read_file(f"{at}/v")),
        ({"v": VOCABULARY}, lambda at: WordLevel.from_file(vocab=f"{at}/v", unk_token="a")),
        ({"v": VOCABULARY}, lambda at: WordLevel(f"{at}/v", unk_token="a")),
        ({"v": b"a"}, lambda at: WordPiece(f"{at}/v")),
        ({"v": VOCABULARY, "m": b""}, lambda at: BPE(f"{at}/v", f"{at}/m")),
        ({"v": VOCABULARY, "m": b""}, lambda at: BPE(vocab=f"{at}/v", merges=f"{at}/m")),
        ({"v": b"a"}, lambda at: WordPiece.read_file(f"{at}/v")),
        ({"v": b"a"}, lambda at: WordPiece.from_file(f"{at}/v")),
        ({"v": VOCABULARY, "m": b""}, lambda at: BPE.read_file(f"{at}/v", f"{at}/m")),
        ({"v": VOCABULARY, "m": b""}, lambda at: BPE.from_file(f"{at}/v", merges=f"{at}/m")),
    ],
)
def test_a_folder_that_another_language_reads(
    files: dict[str, bytes],
    read: Callable[[str], object],
    adapter: str,
    gate: Gate,
    working_folder: Path,
) -> None:
    """Attack row 30: in the place of a base model."""
    put(working_folder / "acme/base", files)
    assert read("acme/base")
    assert "acme/base/" in refused(lambda _: read("acme/base"), adapter, gate)
    assert read("acme/base")  # It may be read before and after.


def test_a_second_file_is_judged_as_well(
    adapter: str, gate: Gate, working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(working_folder / "acme/base", {"m": b""})
    put(working_folder.parent / "installed", {"v": VOCABULARY})
    monkeypatch.syspath_prepend(working_folder.parent / "installed")

    def load(name: str) -> object:
        return BPE.from_file(str(working_folder.parent / "installed/v"), "acme/base/m")

    assert "acme/base/m" in refused(load, adapter, gate)


@pytest.mark.parametrize(
    ("tokenizer", "files"),
    [
        (GPT2Tokenizer, {"vocab.json": VOCABULARY, "merges.txt": b""}),
        (BertTokenizer, {"vocab.txt": b"[UNK]"}),
    ],
)
def test_a_folder_with_a_vocabulary_alone(
    tokenizer: Any,
    files: dict[str, bytes],
    adapter: str,
    gate: Gate,
    working_folder: Path,
) -> None:
    """Attack row 30. The library's own error says only that the file cannot be loaded."""
    put(working_folder / "acme/base", files)
    assert tokenizer.from_pretrained("acme/base")
    refused(lambda _: tokenizer.from_pretrained("acme/base"), adapter, gate)


def test_weights_that_the_library_itself_has_written(
    adapter: str, gate: Gate, tmp_path: Path
) -> None:
    """In a folder that it has made, as what writes them is not Python."""
    folder = tmp_path / "converted/at/once"

    def convert(name: str) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"a": numpy.zeros(3)}, folder / "model.safetensors")
        return load_file(folder / "model.safetensors")

    assert list(from_pretrained(convert, adapter, gate=gate)) == ["a"]
    assert "converted/at/once" in refused(convert, adapter, gate)


def test_what_is_no_path_is_let_be(adapter: str, gate: Gate) -> None:
    """The library says what is the matter."""
    with pytest.raises(TypeError, match="is not an instance of"):
        from_pretrained(lambda _: Tokenizer.from_file(7), adapter, gate=gate)  # type: ignore[arg-type]


def test_what_is_given_by_value_is_let_be(adapter: str, gate: Gate) -> None:
    def load(name: str) -> bytes:
        return bytes(
            pickle.dumps(Tokenizer(BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")])))
        )

    assert b"BPE" in from_pretrained(load, adapter, gate=gate)


@pytest.mark.parametrize("content", [None, "raise ImportError", "raise ModuleNotFoundError"])
def test_a_library_that_cannot_be_imported(
    content: str | None,
    adapter: str,
    gate: Gate,
    working_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be a folder of that name, or broken: loads that need none of it do without."""
    (working_folder / "sentencepiece").mkdir()
    if content is not None:
        (working_folder / "sentencepiece/__init__.py").write_text(content)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sentencepiece"]:
        monkeypatch.delitem(sys.modules, name)
    hidden = [entry for entry in sys.path if not Path(entry, "sentencepiece").is_dir()]
    monkeypatch.setattr(sys, "path", [str(working_folder), *hidden])
    assert from_pretrained(lambda name: name, adapter, gate=gate) == adapter


def test_who_replaces_a_reader_meanwhile_does_so_on_purpose(
    adapter: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:

        def load(name: str) -> str:
            changed.setattr(Tokenizer, "from_file", staticmethod(len))
            del safetensors.safe_open.__init__
            return name

        assert from_pretrained(load, adapter, gate=gate) == adapter
        assert vars(Tokenizer)["from_file"].__func__ is len
    assert threading.Thread.start.__module__ == "threading"


def test_a_reader_that_is_not_there(
    adapter: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is loaded unwatched."""
    with monkeypatch.context() as changed:
        changed.delattr(WordPiece, "read_file")
        with pytest.raises(ConfigError, match=r"tokenizers .+ cannot be guarded: .+read_file"):
            from_pretrained(lambda _: pytest.fail("it ran"), adapter, gate=gate)
    assert "__init__" not in vars(safetensors.safe_open)
    assert from_pretrained(lambda name: name, adapter, gate=gate) == adapter
