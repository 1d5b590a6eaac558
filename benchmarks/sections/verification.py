"""One bundle, read and verified by the gate and the reference client."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.setting import Setting
from benchmarks.verification import compare

_FILES = 1000


def measure(setting: Setting) -> Iterator[str]:
    """A bundle is verified in milliseconds, so there are more rounds of it."""
    rounds = 15 * setting.rounds
    yield f"A bundle with {_FILES} files, {rounds} times:\n"
    yield compare(_FILES, rounds).markdown()
