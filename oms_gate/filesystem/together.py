"""Files that several threads want come together.

A model's files come one transfer after the other. Readers of small files, such as the chunks of an
array, ask for each from a thread of its own, and would wait for one another.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from oms_gate.cache import CachedModel


@dataclass
class _Batch:
    """What is to come with the next transfer."""

    names: set[str] = field(default_factory=set)


class Together:
    """Lets all come at once that was asked for while the transfer before was under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: WeakKeyDictionary[CachedModel, _Batch] = WeakKeyDictionary()
        self._turns: WeakKeyDictionary[CachedModel, threading.Lock] = WeakKeyDictionary()

    def fetch(self, model: CachedModel, names: Iterable[str]) -> None:
        """Bring files of a model, with those that others ask for.

        They may be missing afterwards: who brought them for all may have been denied one.

        Raises:
            AdmissionDenied: as `CachedModel.fetch`, if it was this call that brought them.
        """
        wanted = {name for name in names if model.present(name) is None}
        if not wanted:
            return
        with self._lock:
            batch = self._next.setdefault(model, _Batch())
            batch.names |= wanted
            turn = self._turns.setdefault(model, threading.Lock())
        with turn:
            with self._lock:
                if self._next.get(model) is not batch:
                    return  # Another one of those who waited has brought it.
                del self._next[model]
            model.fetch(batch.names)
