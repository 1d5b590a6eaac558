"""Pruning a cache: what was not used for long goes, and what nobody has any more."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from oms_gate.cache.known import Known
from oms_gate.cache.layout import FILES, KNOWN, ROOTS, Layout
from oms_gate.cache.upkeep import (
    RememberedModel,
    RootFolder,
    looked_after,
    remembered_models,
    remove_below,
    roots,
    shards_of,
    walked,
)
from oms_gate.cache.view import RECEIPTS
from oms_gate.delivery.folders import around, status_of, walk
from oms_gate.delivery.stage import LOCK, locked_stage, remove_stage
from oms_gate.errors import DeliveryError
from oms_gate.reason_codes import ReasonCode

# Nobody takes so long to write a record.
_WRITING_SECONDS = 3600


@dataclass(frozen=True)
class Pruned:
    """What was removed.

    models: by URL, in order; for those that were not remembered, by their folder in the cache.
    contents: files that no model had any more, as a count.
    transfers: what was left of those that were killed, as a count.
    bytes: what was freed.
    busy: models that were to go and stay, as they are being transferred.
    """

    models: tuple[str, ...]
    contents: int
    transfers: int
    bytes: int
    busy: tuple[str, ...]


def prune(
    layout: Layout,
    unused: timedelta | None,
    models: Collection[RememberedModel] | None = None,
    *,
    dry_run: bool = False,
) -> Pruned:
    """Remove models that were not used for so long, and then all that nothing needs.

    What another process is bringing at the moment stays. What is in use stays readable for who has
    it open.

    unused: None for however short.
    models: of these only; None for all that is in the cache.
    dry_run: only say what would be removed.

    Raises:
        OmsGateError: the cache could not be read or changed.
    """
    with looked_after(layout) as cache:
        before = None if unused is None else datetime.now(UTC) - unused
        run = _Run(layout, cache, before, models, dry_run)
        run.prune_roots()
        run.prune_contents()
        run.prune_known()
        return Pruned(tuple(run.models), run.contents, run.transfers, run.bytes, tuple(run.busy))


class _Run:
    """One pruning, and what it came to so far."""

    def __init__(
        self,
        layout: Layout,
        cache: int,
        before: datetime | None,
        models: Collection[RememberedModel] | None,
        dry_run: bool,
    ) -> None:
        """
        before: what was used since then stays.
        """
        self.models: list[str] = []
        self.contents = 0
        self.transfers = 0
        self.bytes = 0
        self.busy: list[str] = []
        self._layout = layout
        self._cache = cache
        self._before = before
        self._chosen = None if models is None else {model.file for model in models}
        self._dry_run = dry_run
        # Before the records, which are written first.
        self._commits = dict(Known(layout).commits())
        remembered, self._damaged = remembered_models(layout)
        self._kept = {model.file: model for model in remembered}
        self._of_view: defaultdict[str, list[RememberedModel]] = defaultdict(list)
        for model in remembered:
            self._of_view[model.record.view].append(model)
        # How many names each file had, and how many of them are gone.
        self._names: dict[tuple[int, int], int] = {}
        self._gone: Counter[tuple[int, int]] = Counter()

    def prune_roots(self) -> None:
        """Remove models, what killed transfers have left, and folders that are empty then."""
        views = defaultdict(set)
        for view, models in self._of_view.items():
            views[models[0].root].add(view)
        for root in sorted({*roots(self._cache), *views}):
            place = self._layout.root(root)
            try:
                # Who has it is bringing files of it.
                with locked_stage(place, time.monotonic()) as stage:
                    self._prune_root(root, views[root])
                    self._prune_stage(stage)
                    if not self._dry_run:
                        # Last, as it ends the lock.
                        remove_stage(stage, place)
            except DeliveryError as error:
                if error.reason.code is not ReasonCode.DEADLINE_EXCEEDED:
                    raise
                self.busy += [
                    model.url
                    for view in sorted(views[root])
                    for model in self._of_view[view]
                    if self._is_to_go(model)
                ]

    def prune_contents(self) -> None:
        """Remove files that no model has.

        Whoever gives one a further name at this moment has it by that.
        """
        for path, status in walked(self._cache, FILES):
            left = status.st_nlink - (self._gone[_file(status)] if self._dry_run else 0)
            if stat.S_ISREG(status.st_mode) and left == 1:
                self._remove(f"{FILES}/{path}", status)
                self.contents += 1

    def prune_known(self) -> None:
        """Remove records that are of no use any more."""
        revisions = {model.reference.revision for model in self._kept.values()}
        stale = [name for name, commit in self._commits.items() if commit not in revisions]
        for name, status in walked(self._cache, KNOWN):
            half = not name.endswith((".json", ".txt"))
            if half and time.time() - status.st_mtime > _WRITING_SECONDS:
                stale.append(name)
        for name in (*self._damaged, *stale):
            self._remove(f"{KNOWN}/{name}")

    def _prune_root(self, root: str, remembered: Collection[str]) -> None:
        """Remove models of one manifest, whose stage is locked."""
        folder = RootFolder.of(self._cache, root)
        there = {view.replace("/shards/", "/snapshots/", 1) for view in folder.views}
        for view in sorted({*there, *remembered}):
            models = self._of_view[view]
            going = [model for model in models if self._is_to_go(model)]
            for model in going:
                self._remove(f"{KNOWN}/{model.file}")
                del self._kept[model.file]
                self.models.append(model.url)
            if len(going) < len(models):
                continue
            if not models:
                if not self._is_forgotten(view):
                    continue
                self.models.append(view)
            for each in (view, shards_of(view)):
                for status in folder.views.get(each, {}).values():
                    self._count(status)
                # Without receipts nothing is handed out.
                self._remove(f"{each}{RECEIPTS}")
                self._remove(each)
        for path in folder.leftovers:
            self._remove(path)
        if not self._dry_run:
            for path in ("snapshots", "shards", ""):
                with (
                    suppress(OSError),  # It is not empty.
                    around(self._cache, f"{ROOTS}/{root}/{path}".rstrip("/")) as (here, name),
                ):
                    os.rmdir(name, dir_fd=here)

    def _prune_stage(self, stage: int) -> None:
        files = [status for _, status in walk(stage, (LOCK,)) if stat.S_ISREG(status.st_mode)]
        for status in files:
            self._count(status)
        self.transfers += bool(files)

    def _is_to_go(self, model: RememberedModel) -> bool:
        """Whether a model is meant, and was not used since: not even a moment ago."""
        if self._chosen is not None and model.file not in self._chosen:
            return False
        return self._is_unused([f"{KNOWN}/{model.file}"])

    def _is_forgotten(self, view: str) -> bool:
        """Whether a model that nothing remembers was not used since."""
        paths = [name for each in (view, shards_of(view)) for name in (each, f"{each}{RECEIPTS}")]
        return self._chosen is None and self._is_unused(paths)

    def _is_unused(self, paths: Collection[str]) -> bool:
        if self._before is None:
            return True
        found = [status_of(self._cache, path) for path in paths]
        used = [status.st_mtime for status in found if status is not None]
        return max(used, default=0) < self._before.timestamp()

    def _remove(self, path: str, status: os.stat_result | None = None) -> None:
        """Remove what has this path; with its status it is counted."""
        if status is not None:
            self._count(status)
        if not self._dry_run:
            remove_below(self._cache, path)

    def _count(self, status: os.stat_result) -> None:
        """Count a name of a file as gone, and the file with its last one."""
        file = _file(status)
        names = self._names.setdefault(file, status.st_nlink)
        self._gone[file] += 1
        if self._gone[file] == names:
            self.bytes += status.st_size


def _file(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
