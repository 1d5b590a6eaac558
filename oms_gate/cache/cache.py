"""The cache's models: decided about when they are asked for, and for a while after."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from oms_gate.cache.known import Known
from oms_gate.cache.layout import Layout
from oms_gate.cache.model import CachedModel
from oms_gate.errors import AdmissionDenied, StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.verdict import Operation, Verdict

if TYPE_CHECKING:
    from oms_gate.gate import Gate

_LOG = logging.getLogger(__name__)


class Cache:
    """The verified cache of a gate. Safe for use by several threads and processes.

    layout: where it is.
    """

    def __init__(self, gate: Gate, folder: str | os.PathLike[str] | None = None) -> None:
        """
        folder: None for the one that ``OMS_GATE_CACHE`` names, or else the user's own.

        Raises:
            ConfigError: others may change what is in it, or it cannot be made.
        """
        self.gate = gate
        self.layout = Layout.of(folder)
        self._known = Known(self.layout)
        self._decided: dict[Hashable, tuple[float, CachedModel | Verdict]] = {}
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._locks: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    @property
    def folders(self) -> list[Path]:
        """See `Layout.folders`."""
        return self.layout.folders

    def model(
        self,
        reference: Reference,
        *,
        options: Mapping[str, Any] | None = None,
        offline: bool = False,
    ) -> CachedModel:
        """Decide about a model, or use a decision of a moment ago (``limits.decision_seconds``).

        A branch or a tag is resolved to a commit once; all files that are handed out are of that
        commit. A model that was admitted before is asked for nothing else, and with a commit for
        nothing at all.

        options: of its store, over the configured ones: for the Hub, token and endpoint.
        offline: make no request to decide.

        Raises:
            AdmissionDenied: it has the verdict.
            UsageError: `reference` cannot be the name of a model.
            ConfigError: its store cannot be opened as it is configured.
        """
        gate = self.gate
        if options:
            gate = gate.with_store_options(reference.scheme, options)
        place = reference.url, tuple(sorted((options or {}).items()))
        self._forget_parent()
        with self._lock:
            lock = self._locks[place]
        with lock, gate.held() as now:
            # What was decided by another trust or policy is no answer.
            asked = (*place, now.epoch)
            decided = self._recent((*asked, False))
            if decided is None and offline:
                # What is decided with requests is as good, and not the other way round.
                decided = self._recent((*asked, True))
            if decided is None:
                decided = self.decide(now, reference, offline=offline)
                self._remember((*asked, offline), decided, now.limits.decision_seconds)
        if isinstance(decided, Verdict):
            raise AdmissionDenied(decided)
        return decided

    def close(self) -> None:
        """Release all connections."""
        self._forget_parent()
        with self._lock:
            decided = [outcome for _, outcome in self._decided.values()]
            self._decided.clear()
        for outcome in decided:
            if isinstance(outcome, CachedModel):
                outcome.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recent(self, key: Hashable) -> CachedModel | Verdict | None:
        """A decision of a moment ago that can be used again."""
        until, decided = self._decided.get(key, (0.0, None))
        spent = isinstance(decided, CachedModel) and decided.failure is not None
        return None if spent or time.monotonic() >= until else decided

    def _remember(self, key: Hashable, decided: CachedModel | Verdict, seconds: float) -> None:
        """Use a decision again, unless it is none about the model, and let go of old ones."""
        now = time.monotonic()
        with self._lock:
            for old in [old for old, (until, _) in self._decided.items() if now >= until]:
                # Whoever has the model still may be using it, so it is not closed.
                del self._decided[old]
            if isinstance(decided, CachedModel) or not decided.is_passing:
                self._decided[key] = now + seconds, decided

    def _forget_parent(self) -> None:
        """In a process that was forked, begin anew: its locks may be held by threads that it has
        not, and its connections are the other one's."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._locks = defaultdict(threading.Lock)
            self._decided = {}

    def decide(
        self,
        gate: Gate,
        reference: Reference,
        *,
        offline: bool = False,
        operation: Operation = "load",
    ) -> CachedModel | Verdict:
        """Decide about a model anew, for whoever remembers that by themselves: it or a denial.

        gate: decides; its stores are asked.
        offline: as of `model`.
        operation: what the model is wanted for.

        Raises:
            UsageError, ConfigError: as `model`.
        """
        # It may have been deleted, or exchanged, since.
        Layout.of(self.layout.folder)
        listing, endpoint = None, ""
        if reference.scheme == "hf":
            listing, endpoint = self._hub_listing(gate, reference, offline=offline)
        try:
            admission = gate.admit(reference, listing=listing, context={"operation": operation})
        except AdmissionDenied as denied:
            return denied.verdict
        model = CachedModel(admission, self.layout, gate.limits)
        try:
            self._known.remember(reference, admission, model.folder, endpoint)
        except OSError as error:
            # The next load asks its store again.
            _LOG.warning("%s is not remembered: %s", reference.url, error.strerror)
        return model

    def _hub_listing(
        self, gate: Gate, reference: Reference, *, offline: bool
    ) -> tuple[Callable[[], Snapshot], str]:
        """How to list a model of the Hub with as few requests as possible; and whose answers."""
        from huggingface_hub import constants

        from oms_gate.stores.hub import HubStore
        from oms_gate.stores.hub_api import COMMIT

        store = HubStore(gate.stores, gate.limits)

        def listing() -> Snapshot:
            pinned = reference
            if not COMMIT.fullmatch(reference.revision or ""):
                if offline or constants.HF_HUB_OFFLINE:
                    commit = self._known.commit(store, reference)
                    pinned = reference if commit is None else reference.at(commit)
                else:
                    pinned = store.resolve(reference)
            known = self._known.snapshot(store, pinned, offline=offline)
            if known is not None:
                return known
            if offline:
                raise StoreError(
                    ReasonCode.STORE_UNAVAILABLE,
                    f"{reference.url} was not admitted on this machine before, and no request may "
                    "be made for it; load it once without local_files_only",
                )
            return store.snapshot(pinned)

        return listing, store.endpoint
