"""Bringing files of a model into its view: from the cache's contents, or from its store."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass

from oms_gate.admission import Admission
from oms_gate.cache.hashed import hashed_files
from oms_gate.cache.layout import FILES, Layout
from oms_gate.cache.view import Receipt, View, receipt_at
from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import around, disk_errors, open_file, opened, remove, status_of
from oms_gate.delivery.stage import locked_stage
from oms_gate.delivery.staging import MODEL, Staging
from oms_gate.errors import DeliveryError, MeasureError
from oms_gate.limits import Limits
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.streaming.hashing import FileRange, ProgressCallback, RangeWriter
from oms_gate.streaming.measure import measure

# What is written in the stage on its way into the view.
_NEW = "new"
# Nobody is to write into what was hashed.
_READ_ONLY = Access(file=0o444, folder=0o700, owner=None)


def content_name(parts: tuple[Resource, ...], hash_type: str) -> str:
    """What a content is called among the cache's files, by the digests that were signed of it."""
    if len(parts) == 1 and not parts[0].start:
        return f"{hash_type}/{parts[0].digest}"
    signed = ";".join(f"{part.start}:{part.end}:{part.digest}" for part in parts)
    return f"{hash_type}/shards-{hashlib.sha256(signed.encode()).hexdigest()}"


@dataclass(frozen=True)
class _Arrival:
    """A `Destination`: files are gathered in a stage, and each is kept once it is complete."""

    staging: Staging
    keep: Callable[[str], None]

    def open(self, part: FileRange) -> AbstractContextManager[RangeWriter]:
        return self.staging.open(part)

    def discard(self, part: FileRange) -> None:
        self.staging.discard(part)

    def complete(self, path: str) -> None:
        self.staging.complete(path)
        self.keep(path)


