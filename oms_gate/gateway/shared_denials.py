"""What processes of a gateway tell each other of decisions: that one is being made, and denials.

An admission needs no telling: who decides next finds its listing and its signature in the cache.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from oms_gate.errors import DeliveryError
from oms_gate.gateway.locking import locked
from oms_gate.verdict import Verdict

_FOLDER: Final = "decisions"
_LOOK_SECONDS = 0.02


class SharedDenials:
    """Below the folder of the caches. For several threads, and processes."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """
        folder: of the caches.
        seconds: how long a denial counts.
        """
        self._folder = folder / _FOLDER
        self._seconds = seconds

    @contextmanager
    def deciding(self, what: str, deadline: float) -> Iterator[Denial]:
        """Be the only one, in whichever process, that decides about something; to the block's end.

        what: all that the decision depends on.
        deadline: on the clock of `time.monotonic`, in seconds.

        Raises:
            DeliveryError: another one does until then.
            OSError: the file system failed.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{hashlib.sha256(what.encode()).hexdigest()}.json"
        with locked(file, partial(time.sleep, _LOOK_SECONDS), deadline) as descriptor:
            denial = Denial(descriptor, self._seconds)
            try:
                yield denial
            finally:
                if denial.verdict is None:
                    with suppress(OSError):
                        file.unlink()

    def tidy(self) -> None:
        """Remove the denials that do not count any more."""
        with suppress(FileNotFoundError):
            for file in self._folder.iterdir():
                with suppress(DeliveryError), locked(file, lambda: None, 0) as descriptor:
                    if Denial(descriptor, self._seconds).verdict is None:
                        file.unlink(missing_ok=True)


class Denial:
    """One of a content, if there is one.

    verdict: why it is denied; None where it is not.
    age: how long ago that was decided, in seconds.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._descriptor = descriptor
        self.age = time.time() - os.fstat(descriptor).st_mtime
        self.verdict: Verdict | None = None
        if 0 <= self.age < seconds:
            self.verdict = _denied(descriptor)

    def record(self, verdict: Verdict) -> None:
        """Let others know of it; where that fails, they decide for themselves."""
        self.verdict = verdict
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, verdict.model_dump_json(by_alias=True).encode(), 0)


def _denied(descriptor: int) -> Verdict | None:
    """The verdict in a file, if it is one that lets nothing through: no other is to be believed."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    with suppress(ValidationError):
        verdict = Verdict.model_validate_json(content)
        if not verdict.lets_through:
            return verdict
    return None
