"""Verifying a cache: each of its files is hashed again, and compared with what it is to be."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self, get_args

from oms_gate.cache.contents import content_name
from oms_gate.cache.hashed import hashed_files
from oms_gate.cache.layout import FILES, KNOWN, ROOTS, Layout
from oms_gate.cache.upkeep import (
    ROOT_DIGEST,
    RememberedModel,
    RootFolder,
    looked_after,
    remembered_models,
    remove_below,
    roots,
    total_bytes,
    walked,
)
from oms_gate.cache.view import View
from oms_gate.delivery.folders import opened, status_of
from oms_gate.delivery.stage import locked_stage, remove_stage
from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.digests import DIGEST_BYTES, HashType
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.verify import inspect
from oms_gate.stores.local_names import portable
from oms_gate.streaming.hashing import Progress, ProgressCallback
from oms_gate.verdict import printable

_STRANGE = "the gate does not put such a thing there"


class Wrong(NamedTuple):
    """What is not as it is to be.

    path: below the cache's folder.
    model: the URL of the model whose file it is, where it is one's.
    message: what is the matter with it.
    """

    path: str
    model: str | None
    message: str


@dataclass(frozen=True)
class Verification:
    """What was found.

    files, bytes: what was hashed, each file once whatever names it has.
    wrong: in the order in which it was found.
    repaired: whether what is wrong was removed.
    """

    files: int
    bytes: int
    wrong: tuple[Wrong, ...]
    repaired: bool


class _Content(NamedTuple):
    """What a file is to be: the signed parts of it, in order."""

    hash_type: HashType
    parts: tuple[Resource, ...]

    @classmethod
    def of(cls, hash_type: HashType, parts: tuple[Resource, ...]) -> Self:
        """The same for all files that are to have these bytes, whatever they are called."""
        if len(parts) == 1 and not parts[0].start:
            return cls(hash_type, (Resource("", parts[0].digest),))
        return cls(hash_type, tuple(part._replace(path="") for part in parts))

    @property
    def name(self) -> str:
        return content_name(self.parts, self.hash_type)


def verify(
    layout: Layout,
    limits: Limits,
    models: Collection[RememberedModel] | None = None,
    *,
    repair: bool = False,
    on_progress: ProgressCallback | None = None,
) -> Verification:
    """Hash the files of a cache again.

    A transfer that is under way is waited for, and none of the same model begins meanwhile.

    models: only the files of these; None for all that is in the cache.
    repair: remove what is wrong, with what killed transfers have left, and receipts that do not
        hold any more. What is removed is transferred again when it is asked for.

    Raises:
        OmsGateError: the cache could not be read or repaired; or `limits.total_seconds` passed.
    """
    with looked_after(layout) as cache:
        run = _Run(layout, cache, limits, repair, on_progress)
        if models is None:
            run.check_contents()
            run.check_all_roots()
            run.check_records()
        else:
            run.check_models(models)
        return Verification(run.files, run.bytes, tuple(run.wrong), repair and bool(run.wrong))


class _Run:
    """One verification, and what it found so far."""

    def __init__(
        self,
        layout: Layout,
        cache: int,
        limits: Limits,
        repair: bool,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.files = 0
        self.bytes = 0
        self.wrong: list[Wrong] = []
        self._layout = layout
        self._cache = cache
        self._limits = limits
        self._deadline = time.monotonic() + limits.total_seconds
        self._repair = repair
        self._on_progress = on_progress
        self._total = total_bytes(cache) if on_progress is not None else 0
        models, self._damaged = remembered_models(layout)
        # What the files of each view are to be, and all contents that anything is known of.
        self._urls: dict[str, str] = {}
        self._signed: dict[str, dict[str, _Content]] = {}
        self._known: dict[str, _Content] = {}
        for model in models:
            self._read_signature(model)
        # What was found right: the file, as it was then, and what it is.
        self._right: set[tuple[tuple[int, int, int], _Content]] = set()

    def check_contents(self) -> None:
        """Check what is among the contents, whatever model has it."""
        expected: dict[str, _Content] = {}
        for path, status in walked(self._cache, FILES):
            content = _content_named(path, self._known)
            if stat.S_ISREG(status.st_mode) and content is not None:
                expected[f"{FILES}/{path}"] = content
            elif not (stat.S_ISDIR(status.st_mode) and path in get_args(HashType)):
                self._add(f"{FILES}/{path}", "it is no content of a model that is remembered")
        for path in self._not_right(expected):
            self._add(path, "its bytes are not those that its name says")

    def check_all_roots(self) -> None:
        """Check the files of all models, and what is there of models that are not remembered."""
        with opened(ROOTS, self._cache) as here, os.scandir(here) as scan:
            for entry in list(scan):
                if not (ROOT_DIGEST.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)):
                    self._add(f"{ROOTS}/{portable(entry.name)}", _STRANGE)
        for root in roots(self._cache):
            self._check_root(root, None)

    def check_models(self, models: Collection[RememberedModel]) -> None:
        """Check the files of these models only, with the contents that they are."""
        views: defaultdict[str, set[str]] = defaultdict(set)
        for model in models:
            views[model.root].update(model.views)
        for root, of_models in views.items():
            self._check_root(root, of_models)

    def check_records(self) -> None:
        """Check the records of models."""
        for name in self._damaged:
            self._add(
                f"{KNOWN}/{name}", "it is damaged, so it does not say what was admitted any more"
            )

    def _read_signature(self, model: RememberedModel) -> None:
        try:
            manifest = inspect(model.record.signature, self._limits).claimed_manifest
        except SignatureError:
            manifest = None
        if manifest is None or manifest.root_digest != model.root:
            self._damaged.append(model.file)
            return
        whole, parts = model.views
        self._urls |= {whole: model.url, parts: model.url}
        hash_type, files = manifest.hash_type, _files(manifest, model)
        self._signed[whole] = {path: _Content.of(hash_type, of) for path, of in files.items()}
        self._signed[parts] = {
            part._replace(path=path).name: _Content.of(hash_type, (Resource("", part.digest),))
            for path, of in files.items()
            for part in of
        }
        for content in (*self._signed[whole].values(), *self._signed[parts].values()):
            self._known[content.name] = content

    def _check_root(self, root: str, views: Collection[str] | None) -> None:
        place = self._layout.root(root)
        with locked_stage(place, self._deadline) as stage:
            folder = RootFolder.of(self._cache, root)
            if views is None:
                for path in folder.strange:
                    self._add(path, _STRANGE)
                for path in folder.leftovers if self._repair else ():
                    remove_below(self._cache, path)
            for view, files in folder.views.items():
                if views is None or view in views:
                    self._check_view(view, files)
            if self._repair:
                # Last, as it ends the lock.
                remove_stage(stage, place)

    def _check_view(self, view: str, files: Mapping[str, os.stat_result]) -> None:
        """Check the files of a model at a revision. Its stage is locked."""
        folder = View(self._layout, self._layout.folder / view)
        signed = self._signed.get(view)
        if signed is None:
            # Nothing remembers the model; what its files were found to be is beside them.
            noted = folder.contents()
            found = {
                path: _content_named(noted[path], self._known) for path in files if path in noted
            }
            signed = {path: content for path, content in found.items() if content is not None}
        for path in sorted(files.keys() - signed.keys()):
            self._add(f"{view}/{path}", "nothing says what it is to be")
        names = {f"{view}/{path}": path for path in files if path in signed}
        expected = {path: signed[name] for path, name in names.items()}
        for path in self._not_right(expected):
            content = f"{FILES}/{expected[path].name}"
            there = status_of(self._cache, content)
            if self._repair and there is not None and os.path.samestat(there, files[names[path]]):
                remove_below(self._cache, content)
            self._add(path, "it is not what was signed: it was changed after it was verified")
        if self._repair:
            folder.reload()
            stale = [
                path
                for path, content in folder.contents().items()
                if folder.sound(path, content) is None
            ]
            if stale:
                folder.forget(stale)

    def _not_right(self, expected: Mapping[str, _Content]) -> list[str]:
        """Those of the files that are there and are not what they are to be."""
        named = defaultdict(list)
        for path, content in sorted(expected.items()):
            status = status_of(self._cache, path)
            if status is not None and (_identity(status), content) not in self._right:
                named[_identity(status), content].append(path)
        wrong = []
        for hash_type in get_args(HashType):
            # A file that has several names is hashed once.
            once = {paths[0]: one for one, paths in named.items() if one[1].hash_type == hash_type}
            right = hashed_files(
                self._cache,
                {path: content.parts for path, (_, content) in once.items()},
                hash_type,
                self._limits,
                deadline=self._deadline,
                on_progress=self._progress() if once else None,
            )
            for path, (identity, content) in once.items():
                if path in right:
                    self._right.add((_identity(right[path]), content))
                    self.files += 1
                    self.bytes += right[path].st_size
                else:
                    wrong += named[identity, content]
        # What was removed meanwhile is no matter.
        return [path for path in wrong if status_of(self._cache, path) is not None]

    def _progress(self) -> ProgressCallback | None:
        on_progress, files, done = self._on_progress, self.files, self.bytes
        if on_progress is None:
            return None

        def report(now: Progress) -> None:
            so_far = done + now.bytes_done
            on_progress(
                Progress(
                    bytes_done=so_far,
                    bytes_total=max(self._total, so_far),
                    files_done=files + now.files_done,
                    files_total=files + now.files_total,
                )
            )

        return report

    def _add(self, path: str, message: str) -> None:
        view = "/".join(path.split("/")[:4])
        self.wrong.append(Wrong(printable(path), self._urls.get(view), message))
        if self._repair:
            remove_below(self._cache, path)


def _files(manifest: Manifest, model: RememberedModel) -> Mapping[str, tuple[Resource, ...]]:
    """The signed parts of the files of a model, by their paths."""
    if model.record.single and set(manifest.files) == {"."}:
        # As one signer calls the only file of a model.
        return {path: manifest.files["."] for path, *_ in model.record.files}
    return manifest.files


def _content_named(name: str, known: Mapping[str, _Content]) -> _Content | None:
    """What a content is to be by its name; None where that says nothing."""
    hash_type, _, digest = name.partition("/")
    for each in get_args(HashType):
        if each == hash_type and re.fullmatch(f"[0-9a-f]{{{2 * DIGEST_BYTES[each]}}}", digest):
            return _Content.of(each, (Resource("", digest),))
    return known.get(name)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """A file as it was at a moment; nobody can set the last one."""
    return status.st_dev, status.st_ino, status.st_ctime_ns