class Contents:
    """The files of one admitted model in the cache."""

    def __init__(self, admission: Admission, layout: Layout, view: View, limits: Limits) -> None:
        self._admission = admission
        self._layout = layout
        self._view = view
        self._limits = limits
        self._names = {
            path: content_name(parts, admission.hash_type)
            for path, parts in admission.signed.items()
        }
        self._sizes = {path: admission.snapshot.files[path].size for path in admission.signed}

    def name(self, path: str) -> str:
        """See `content_name`.

        Raises:
            KeyError: there is no such signed file.
        """
        return self._names[path]

    def stored(self, path: str) -> bool:
        """Whether the cache has a file's content, of whichever model; nothing is said of it."""
        with self._layout.opened() as cache:
            return status_of(cache, f"{FILES}/{self._names[path]}") is not None

    def bring(self, paths: Collection[str], on_progress: ProgressCallback | None) -> None:
        """Let files be in the view, hashed, with a receipt each.

        One process at a time does that for a manifest; the others wait, and find it done.

        Raises:
            StepError: a file was changed in the cache, or is not what was signed; or it could not
                be transferred or written.
            OSError: the file system failed.
        """
        deadline = time.monotonic() + self._limits.total_seconds
        with self._alone(deadline) as (stage, cache):
            absent = {path for path in paths if status_of(cache, self._view.name(path)) is None}
            linked = {path for path in absent if self._link(cache, path)}
            # After that: to other files with the same content, a further name is a change.
            there = (set(paths) - absent) | linked
            self._check(cache, there, deadline, on_progress)
            missing = absent - linked
            # Of several with the same content one comes, and then gets more names. If it came
            # again, the first would look as if somebody had exchanged it.
            first = {self._names[path]: path for path in sorted(missing, reverse=True)}
            once = {*first.values()}
            self._transfer(cache, stage, once, deadline, on_progress)
            again = {path for path in missing - once if self._link(cache, path)}
            self._check(cache, once | again, deadline, on_progress)
            self._transfer(cache, stage, missing - once - again, deadline, on_progress)

    def take(self, path: str, here: int, base: str) -> None:
        """Put a file that was hashed elsewhere into the view, unless it is there. It is moved.

        here, base: a descriptor of its folder, and its name there.

        Raises:
            StepError, OSError: as `bring`.
        """
        with self._alone(time.monotonic() + self._limits.total_seconds) as (_, cache):
            self._view.note(self._put(cache, path, here, base))

    def keep(self, contents: Mapping[str, bytes]) -> None:
        """Put small files into the view that were hashed elsewhere, unless they are there.

        Raises:
            StepError, OSError: as `bring`.
        """
        receipts: dict[str, Receipt] = {}
        with self._alone(time.monotonic() + self._limits.total_seconds) as (stage, cache):
            try:
                for path, content in contents.items():
                    new = open_file(stage, _NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                    with os.fdopen(new, "wb") as stream:
                        stream.write(content)
                    receipts |= self._put(cache, path, stage, _NEW)
            finally:
                remove(stage, _NEW)
                # Those that came before one that failed have their places.
                self._view.note(receipts)

    @contextmanager
    def _alone(self, deadline: float) -> Iterator[tuple[int, int]]:
        """The stage and the cache, open, while no other process changes the view."""
        with (
            locked_stage(self._layout.place(self._view.folder), deadline) as stage,
            disk_errors(self._layout.folder),
            self._layout.opened() as cache,
        ):
            self._view.reload()
            yield stage, cache

    def _check(
        self,
        cache: int,
        paths: Collection[str],
        deadline: float,
        on_progress: ProgressCallback | None,
    ) -> None:
        """Hash files in the view that are not as they were hashed, if they ever were.

        Raises:
            StepError: one is not what was signed.
        """
        changed = {path for path in paths if self._view.sound(path, self._names[path]) is None}
        right = self._right(cache, changed, deadline, on_progress)
        if wrong := sorted(changed - right.keys()):
            raise self._changed(wrong[0])
        self._view.note(right)

    def _right(
        self,
        cache: int,
        paths: Collection[str],
        deadline: float,
        on_progress: ProgressCallback | None,
    ) -> dict[str, Receipt]:
        """Those of the files in the view that are what was signed: hashed, never trusted."""
        if not paths:
            return {}
        names = {self._view.name(path): path for path in paths}
        right = hashed_files(
            cache,
            {name: self._admission.signed[path] for name, path in names.items()},
            self._admission.hash_type,
            self._limits,
            deadline=deadline,
            on_progress=on_progress,
        )
        return {
            names[name]: Receipt.of(self._names[names[name]], status)
            for name, status in right.items()
        }

    def _transfer(
        self,
        cache: int,
        stage: int,
        paths: Collection[str],
        deadline: float,
        on_progress: ProgressCallback | None,
    ) -> None:
        """Let files come from their store into the view."""
        arrived: dict[str, Receipt] = {}
        if not paths:
            return

        def keep(path: str) -> None:
            arrived.update(self._keep(cache, stage, path))

        admission = self._admission
        with closing(
            Staging(
                stage,
                self._view.folder,
                admission.signed,
                self._sizes,
                admission.hash_type,
                _READ_ONLY,
            )
        ) as staging:
            remove(stage, MODEL)
            staging.prepare()
            staging.check_room(paths)
            try:
                measured = measure(
                    admission.snapshot,
                    {path: admission.signed[path] for path in paths},
                    admission.hash_type,
                    self._limits,
                    deadline=deadline,
                    destination=_Arrival(staging, keep),
                    on_progress=on_progress,
                )
            finally:
                # Of a transfer that was ended early, too: what has arrived needs no more hashing.
                self._view.note(arrived)
        if measured.findings:
            first = measured.findings[0]
            raise MeasureError(first.code, first.message, path=first.path)

    def _keep(self, cache: int, stage: int, path: str) -> Mapping[str, Receipt]:
        """Put a file that has arrived into the view, as `_put`."""
        with opened(MODEL, stage) as model, around(model, path) as (here, base):
            return self._put(cache, path, here, base)

    def _put(self, cache: int, path: str, here: int, base: str) -> Mapping[str, Receipt]:
        """Move a file from a folder into the view, unless it is there, and give it a name among the
        contents; its receipt, by its path.

        In this order, since a content that no view has may be removed at any moment.
        """
        descriptor = open_file(here, base)
        try:
            _READ_ONLY.give(descriptor, _READ_ONLY.file)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        content = self._names[path]
        with around(cache, self._view.name(path), _READ_ONLY) as (view, name):
            if self._view.sound_at(path, content, view, name) is not None:
                return {}
            os.rename(base, name, src_dir_fd=here, dst_dir_fd=view)
            # Another process may just have brought the same content for another model; and a
            # file system without hard links has it in the view alone.
            with (
                suppress(OSError),
                around(cache, f"{FILES}/{content}", _READ_ONLY) as (files, digest),
            ):
                os.link(name, digest, src_dir_fd=view, dst_dir_fd=files, follow_symlinks=False)
            receipt = receipt_at(view, name, content)
            return {} if receipt is None else {path: receipt}

    def _link(self, cache: int, path: str) -> bool:
        """Give a content its name in the view; whether there is one, and that is possible."""
        name = f"{FILES}/{self._names[path]}"
        with (
            suppress(OSError),
            around(cache, name) as (here, digest),
            around(cache, self._view.name(path), _READ_ONLY) as (there, base),
        ):
            size = os.stat(digest, dir_fd=here, follow_symlinks=False).st_size
            if self._sizes[path] not in (None, size):
                # What its store has is not what was signed; who reads it will say so.
                return False
            os.link(digest, base, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
            return True
        return False

    def _changed(self, path: str) -> DeliveryError:
        return DeliveryError(
            ReasonCode.CACHE_CHANGED,
            f"{path} was changed in the cache {self._layout.folder} after it was verified, so it "
            "is not used; see what writes there, and run oms-gate cache verify --repair",
            path=path,
        )
