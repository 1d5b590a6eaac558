"""What is in a cache: the models that are remembered, and the files that are there of them.

It is read by descriptors, so that no link leads out of the cache.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from oms_gate.cache.known import Known, KnownModel
from oms_gate.cache.layout import FOLDERS, KNOWN, ROOTS, STAGES, Layout
from oms_gate.cache.view import RECEIPTS
from oms_gate.delivery.folders import around, below, opened, remove, status_of, walk
from oms_gate.errors import OmsGateError, UsageError
from oms_gate.reference import Reference
from oms_gate.verdict import Signer

ROOT_DIGEST = re.compile(r"[0-9a-f]{64}")
_VIEW = re.compile(rf"{ROOTS}/{ROOT_DIGEST.pattern}/snapshots/(?!\.)[^/]+")


@dataclass(frozen=True)
class RememberedModel:
    """A model at a revision that was admitted.

    file: the name of its record.
    record: see `KnownModel`.
    last_used: when it was last decided about.
    """

    file: str
    record: KnownModel
    last_used: datetime

    @property
    def url(self) -> str:
        """With its revision, on the Hub."""
        return self.record.url

    @property
    def reference(self) -> Reference:
        """The same."""
        return Reference.parse(self.record.url)

    @property
    def root(self) -> str:
        """The root digest of what was signed."""
        return self.record.view.split("/")[1]

    @property
    def signer(self) -> Signer | None:
        """Who signed it, as of the last decision."""
        return self.record.verdict.signer

    @property
    def files_signed(self) -> int:
        """How many files its signature covers."""
        coverage = self.record.verdict.coverage
        return coverage.signed if coverage is not None else 0

    @property
    def views(self) -> tuple[str, str]:
        """The folders of its files, and of their parts, below the cache's."""
        return self.record.view, shards_of(self.record.view)


@dataclass(frozen=True)
class Holding:
    """What is there of a model.

    files, parts: how many of its signed files, and of parts of such, as counts.
    bytes: size of both. Other models may have the same files.
    """

    model: RememberedModel
    files: int
    parts: int
    bytes: int


@dataclass(frozen=True)
class RootFolder:
    """What is there of one manifest.

    views: the status of each file of each view, by the view's path and by the file's path in it.
    leftovers: paths of small files that were not written to their end.
    strange: paths of what the gate never puts there, such as links.
    """

    views: Mapping[str, Mapping[str, os.stat_result]]
    leftovers: tuple[str, ...]
    strange: tuple[str, ...]

    @classmethod
    def of(cls, cache: int, root: str) -> RootFolder:
        """Look at it. All paths are below the cache's folder, of which `cache` is a descriptor."""
        views: dict[str, dict[str, os.stat_result]] = {}
        leftovers, strange = [], []
        top = f"{ROOTS}/{root}"
        for path, status in walked(cache, top):
            kind, _, rest = path.partition("/")
            revision, _, file = rest.partition("/")
            whole = f"{top}/{path}"
            view = f"{top}/{kind}/{revision}"
            if kind not in ("snapshots", "shards"):
                strange.append(whole)
            elif stat.S_ISDIR(status.st_mode):
                if revision:
                    views.setdefault(view, {})
            elif not stat.S_ISREG(status.st_mode):
                strange.append(whole)
            elif file:
                views.setdefault(view, {})[file] = status
            elif not revision.endswith(RECEIPTS):
                leftovers.append(whole)
        return cls(views, tuple(leftovers), tuple(strange))


@contextmanager
def looked_after(layout: Layout) -> Iterator[int]:
    """The descriptor of the cache's folder, for who looks after it.

    Raises:
        OmsGateError: one of its folders is a link, or the file system failed meanwhile.
    """
    try:
        with layout.opened() as cache:
            for name in FOLDERS:
                with opened(name, cache):
                    pass
            yield cache
    except OSError as error:
        raise OmsGateError(
            f"the cache {layout.folder} cannot be looked after: {error.strerror or error}; let "
            "this user read and write what is in it, and see that its folders are no links"
        ) from error


def remembered_models(layout: Layout) -> tuple[list[RememberedModel], list[str]]:
    """The models, and the names of records that are damaged.

    Raises:
        OmsGateError: the cache could not be read.
    """
    models, damaged = [], []
    with looked_after(layout) as cache, opened(KNOWN, cache) as folder:
        for file, record in Known(layout).all():
            status = status_of(folder, file)
            if status is None:
                continue  # It was removed a moment ago.
            if record is None or not _is_sound(record):
                damaged.append(file)
            else:
                used = datetime.fromtimestamp(status.st_mtime, UTC)
                models.append(RememberedModel(file, record, used))
    return sorted(models, key=lambda model: model.url), damaged


def _is_sound(record: KnownModel) -> bool:
    """Whether a record can be of a model of this cache, and is of the one whose files it names."""
    signature = record.verdict.signature
    if signature is None or not _VIEW.fullmatch(record.view):
        return False
    try:
        url = Reference.parse(record.url).url
    except UsageError:
        return False
    return url == record.url and record.view.split("/")[1] == signature.root_digest


def holdings(layout: Layout) -> tuple[list[Holding], int]:
    """What is there of each model, and the size of all that is in the cache, in bytes.

    Raises:
        OmsGateError: the cache could not be read.
    """
    found = []
    with looked_after(layout) as cache:
        for model in remembered_models(layout)[0]:
            files, parts = (
                [s.st_size for _, s in walked(cache, view) if stat.S_ISREG(s.st_mode)]
                for view in model.views
            )
            found.append(Holding(model, len(files), len(parts), sum(files) + sum(parts)))
        return found, total_bytes(cache)


def chosen(models: Collection[RememberedModel], names: Collection[str]) -> list[RememberedModel]:
    """The models that a user names, each by its URL or, for all revisions, by that without one.

    Raises:
        UsageError: there is none of this name, or it is no reference.
    """
    found = []
    for name in names:
        reference = Reference.parse(name)
        of_name = [
            model
            for model in models
            if reference.url in (model.reference.url, model.reference.name)
        ]
        if not of_name:
            raise UsageError(
                f"no model is remembered as {reference.url}; see oms-gate cache list, and name a "
                "commit, or no revision for all of them"
            )
        found += of_name
    return found


def roots(cache: int) -> list[str]:
    """The root digests of all manifests of which anything is there, or under transfer."""
    names: set[str] = set()
    for folder in (ROOTS, STAGES):
        with opened(folder, cache) as here, os.scandir(here) as scan:
            names.update(entry.name for entry in scan)
    return sorted(name for name in names if ROOT_DIGEST.fullmatch(name))


def shards_of(view: str) -> str:
    """The folder of the parts of the files of a view that has ``snapshots``."""
    return view.replace("/snapshots/", "/shards/", 1)


def walked(cache: int, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """All that is below a folder of the cache, as `walk`; nothing where that is no folder."""
    status = status_of(cache, folder)
    if status is not None and stat.S_ISDIR(status.st_mode):
        with below(cache, folder) as here:
            yield from walk(here)


def total_bytes(cache: int) -> int:
    """The size of all files of a cache, each counted once whatever names it has."""
    sizes = {
        (status.st_dev, status.st_ino): status.st_size
        for folder in FOLDERS
        for _, status in walked(cache, folder)
        if stat.S_ISREG(status.st_mode)
    }
    return sum(sizes.values())


def remove_below(cache: int, path: str) -> None:
    """Remove what has this path below the cache's folder, if anything has."""
    with suppress(FileNotFoundError), around(cache, path) as (here, name):
        remove(here, name)
