"""Pulling a model into a folder: transferred and hashed in one pass, and there when it is whole."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from oms_gate.coverage import Comparison
from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import (
    around,
    content_of,
    disk_errors,
    make_folders,
    nearest,
    opened,
    remove_files,
    status_of,
    walk,
)
from oms_gate.delivery.place import Place
from oms_gate.delivery.present import is_same, is_unchanged, right_files
from oms_gate.delivery.publishing import heal, put_in_place, replace, replace_verdict, write_file
from oms_gate.delivery.receipt import delivered_files
from oms_gate.delivery.selection import Selection, Wanted, wanted
from oms_gate.delivery.stage import locked_stage, remove_stage
from oms_gate.delivery.staging import MODEL, Staging
from oms_gate.delivery.system_calls import make_durable
from oms_gate.errors import DeliveryError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.signature_file import SignatureFile
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import FileRange, Hashing, ProgressCallback
from oms_gate.streaming.measure import Measurement, measure
from oms_gate.verdict import VERDICT_FILE, Delivery, printable

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model that is to arrive, as far as it is known before its weights are read.

    comparison, hash_type, bundle: None where the model is denied before these were known.
    denied: it is denied already, and let through all the same.
    lets_through: whatever is found in its bytes, it arrives.
    """

    snapshot: Snapshot
    comparison: Comparison | None
    hash_type: HashType | None
    bundle: SignatureFile | None
    denied: bool
    lets_through: bool

    def wanted(self, selection: Selection, *, as_it_is: bool) -> Wanted:
        """See `wanted`."""
        name = None if self.bundle is None else self.bundle.name
        return wanted(self.snapshot, self.comparison, name, selection, as_it_is=as_it_is)


class Pull:
    """Where a model is to be, and what of it."""

    def __init__(
        self,
        place: Place,
        include: Collection[str] = (),
        exclude: Collection[str] = (),
        last: Callable[[int, Access], None] | None = None,
    ) -> None:
        """
        include, exclude: patterns, see `Selection`.
        last: what is to be done when the model is in its folder, before the stage goes; given are
            the stage's descriptor, and who may do what with files.

        Raises:
            UsageError: the folder has something in it that no pull put there, or is none.
        """
        self.place = place
        self.last = last
        self.selection = Selection(tuple(include), tuple(exclude))
        delivered_files(self.place)

    @contextmanager
    def begin(self, source: Source, limits: Limits, deadline: float) -> Iterator[Transfer]:
        """The transfer of a model, while no other one into this folder is at work.

        deadline: on the clock of `time.monotonic`, in seconds.

        Raises:
            UsageError: see `wanted` and `delivered_files`.
            DeliveryError: see `wanted` and `locked_stage`; or the file system failed.
        """
        chosen = source.wanted(self.selection, as_it_is=source.denied)
        self.place.check_writable()
        with locked_stage(self.place, deadline) as stage:
            with disk_errors(self.place.folder):
                heal(stage, self.place)
                transfer = Transfer(self, source, chosen, stage, limits, deadline)
            with closing(transfer):
                yield transfer


