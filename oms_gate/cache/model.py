"""An admitted model whose files are handed out, each of them hashed."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from oms_gate.admission import Admission
from oms_gate.cache.contents import Contents
from oms_gate.cache.layout import Layout
from oms_gate.cache.view import Receipt, View
from oms_gate.errors import AdmissionDenied, StepError, reason_of
from oms_gate.limits import Limits
from oms_gate.oms.manifest import Resource
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import read_measured
from oms_gate.verdict import Reason, Verdict

# As often another process can give a file a further name before it is handed out, or opened: to the
# system that is a change of the file like any other, after which it is hashed again.
_ATTEMPTS = 10


class CachedModel:
    """One admitted model at one revision. Safe for use by several threads.

    admission: what was decided.
    reference: with the commit, on the Hub.
    verdict: admitted, at assurance ``signature``: the bytes are hashed as they are asked for.
    files: size in bytes of each signed file, by path; None where its store does not say.
    listed: the path of every file of the model, signed or not.
    single: whether it is one file, with its signature beside it, rather than a folder.
    folder: where the signed files are once they have been asked for; nothing else is in it.
    """

    def __init__(
        self, admission: Admission, layout: Layout, limits: Limits, *, whole: Path | None = None
    ) -> None:
        """
        whole: where the files are whose parts these are; None where they are files themselves.
        """
        snapshot = admission.snapshot
        assert admission.verdict.signature is not None
        self.reference: Reference = snapshot.reference
        self.verdict: Verdict = admission.verdict
        self.files: Mapping[str, int | None] = {
            path: snapshot.files[path].size for path in admission.signed
        }
        self.listed: Collection[str] = snapshot.files.keys()
        self.single: bool = snapshot.single
        root = admission.verdict.signature.root_digest
        # Parts go with their model, whatever revision a listing of parts has.
        self.folder: Path = (
            layout.view(root, "snapshots", snapshot.revision)
            if whole is None
            else layout.view(root, "shards", whole.name)
        )
        self.admission: Admission = admission
        self._layout = layout
        self._limits = limits
        self._view = View(layout, self.folder)
        self._contents = Contents(admission, layout, self._view, limits)
        self._failure: Reason | None = None
        self._handed_out: dict[str, Receipt] = {}
        self._bringing = threading.Lock()

    @property
    def failure(self) -> Reason | None:
        """Why files could not be fetched. None can be from then on; ask for the model again."""
        divided: CachedModel | None = vars(self).get("shards")
        return self._failure or (None if divided is None else divided.failure)

    def fetch(self, paths: Iterable[str], on_progress: ProgressCallback | None = None) -> None:
        """Let signed files be in the folder: transferred where they are not, and hashed.

        Raises:
            AdmissionDenied: one is not what was signed, was changed in the cache, or could not be
                transferred. Nothing wrong is in the folder.
            KeyError: there is no such signed file.
        """
        wanted = {path: self._contents.name(path) for path in paths}
        if not all(map(self._hand_out, wanted, wanted.values())):
            self._bring(wanted, on_progress)

    def path(self, name: str) -> Path:
        """A signed file, as `fetch` puts it into the folder: a look at it, if it is there."""
        self.fetch([name])
        return self.folder / name

    def present(self, name: str) -> Path | None:
        """The same without any transfer; None where it is not there as it was hashed.

        Raises:
            KeyError: there is no such signed file.
        """
        return self.folder / name if self._hand_out(name, self._contents.name(name)) else None

    def content(self, name: str) -> str:
        """What the content of a signed file is called: the same for the same signed digests.

        Raises:
            KeyError: there is no such signed file.
        """
        return self._contents.name(name)

    def is_stored(self, name: str) -> bool:
        """Whether `fetch` needs no transfer for a signed file, as another model has the same.

        Raises:
            AdmissionDenied: the cache failed, and why.
            KeyError: there is no such signed file.
        """
        try:
            return self._contents.stored(name)
        except (OSError, StepError) as error:
            raise self._denied(reason_of(error)) from error

    def take(self, name: str, folder: int, base: str) -> None:
        """Let a file be in the folder that was brought, and hashed, elsewhere. It is moved.

        folder, base: a descriptor of its folder, on the file system of the cache, and its name.

        Raises:
            AdmissionDenied: the cache failed, and why.
            KeyError: there is no such signed file.
        """
        if not self._hand_out(name, self._contents.name(name)):
            try:
                # To wait for another process takes longer than for another thread.
                with self._bringing:
                    self._contents.take(name, folder, base)
            except (OSError, StepError) as error:
                raise self._denied(reason_of(error)) from error

    def read(self, name: str) -> bytes:
        """A small signed file from its store, hashed; it is not kept.

        Raises:
            AdmissionDenied: it is not what was signed, or cannot be had.
            KeyError: there is no such signed file.
        """
        admission = self.admission
        signed = admission.signed[name]
        try:
            return read_measured(admission.snapshot, name, signed, admission.hash_type)
        except StepError as error:
            raise admission.denied([error.reason]) from error

    def keep(self, contents: Mapping[str, bytes]) -> None:
        """Let small files be in the folder that `read` gave.

        contents: by their names.

        Raises:
            StepError, OSError: some are not, as the cache failed; of the others nothing else is to
                be said.
            KeyError: there is no such signed file.
        """
        with self._bringing:
            self._contents.keep(contents)

    def declared(self, name: str) -> str:
        """What its store calls the content of a signed file: the same in another commit only where
        the store says that it is the same.

        Raises:
            KeyError: there is no such signed file.
        """
        return self.admission.snapshot.files[name].version or self.reference.url

    def was_present(self, name: str) -> bool:
        """Whether a signed file was in the folder a while ago; that is no look at it."""
        return self._view.has_receipt(name)

    def read_present(self, name: str) -> bytes | None:
        """A small signed file as `open_present` gives it.

        Raises:
            AdmissionDenied, KeyError: as `open`.
        """
        if (stream := self.open_present(name)) is None:
            return None
        with stream:
            return stream.read()

    def open(self, name: str) -> io.BufferedReader:
        """A signed file, open: the very one that was hashed, whatever happens to its name.

        Raises:
            AdmissionDenied, KeyError: as `fetch`.
        """
        for _ in range(_ATTEMPTS):
            self.fetch([name])
            if (stream := self.open_present(name)) is not None:
                return stream
        raise self._denied(_swapped(name))

    def open_present(self, name: str) -> io.BufferedReader | None:
        """The same without any transfer; None where it is not there as it was hashed.

        Raises:
            AdmissionDenied, KeyError: as `open`.
        """
        try:
            found = self._view.opened(name, self._contents.name(name))
        except (OSError, StepError) as error:
            raise self._denied(reason_of(error)) from error
        if found is None:
            return None
        stream, receipt = found
        try:
            self._remember(name, receipt)
        except AdmissionDenied:
            stream.close()
            raise
        return stream

    def check(self) -> None:
        """See that no file that was handed out was changed since, as long as it was in use.

        Raises:
            AdmissionDenied: one was.
        """
        for name, receipt in list(self._handed_out.items()):
            try:
                now = self._view.now(name, receipt.content)
            except (OSError, StepError) as error:
                raise self._denied(reason_of(error)) from error
            if now is None or not _is_same(receipt, now):
                raise self._denied(_swapped(name))

    def check_folder(self) -> None:
        """See that what is in the folder are signed files, each as it was hashed.

        To be asked before the folder as a whole is handed out.

        Raises:
            AdmissionDenied: somebody has put something else there, or changed a file.
        """
        try:
            others = self._view.others(self.files)
            there = [path for path in self.files if self._view.now(path, "") is not None]
        except (OSError, StepError) as error:
            raise self._denied(reason_of(error)) from error
        if others:
            raise self._denied(_foreign(others[0], self.folder))
        self.fetch(there)

    def check_failure(self) -> None:
        """See that no file that was asked for was wrong, or failed to come.

        Raises:
            AdmissionDenied: one was, or did.
        """
        if (failure := self.failure) is not None:
            raise self.admission.denied([failure])

    @cached_property
    def shards(self) -> CachedModel:
        """The same model with each signed part of a file as a file of its own.

        Their names are `Resource.name`; where a file was signed as a whole, it is the one part.
        """
        admission = self.admission
        parts = {part.name: part for path in admission.signed for part in self.parts(path)}
        whole = {name: Resource(name, part.digest) for name, part in parts.items()}
        divided = Admission(
            admission.verdict,
            _divided(admission.snapshot, parts),
            {name: (part,) for name, part in whole.items()},
            admission.hash_type,
            admission.bundle,
            admission.keep,
        )
        return CachedModel(divided, self._layout, self._limits, whole=self.folder)

    def parts(self, name: str) -> tuple[Resource, ...]:
        """The signed parts of a file in order; one, without start and end, for the whole.

        They have its own name, also where a single file was signed as ``.``.

        Raises:
            KeyError: there is no such signed file.
        """
        return tuple(part._replace(path=name) for part in self.admission.signed[name])

    def close(self) -> None:
        """Release the connections; what is there already can still be had."""
        self.admission.snapshot.close()

    def _hand_out(self, path: str, content: str) -> bool:
        """Whether a file is there as it was hashed; if so, remember how it was."""
        try:
            receipt = self._view.sound(path, content)
        except (OSError, StepError) as error:
            raise self._denied(reason_of(error)) from error
        if receipt is None:
            return False
        self._remember(path, receipt)
        return True

    def _remember(self, path: str, receipt: Receipt) -> None:
        """
        Raises:
            AdmissionDenied: the file was another one when it was handed out before.
        """
        before = self._handed_out.setdefault(path, receipt)
        if not _is_same(before, receipt):
            # What is right again now may have been wrong when it was read. That is said by this
            # one; who asks for the model again gets a new one.
            raise self._denied(_swapped(path))
        self._handed_out[path] = receipt

    def _denied(self, reason: Reason) -> AdmissionDenied:
        """The error for what is the matter here, not there: who asks for the model again gets it.

        A failure that came before stays the reason.
        """
        self._failure = self._failure or reason
        return self.admission.denied([reason])

    def _bring(self, wanted: Mapping[str, str], on_progress: ProgressCallback | None) -> None:
        for _ in range(_ATTEMPTS):
            self._bring_once(wanted, on_progress)
            left = [path for path, content in wanted.items() if not self._hand_out(path, content)]
            if not left:
                return
        raise self.admission.denied([_swapped(left[0])])

    def _bring_once(self, wanted: Mapping[str, str], on_progress: ProgressCallback | None) -> None:
        with self._bringing:
            if self._failure is not None:
                # The transfers of its store were ended, those of other files as well.
                raise self.admission.denied([self._failure])
            try:
                self._contents.bring(wanted, on_progress)
            except BaseException as error:
                self._failure = reason_of(error)
                if isinstance(error, (StepError, OSError)):
                    raise self.admission.denied([self._failure]) from error
                raise


def _is_same(before: Receipt, now: Receipt) -> bool:
    return now == before or before.is_only_renamed(now)


def _foreign(path: str, folder: Path) -> Reason:
    return Reason(
        code=ReasonCode.CACHE_CHANGED,
        message=f"{path} was put into {folder}, which is to have signed files only, so none of it "
        "is used; see what writes there, and run oms-gate cache verify --repair",
        path=path,
    )


def _swapped(path: str) -> Reason:
    return Reason(
        code=ReasonCode.CACHE_CHANGED,
        message=f"{path} was changed in the cache while it was in use, so what was read of it "
        "cannot be trusted; see what writes there, and load the model again",
        path=path,
    )


def _divided(snapshot: Snapshot, parts: Mapping[str, Resource]) -> Snapshot:
    """A snapshot whose files are parts of another one's."""
    files = {}
    for name, part in parts.items():
        file = snapshot.files[part.path]
        size = file.size if part.end is None else part.end - (part.start or 0)
        files[name] = StoredFile(name, size, version=file.version)

    def read_range(
        file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[bytes | memoryview]:
        part = parts[file.path]
        first = part.start or 0
        last = part.end if end is None else first + end
        return snapshot.read_range(snapshot.files[part.path], first + start, last, buffer)

    return Snapshot(
        # With a revision of its own, whatever that of a listing is made of.
        snapshot.reference,
        files,
        single=False,
        read_range=read_range,
        abort=snapshot.abort,
        divisible=snapshot.divisible,
    )
