"""Loading a tokenizer that was loaded before: what a gate adds to that, in a running process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from transformers import AutoTokenizer

from benchmarks.candidates.ours import open_gate
from benchmarks.trial import Laps, Source, Work
from oms_gate import from_pretrained, guard

_REPEATED = 5


def plain() -> Work:
    """``AutoTokenizer.from_pretrained``."""
    return _again(AutoTokenizer.from_pretrained)


def gated(key: str) -> Work:
    """``oms_gate.from_pretrained``, which opens and closes a guard each time."""
    gate = open_gate(key, "bytes")
    return _again(lambda name: from_pretrained(AutoTokenizer, name, gate=gate))


def guarded(key: str) -> Work:
    """The library's own words, under a guard that stays on."""
    guard(open_gate(key, "bytes")).install()
    return _again(AutoTokenizer.from_pretrained)


def _again(load: Callable[[str], object]) -> Work:
    def work(source: Source, _: Path) -> Laps:
        name = source.reference.removeprefix("hf://")
        load(name)
        start = time.perf_counter()
        for _turn in range(_REPEATED):
            load(name)
        return {"second load": (time.perf_counter() - start) / _REPEATED}

    return work