class Transfer:
    """The transfer of one model into a locked stage, and from there into its folder.

    complete: whether all is there that is to be published.
    """

    def __init__(
        self,
        pull: Pull,
        source: Source,
        chosen: Wanted,
        stage: int,
        limits: Limits,
        deadline: float,
    ) -> None:
        self.complete = False
        self._place = pull.place
        self._selection = pull.selection
        self._last = pull.last
        self._source = source
        self._wanted = chosen
        self._stage = stage
        self._limits = limits
        self._deadline = deadline
        # What was there and right, by path: in the stage, and in the folder.
        self._staged: dict[str, os.stat_result] = {}
        self._there: dict[str, os.stat_result] = {}
        self._unchanged = False
        self._before = delivered_files(self._place)
        self._is_new = not self._place.folder.exists()
        around_it = nearest(self._place.folder).stat()
        self._access = Access.within(around_it)
        self._mode = self._access.folder if self._is_new else stat.S_IMODE(around_it.st_mode)
        self.staging = Staging(
            stage,
            self._place.folder,
            chosen.signed,
            {path: file.size for path, file in source.snapshot.files.items()},
            source.hash_type,
            self._access,
        )

    def run(self, on_progress: ProgressCallback | None) -> Measurement:
        """Hash what is there already, and transfer and hash the rest.

        Raises:
            DeliveryError: the file system failed, or has too little room.
            MeasureError: the deadline passed.
            StoreError: a file that arrives as it is could not be read.
        """
        # Without a signature there is nothing that would be compared.
        hash_type = self._source.hash_type or "sha256"
        self.staging.prepare()
        with disk_errors(self._place.folder):
            missing = self._missing(hash_type, on_progress)
        self.staging.check_room([*missing, *self._wanted.others])
        measured = measure(
            self._source.snapshot,
            missing,
            hash_type,
            self._limits,
            deadline=self._deadline,
            report_all=self._source.lets_through,
            destination=self.staging,
            on_progress=on_progress,
        )
        self._finish(missing, measured, on_progress)
        return Measurement(
            len(self._present) + measured.files,
            sum(self._present.values()) + measured.bytes,
            measured.findings,
        )

    def delivery(self) -> Delivery:
        """What a verdict says of it."""
        arrived = self._present | self.staging.arrived
        bundle = self._source.bundle
        return Delivery(
            folder=str(self._place.folder),
            files=tuple(sorted(arrived)),
            signature=None if bundle is None else bundle.name,
            bytes=sum(arrived.values()),
            transferred_bytes=self.staging.transferred,
            reused_bytes=sum(self._present.values()) + sum(self.staging.kept.values()),
            left_out=self._wanted.left_out,
        )

    def publish(self, verdict: str) -> None:
        """Let the model be in its folder, with the verdict on it, and remove the stage.

        Raises:
            UsageError: somebody has put something into the folder meanwhile.
            DeliveryError: the file system failed.
        """
        with disk_errors(self._place.folder):
            if not self._unchanged:
                self._gather(verdict)
                # It may take long, so all that is checked is checked after it.
                make_durable(self._stage)
            self._check_present()
            before = set(delivered_files(self._place))
            if self._unchanged:
                replace_verdict(self._stage, self._place, verdict.encode(), self._access)
            else:
                self._put(before)
            if self._last is not None:
                self._last(self._stage, self._access)
        self._remove_stage()

    def close(self) -> None:
        """End all writing."""
        self.staging.close()

    def _missing(
        self, hash_type: HashType, on_progress: ProgressCallback | None
    ) -> dict[str, tuple[Resource, ...]]:
        """The files to be transferred: all but those that are right in the stage or the folder."""

        def right(folder: int, paths: Iterable[str]) -> dict[str, os.stat_result]:
            return right_files(
                folder,
                {path: self._wanted.signed[path] for path in paths},
                self.staging.sizes,
                hash_type,
                self._limits,
                deadline=self._deadline,
                on_progress=on_progress,
            )

        with opened(MODEL, self._stage) as model:
            # What an earlier run had completed, or what was replaced and not removed any more.
            self._staged = right(model, self._wanted.signed)
            remove_files(model, _files(model) - self._staged.keys())
            missing = self._wanted.signed.keys() - self._staged.keys()
            if not self._is_new:
                with opened(str(self._place.folder)) as folder:
                    self._there = right(folder, missing)
                    self._unchanged = self._is_as_wanted(folder, self._there)
                    if not self._unchanged and not self._place.in_place:
                        self._staged |= self._linked(folder, model, self._there)
                        self._there = {}
        return {path: self._wanted.signed[path] for path in missing - self._present.keys()}

    @property
    def _present(self) -> dict[str, int]:
        """The size of each file that was there and right, in bytes."""
        return {path: status.st_size for path, status in (self._staged | self._there).items()}

    def _check_present(self) -> None:
        """See that nobody has written since to what was there and right.

        Raises:
            DeliveryError: somebody has.
        """
        self._check_in(self._staged, MODEL, self._stage)
        self._check_in(self._there, str(self._place.folder))

    def _check_in(
        self, hashed: Mapping[str, os.stat_result], folder: str, at: int | None = None
    ) -> None:
        if not hashed:
            return
        with opened(folder, at) as here:
            for path, before in hashed.items():
                now = status_of(here, path)
                if now is None or not is_unchanged(now, before):
                    raise DeliveryError(
                        ReasonCode.SYSTEM_IO,
                        f"{path} was changed by another program after it was hashed; see what else "
                        f"writes to {self._place.folder}, and pull again",
                        path=path,
                    )

    def _is_as_wanted(self, folder: int, there: Collection[str]) -> bool:
        """Whether the folder has all that is wanted, and nothing else."""
        bundle = self._source.bundle
        return (
            not self._wanted.others
            and set(there) == self._wanted.signed.keys()
            and set(self._before) == {*there, *self._beside()}
            and (bundle is None or content_of(folder, bundle.name) == bundle.content)
        )

    def _linked(
        self, folder: int, model: int, there: Mapping[str, os.stat_result]
    ) -> dict[str, os.stat_result]:
        """Give files of the folder a second name in the stage: those for which that works."""
        linked = {}
        for path, status in there.items():
            with (
                suppress(OSError),
                around(folder, path) as (here, name),
                around(model, path, self._access) as (place, _),
            ):
                os.link(name, name, src_dir_fd=here, dst_dir_fd=place, follow_symlinks=False)
                now = os.stat(name, dir_fd=place, follow_symlinks=False)
                if is_same(now, status):
                    linked[path] = now
                else:
                    os.unlink(name, dir_fd=place)
        return linked

    def _finish(
        self,
        missing: Collection[str],
        measured: Measurement,
        on_progress: ProgressCallback | None,
    ) -> None:
        """Complete what is let through, or give up."""
        changed = {
            finding.path for finding in measured.findings if finding.code is ReasonCode.FILE_CHANGED
        }
        others = self._wanted.others
        if measured.findings:
            readable = all(f.code is ReasonCode.FILE_CHANGED for f in measured.findings)
            if not self._source.lets_through or not readable:
                if changed:
                    self.staging.forget()
                return
            for path in missing:
                if printable(path) in changed:
                    self.staging.complete(path)
            others = self._source.wanted(self._selection, as_it_is=True).others
        self._take(others, on_progress)
        self.complete = True

    def _take(self, paths: Collection[str], on_progress: ProgressCallback | None) -> None:
        """Transfer files as they are."""
        hashing = Hashing(
            self._source.snapshot,
            map(FileRange, paths),
            self._source.hash_type or "sha256",
            self._limits,
            deadline=self._deadline,
            destination=self.staging,
            on_progress=on_progress,
        )
        with closing(hashing.run()) as ended:
            for part in ended:
                if part.error is not None:
                    raise part.error
                self.staging.complete(part.path)

    def _gather(self, verdict: str) -> None:
        """Put beside the files what else is to be in the folder."""
        bundle = self._source.bundle
        with opened(MODEL, self._stage) as model:
            if bundle is not None:
                write_file(model, bundle.name, bundle.content, self._access)
            write_file(model, VERDICT_FILE, verdict.encode(), self._access)
            self._access.give(model, self._mode)

    def _put(self, before: Collection[str]) -> None:
        """Put what was gathered into its folder.

        before: paths of the files that were in it a moment ago.
        """
        make_folders(self._place.folder.parent)
        if self._place.in_place or not replace(self._stage, self._place, before):
            new = {*self._present, *self.staging.arrived, *self._beside()}
            stale = set(before) - new
            put_in_place(self._stage, self._place, stale, self._access)

    def _beside(self) -> set[str]:
        """What is in the folder besides the model's files."""
        bundle = self._source.bundle
        return {VERDICT_FILE} if bundle is None else {VERDICT_FILE, bundle.name}

    def _remove_stage(self) -> None:
        self.staging.close()
        try:
            remove_stage(self._stage, self._place)
        except OSError as error:
            # The next pull does that.
            _LOG.warning("%s could not be removed: %s", self._place.stage, error.strerror)


def _files(folder: int) -> set[str]:
    """The paths of all that is below a folder and is no folder."""
    return {path for path, status in walk(folder) if not stat.S_ISDIR(status.st_mode)}
