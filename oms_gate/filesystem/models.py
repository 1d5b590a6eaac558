"""Which signed model a file belongs to."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from fsspec.utils import tokenize

from oms_gate.cache import Cache, CachedModel
from oms_gate.errors import AdmissionDenied, ConfigError, StoreError
from oms_gate.filesystem.together import Together
from oms_gate.filesystem.tree import Tree
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.stores import open_store
from oms_gate.stores.s3_releases import POINTER
from oms_gate.verdict import Verdict

_LOG = logging.getLogger("oms_gate")

# A file system of fsspec is of one thread; what was decided is for all. Only they keep it.
_SHARED: WeakKeyDictionary[Gate, WeakValueDictionary[str, Models]] = WeakKeyDictionary()
_sharing = threading.Lock()

_ABSENT = {ReasonCode.STORE_NOT_FOUND, ReasonCode.STORE_REVISION_NOT_FOUND}


@dataclass(frozen=True)
class Found:
    """A path in an admitted model.

    path: in the model; empty for its folder.
    """

    model: CachedModel
    tree: Tree
    path: str


class Models:
    """The models of one store. Safe for use by several threads.

    A file belongs to the nearest folder above it that holds a signature; on the Hub, one inside
    its repository. Where there is none, it is looked for beside the file.

    transfers: by which files of them are brought.
    """

    def __init__(self, gate: Gate, cache_folder: str | None) -> None:
        """
        Raises:
            ConfigError: the gate has one signature for all models, or the cache cannot be used.
        """
        if gate.signature.elsewhere is not None:
            raise ConfigError(
                f"the gate's signature is {gate.signature.location}, so oms:: cannot tell which "
                "folder is a model; let 'signature' be a name in the folder of each"
            )
        self.gate = gate
        self._signature = gate.signature.location
        self._cache = Cache(gate, cache_folder)
        # Without a reference to this object, which would then live on.
        weakref.finalize(self, self._cache.close)
        # Folders with a signature, and files with one. They stay: if the store says later that
        # one is not there any more, its files are not missing but denied.
        self._folders: set[Reference] = set()
        self._files: set[Reference] = set()
        # Folders without one, and until when that is believed, in seconds.
        self._unsigned: dict[Reference, float] = {}
        self._trees: WeakKeyDictionary[CachedModel, Tree] = WeakKeyDictionary()
        self._said: set[str] = set()
        self.transfers = Together()

    def above(self, reference: Reference) -> Found | None:
        """A path in the nearest model that is a folder above it, or None if there is none.

        Raises:
            AdmissionDenied: that model is denied.
        """
        return self._nearest(reference, list(_above(reference)))

    def at_or_above(self, reference: Reference) -> Found | None:
        """The same where the path may be the model's own folder, or a file with a signature."""
        if reference in self._files:
            return self.single(reference)
        return self._nearest(reference, [reference, *_above(reference)])

    def single(self, reference: Reference) -> Found:
        """A file with a signature beside it, and none above.

        Raises:
            AdmissionDenied: it is denied; with ``signature.missing`` where it has none.
            FileNotFoundError: there is no such file.
            IsADirectoryError: it is a folder.
        """
        model = self._judged(reference)
        if not model.single:
            raise IsADirectoryError(errno.EISDIR, "this is the folder of a model", reference.url)
        self._files.add(reference)
        base = (reference.path or reference.location).rpartition("/")[2]
        return Found(model, self._tree(model), base)

    def let_through(self, denied: AdmissionDenied) -> None:
        """Return where the gate only annotates.

        Raises:
            AdmissionDenied: the one that is given.
        """
        if denied.verdict.lets_through:
            if self._is_news(denied.verdict):
                warnings.warn(f"{denied}; it is used all the same", stacklevel=2)
            return
        raise denied

    def _nearest(self, reference: Reference, folders: list[Reference]) -> Found | None:
        if reference.scheme == "hf" and folders:
            # What it lists answers for all that is below.
            self._holds_signature(folders[-1])
        folder = next(filter(self._holds_signature, folders), None)
        if folder is None:
            return None
        model = self._judged(folder)
        return Found(model, self._tree(model), _inside(folder, reference))

    def _holds_signature(self, folder: Reference) -> bool:
        """Whether there is a signature in a folder; its store is asked if nobody knows."""
        if folder in self._folders:
            return True
        if (listed := self._listed(folder)) is None:
            if time.monotonic() < self._unsigned.get(folder, 0):
                return False
            listed = self._asked(folder)
        if listed:
            self._folders.add(folder)
        else:
            self._unsigned[folder] = time.monotonic() + self.gate.limits.decision_seconds
        return listed

    def _listed(self, folder: Reference) -> bool | None:
        """What the listing of an admitted model above a folder says; None if there is none."""
        if folder.release is not None:  # A model of its own, below the one of its place.
            return None
        for root in _above(folder):
            if root in self._folders:
                try:
                    model = self._cache.model(root)
                except AdmissionDenied:
                    continue
                return f"{_inside(root, folder)}/{self._signature}" in model.listed
        return None

    def _asked(self, folder: Reference) -> bool:
        if folder.scheme == "hf" and not folder.path:
            # A repository has its signature there, as good as always: it is judged straight away.
            return self._is_signed(folder)
        names = [self._signature]
        if folder.scheme in S3_SCHEMES and folder.release is None:
            # What was published as a release has its signature there.
            names.append(POINTER)
        store = open_store(folder, self.gate.stores, self.gate.limits)
        for name in names:
            try:
                found = store.snapshot(folder.with_suffix(f"/{name}"))
            except StoreError as error:
                # Far above, this user may see nothing. What is not seen lets nobody in.
                if error.reason.code in {*_ABSENT, ReasonCode.STORE_FORBIDDEN}:
                    continue
                return self._is_signed(folder)
            found.close()
            if found.single:
                return True
        return False

    def _is_signed(self, folder: Reference) -> bool:
        """Whether a folder that is judged as a model turns out to have a signature.

        Raises:
            AdmissionDenied: nobody knows.
        """
        try:
            self._judged(folder)
        except AdmissionDenied as denied:
            if denied.verdict.undecided:
                raise
            return all(r.code is not ReasonCode.SIGNATURE_MISSING for r in denied.verdict.reasons)
        return True

    def _judged(self, reference: Reference) -> CachedModel:
        try:
            return self._cache.model(reference)
        except AdmissionDenied as denied:
            known = reference in self._folders or reference in self._files
            if not known and {reason.code for reason in denied.verdict.reasons} <= _ABSENT:
                message = denied.verdict.reasons[0].message
                raise FileNotFoundError(errno.ENOENT, message, reference.url) from denied
            raise

    def _tree(self, model: CachedModel) -> Tree:
        if (tree := self._trees.get(model)) is None:
            tree = self._trees[model] = Tree(model, self._signature)
        return tree

    def _is_news(self, verdict: Verdict) -> bool:
        """Whether a denial was not told yet; if so, it is in the log now."""
        if verdict.model.url in self._said:
            return False
        self._said.add(verdict.model.url)
        for reason in verdict.reasons:
            _LOG.warning("%s is denied, and used: %s", verdict.model.url, reason.message)
        return True


def shared_models(
    gate: Gate, scheme: str, options: Mapping[str, Any], cache_folder: str | None
) -> Models:
    """The models of a store, the same for all who ask in this process in the same way.

    scheme, options: of the store, over what the gate has for it.

    Raises:
        ConfigError: as `Models`.
    """
    key = tokenize(os.getpid(), scheme, options, cache_folder)
    with _sharing:
        known = _SHARED.setdefault(gate, WeakValueDictionary())
        if (models := known.get(key)) is None:
            told = gate.with_store_options(scheme, options) if options else gate
            models = known[key] = Models(told, cache_folder)
    return models


def _above(reference: Reference) -> Iterator[Reference]:
    """The folders above a path that may be models, the nearest first."""
    on_hub = reference.scheme == "hf"
    path = reference.path if on_hub else reference.location
    while path:
        path = path.rpartition("/")[0]
        if on_hub:
            yield replace(reference, path=path)
        elif path:  # The root of a store is no model.
            yield replace(reference, location=path)


def _inside(folder: Reference, reference: Reference) -> str:
    """The path from a folder to what is at or below it."""
    whole = f"{reference.location}/{reference.path}"
    return whole.removeprefix(f"{folder.location}/{folder.path}".rstrip("/")).strip("/")
