"""Folders in the place of repositories, and loads that take them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import hf_hub_download
from transformers import AutoConfig

from oms_gate import AdmissionDenied, Gate, ReasonCode, from_pretrained

BASE = b'{"model_type": "bert"}'


def put(folder: Path, files: dict[str, bytes]) -> str:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def load_adapter(name: str) -> Any:
    """As peft does: the base model is the one that the adapter names."""
    config = json.loads(Path(hf_hub_download(name, "adapter_config.json")).read_text())
    return AutoConfig.from_pretrained(config["base_model_name_or_path"])


def opening(path: str | bytes | Path, mode: str = "rb") -> Callable[[str], str]:
    def load(name: str) -> str:
        with open(path, mode):  # noqa: PTH123 - as libraries do
            return name

    return load


def refused(load: Callable[..., object], name: str, gate: Gate, **options: Any) -> str:
    with pytest.raises(OSError, match="never verified") as raised:
        from_pretrained(load, name, gate=gate, **options)
    error: BaseException | None = raised.value
    while error is not None and not isinstance(error, AdmissionDenied):
        error = error.__cause__ or error.__context__
    assert error is not None
    (reason,) = error.verdict.reasons
    assert reason.code is ReasonCode.GUARD_FOLDER
    return reason.message
