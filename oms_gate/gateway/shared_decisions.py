"""What processes of a gateway tell each other: that a decision is being made, and what came of it.

A denial is passed on. An admission is not: who hears of one decides for itself. That takes no
request to the Hub, as the listing and the signature of its models are in the cache then.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from oms_gate.file_locks import locked_now, release
from oms_gate.gateway.flights import ElsewhereError
from oms_gate.verdict import Verdict

_FOLDER: Final = "decisions"
_ADMITTED: Final = b"admitted"


class SharedDecisions:
    """Below the folder of the caches. For several threads, and processes."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """
        folder: of the caches.
        seconds: how long a decision counts.
        """
        self._folder = folder / _FOLDER
        self._seconds = seconds

    @contextmanager
    def deciding(self, what: str) -> Iterator[SharedDecision]:
        """Be the only one, in whichever process, that decides about something; to the block's end.

        what: all that the decision depends on.

        Raises:
            ElsewhereError: another one does at the moment.
            OSError: the file system failed.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / hashlib.sha256(what.encode()).hexdigest()
        if (descriptor := locked_now(file)) is None:
            raise ElsewhereError
        try:
            decision = SharedDecision(descriptor, self._seconds)
            yield decision
            if decision.is_none:
                with suppress(OSError):
                    file.unlink()
        finally:
            release(descriptor)

    def tidy(self) -> None:
        """Remove the decisions that do not count any more."""
        with suppress(FileNotFoundError):
            for file in self._folder.iterdir():
                if (descriptor := locked_now(file)) is not None:
                    try:
                        if SharedDecision(descriptor, self._seconds).is_none:
                            file.unlink()
                    finally:
                        release(descriptor)


class SharedDecision:
    """The last one, if there is one that counts.

    denial: why a model is denied; None where it is not.
    is_admitted: whether it was admitted. That is no verdict, and only tells that there is nothing
        to wait for.
    age: how long ago that was decided, in seconds.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._descriptor = descriptor
        self.age = time.time() - os.fstat(descriptor).st_mtime
        self.denial: Verdict | None = None
        self.is_admitted = False
        if 0 <= self.age < seconds:
            content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            self.is_admitted = content == _ADMITTED
            self.denial = _denial(content)

    @property
    def is_none(self) -> bool:
        """Whether nothing is known."""
        return self.denial is None and not self.is_admitted

    def record(self, verdict: Verdict) -> None:
        """Let others know of it; where that fails, they decide for themselves."""
        self.is_admitted = verdict.admitted
        self.denial = None if verdict.admitted else verdict
        content = _ADMITTED if verdict.admitted else verdict.model_dump_json(by_alias=True).encode()
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, content, 0)


def _denial(content: bytes) -> Verdict | None:
    """The verdict in a file, if it is one that lets nothing through: no other is to be believed."""
    with suppress(ValidationError):
        verdict = Verdict.model_validate_json(content)
        if not verdict.lets_through:
            return verdict
    return None
