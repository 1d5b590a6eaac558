"""The models of one guard: each decided about when it is first asked for."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oms_gate import __version__
from oms_gate.cache import Cache, CachedModel
from oms_gate.errors import AdmissionDenied, AdmissionWarning
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import Model, Reason, Verdict

_LOG = logging.getLogger("oms_gate")
_KINDS = {None: "", "model": "", "dataset": "datasets/", "space": "spaces/"}
_DEFAULT_BRANCH = "main"
# Below a cache_dir, beside what huggingface_hub itself keeps there.
_BELOW_CACHE_DIR = "oms-gate"
_let_through: ContextVar[bool] = ContextVar("oms_gate_let_through", default=False)


class Admitted:
    """The models that one guard has handed out files of. Safe for use by several threads.

    copies: verified files that were put where the caller wanted them, links resolved.
    """

    def __init__(self, gate: Gate, cache_folder: str | os.PathLike[str] | None) -> None:
        """
        cache_folder: None for the user's own.

        Raises:
            ConfigError: see `Cache`.
        """
        self.gate = gate
        self.copies: set[Path] = set()
        self._cache = Cache(gate, cache_folder)
        self._others: dict[str, Cache] = {}
        self._handed_out: dict[Path, CachedModel] = {}
        self._changed: list[CachedModel] = []
        self._warned: dict[str, set[ReasonCode]] = {}
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    @property
    def annotates(self) -> bool:
        """Whether denied models are used all the same."""
        return self.gate.mode == "annotate"

    @property
    def folders(self) -> list[Path]:
        """Where files are that may be loaded.

        They were verified; if the gate annotates, or it was warned of them.
        """
        from huggingface_hub import constants

        # Needs no lock, and what asks may be within it.
        others = dict(self._others)
        folders = [each for cache in (self._cache, *others.values()) for each in cache.folders]
        if self.annotates:
            folders += map(Path, (os.path.abspath(constants.HF_HUB_CACHE), *others))
        return folders

    def model(
        self,
        reference: Reference,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        options: Mapping[str, Any] | None = None,
        offline: bool = False,
    ) -> CachedModel:
        """A model of which files may be handed out.

        cache_dir: as huggingface_hub's functions have it.
        options, offline: see `Cache.model`.

        Raises:
            AdmissionDenied: it is not admitted.
            UsageError, ConfigError: see `Cache.model`.
        """
        reference = _as_default(reference)
        try:
            model = self._cache_at(cache_dir).model(reference, options=options, offline=offline)
        except AdmissionDenied:
            if not offline:
                with self._lock:
                    self._refused.add(reference.url)
            raise
        with self._lock:
            if not offline:
                self._refused.discard(reference.url)
            before = self._handed_out.get(model.folder)
            self._handed_out[model.folder] = model
        if before is not None and before is not model:
            # It is asked about no more: a decision is used for a while only. If it was changed,
            # that is said now and in the end; who asks in between gets what is verified again.
            try:
                self._check(before)
            except AdmissionDenied:
                with self._lock:
                    self._changed.append(before)
                raise
        return model

    def was_refused(self, reference: Reference) -> bool:
        """Whether the last answer about it was a denial, with whatever token it was asked for."""
        with self._lock:
            return _as_default(reference).url in self._refused

    def check(self, *, forget: bool = True) -> None:
        """See whether files that were handed out have been changed since.

        forget: them; False where some of them may still be read.

        Raises:
            AdmissionDenied: one has.
        """
        with self._lock:
            models = [*self._changed, *self._handed_out.values()]
            if forget:
                self._changed.clear()
                self._handed_out.clear()
        for model in models:
            self._check(model)

    def check_failures(self) -> None:
        """See that no signed file was wrong: of an optional one libraries make a missing one.

        Raises:
            AdmissionDenied: one was.
        """
        with self._lock:
            models = list(self._handed_out.values())
        if not self.annotates:
            for model in models:
                model.check_failure()

    def refusal(
        self, name: str, message: str, code: ReasonCode = ReasonCode.GUARD_UNCHECKED
    ) -> AdmissionDenied:
        """The error for what cannot be checked.

        name: of the model, or of what is in its place.
        """
        verdict = Verdict(
            outcome="denied",
            mode=self.gate.mode,
            model=Model(url=name, name=name),
            reasons=(Reason(code=code, message=message),),
            checked_at=datetime.now(UTC),
            gate_version=__version__,
        )
        return AdmissionDenied(self.gate.keep(verdict, {"operation": "load"}))

    def reference(self, kind: str | None, repository: str, revision: str | None) -> Reference:
        """What huggingface_hub's words for a repository refer to.

        Raises:
            AdmissionDenied: no such thing is ever checked.
            UsageError: it cannot be the name of one.
        """
        if kind not in _KINDS:
            raise self.refusal(
                f"hf://{kind}s/{repository}",
                f"it is a {kind}, of which nothing is verified; load it outside of the guard if "
                "you trust it",
            )
        # A revision may have been resolved; its text is still what was asked for.
        revision = getattr(revision, "resolved", revision)
        at = "" if revision is None else f"@{quote(revision, safe='')}"
        return Reference.parse(f"hf://{_KINDS[kind]}{repository}{at}")

    def warn(self, denied: AdmissionDenied) -> None:
        """Say, once of each model and reason, that a denied one is used."""
        name = denied.verdict.model.name
        codes = {reason.code for reason in denied.verdict.reasons}
        with self._lock:
            said = self._warned.setdefault(name, set())
            # A model that is used all the same is transferred unchecked, of course.
            new = codes - said - ({ReasonCode.GUARD_UNCHECKED} if said else set())
            said |= codes
        if not new:
            return
        text = f"{denied}; it is used all the same, as the gate is in mode: annotate"
        _LOG.warning("%s", text)
        warnings.warn(text, AdmissionWarning, stacklevel=2)

    def _check(self, model: CachedModel) -> None:
        try:
            model.check()
        except AdmissionDenied as denied:
            if not denied.verdict.lets_through:
                raise
            self.warn(denied)

    def _cache_at(self, cache_dir: str | os.PathLike[str] | None) -> Cache:
        from huggingface_hub import constants

        # Libraries name the usual folder, too.
        if cache_dir is None or os.fspath(cache_dir) == constants.HF_HUB_CACHE:
            return self._cache
        place = os.path.realpath(os.path.expanduser(cache_dir))
        with self._lock:
            if place not in self._others:
                self._others[place] = Cache(self.gate, Path(place) / _BELOW_CACHE_DIR)
            return self._others[place]


Current = Callable[[], Admitted | None]
"""The models of the guard that decides now, if one is on."""


@contextmanager
def letting_through() -> Iterator[None]:
    """Around a call of the library's own function, of which the user was warned."""
    token = _let_through.set(True)
    try:
        yield
    finally:
        _let_through.reset(token)


def is_let_through() -> bool:
    """Whether such a call is under way here."""
    return _let_through.get()


def _as_default(reference: Reference) -> Reference:
    """The same repository; without its default branch's name.

    Libraries use that name, and leave it out, in the same load.
    """
    is_default = reference.scheme == "hf" and reference.revision == _DEFAULT_BRANCH
    return replace(reference, revision=None) if is_default else reference
