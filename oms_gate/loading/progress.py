"""Fetching files with a progress bar, where huggingface_hub would show one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from oms_gate.cache import CachedModel
from oms_gate.streaming.hashing import Progress

PATIENCE_SECONDS: Final = 0.5
"""What takes no longer has no bar."""


def fetch(model: CachedModel, names: Iterable[str]) -> None:
    """See `CachedModel.fetch`."""
    bar = _Bar(model.reference.name)
    try:
        model.fetch(names, bar.show)
        bar.fill()
    finally:
        bar.close()


def fetched(model: CachedModel, name: str) -> Path:
    """See `CachedModel.path`."""
    fetch(model, [name])
    return model.path(name)


class _Bar:
    def __init__(self, name: str) -> None:
        self._name = name
        self._start = time.monotonic()
        self._bar: Any = None

    def show(self, progress: Progress) -> None:
        if time.monotonic() - self._start < PATIENCE_SECONDS:
            return
        if self._bar is None:
            # It knows HF_HUB_DISABLE_PROGRESS_BARS, and when there is no terminal.
            from huggingface_hub.utils.tqdm import tqdm

            bar: Any = tqdm
            total = progress.bytes_total
            self._bar = bar(desc=self._name, total=total, unit="B", unit_scale=True)
        if self._bar.total != progress.bytes_total:  # What is there is hashed, the rest comes.
            self._bar.reset(progress.bytes_total)
        self._bar.update(progress.bytes_done - self._bar.n)

    def fill(self) -> None:
        """All is there: the last of it is not told of by itself."""
        if self._bar is not None:
            self._bar.update(self._bar.total - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
