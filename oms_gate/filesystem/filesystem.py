"""The file system as fsspec knows it."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import fsspec

from oms_gate.cache import CachedModel
from oms_gate.config import CONFIG_VARIABLE
from oms_gate.errors import AdmissionDenied, OmsGateError, UsageError
from oms_gate.filesystem.asynchronous import AsyncVerifiedFile
from oms_gate.filesystem.files import ShardedFile, VerifiedFile, needed, persistent
from oms_gate.filesystem.models import Found, Models, shared_models
from oms_gate.filesystem.read_only import ReadOnlyFileSystem
from oms_gate.gate import Gate
from oms_gate.reference import Reference

_LOCAL = ("file", "local")

# Of a file, from a byte, to another one, as slices have them.
Range = tuple[str, int | None, int | None]


class OmsFileSystem(ReadOnlyFileSystem):
    """Files of admitted models, to be read as they were signed.

    It is chained in front of the file system of a store: ``oms::s3://bucket/model/x``. There are
    only signed files in it, and the folders that hold them; above all models, folders only. A file
    is verified before any of it is handed out, or each signed part of it that is read. An
    `AdmissionDenied`, which is an `OSError`, says why a model is denied.

    Files are kept in the verified cache. All instances of a process with the same arguments use
    the same decisions.
    """

    protocol: ClassVar[str] = "oms"
    _strip_tokenize_options = ("fo",)

    def __init__(
        self,
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        fo: str | None = None,  # noqa: ARG002 - the path; whoever opens something names it again
        gate: Gate | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        **storage_options: Any,
    ) -> None:
        """
        target_protocol, target_options: the store's file system, as the URL names it; its options
            go over those that the gate has for it.
        gate: None for the one that the file named by ``OMS_GATE_CONFIG`` describes. Only with
            that can the file system be sent to other processes.
        cache_folder: None for the one that ``OMS_GATE_CACHE`` names, or else the user's own.
        storage_options: fsspec's own.

        Raises:
            ConfigError: there is no gate, or it or the cache cannot be used.
            UsageError: no store is named, or another chain of file systems.
        """
        super().__init__(**storage_options)
        options = target_options or {}
        if target_protocol is None:
            raise UsageError(
                "oms:: is used in front of the URL of a file: oms::s3://bucket/model/x"
            )
        if options.keys() & {"target_protocol", "fo", "fs"}:
            raise UsageError(
                f"oms:: cannot judge what is behind {target_protocol}::, as its signature is of "
                "what a store has; put oms:: last in the chain, before the store's own URL"
            )
        self._target_protocol = target_protocol
        self._target_options = options
        self._gate = gate
        self._cache_folder = None if cache_folder is None else str(cache_folder)
        self._models_of = os.getpid(), self._shared()
        self._strip_protocol = partial(_path, super()._strip_protocol, target_protocol)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """See `fsspec.AbstractFileSystem.ls`."""
        path = self._strip_protocol(path)
        try:
            found = self._found(path)
        except AdmissionDenied as denied:
            self._models.let_through(denied)
            entries = self._inner.ls(path, detail=True)
        else:
            entries = self._outside(path) if found is None else self._inside(path, found)
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """See `fsspec.AbstractFileSystem.info`; "digest" names a file's content."""
        path = self._strip_protocol(path)
        try:
            found = self._found(path)
        except AdmissionDenied as denied:
            self._models.let_through(denied)
            details: dict[str, Any] = self._inner.info(path)
            return details
        if found is None:
            return {"name": path, "size": 0, "type": "directory"}
        if (entry := found.tree.entry(found.path)) is None:
            raise _absent(path, found)
        return {"name": path, **entry}

    def modified(self, path: str) -> datetime:
        """When the model was judged: since then the file is what it is, and before nobody knows.

        DuckDB asks for it, to know whether what it remembers of a file is still true.
        """
        path = self._strip_protocol(path)
        try:
            return self._file(path).model.verdict.checked_at
        except AdmissionDenied as denied:
            self._models.let_through(denied)
            modified: datetime = self._inner.modified(path)
            return modified

    def exists(self, path: str, **_: Any) -> bool:
        """See `fsspec.AbstractFileSystem.exists`; of a denied model nothing is known."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """See `fsspec.AbstractFileSystem.isfile` and `exists`."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """See `fsspec.AbstractFileSystem.isdir` and `exists`."""
        return self._type(path) == "directory"

    def walk(self, path: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """See `fsspec.AbstractFileSystem.walk`.

        What is denied within an admitted model is an error, since what is left would not be that
        model. Elsewhere it is left out, as fsspec does with what it cannot list.
        """
        try:
            self.info(path)
        except AdmissionDenied:
            reference = self._reference(self._strip_protocol(path))
            if reference is not None and self._models.above(reference) is not None:
                raise
        except FileNotFoundError:
            pass
        yield from super().walk(path, *args, **kwargs)

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """See `fsspec.AbstractFileSystem.find` and `walk`; a denied model is an error."""
        with suppress(FileNotFoundError):
            self.info(path)
        return super().find(path, *args, **kwargs)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """See `fsspec.AbstractFileSystem.cat_file`."""
        path = self._strip_protocol(path)
        self._fetch([(path, start, end)])
        content: bytes
        with self._open(path) as file:
            if not isinstance(file, VerifiedFile):
                content = self._inner.cat_file(path, start=start, end=end)
                return content
            first, last, _step = slice(start, end).indices(file.size)
            file.seek(first)
            return file.read(max(last - first, 0))

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """See `fsspec.AbstractFileSystem.cat_ranges`."""
        count = len(paths)
        first = starts if isinstance(starts, list) else [starts] * count
        last = ends if isinstance(ends, list) else [ends] * count
        self._fetch(zip(map(self._strip_protocol, paths), first, last, strict=True))
        ranges: list[Any] = super().cat_ranges(paths, first, last, max_gap, on_error, **kwargs)
        return ranges

    def get_file(self, rpath: str, lpath: Any = None, **kwargs: Any) -> None:
        """See `fsspec.AbstractFileSystem.get_file`; a denied file is not begun."""
        with suppress(IsADirectoryError):
            self._fetch_whole(self._strip_protocol(rpath))
        super().get_file(rpath, lpath, **kwargs)

    def cat(self, path: Any, recursive: bool = False, **kwargs: Any) -> Any:
        """See `fsspec.AbstractFileSystem.cat`."""
        self._fetch_all(path, recursive, None)
        return super().cat(path, recursive, **kwargs)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kw: Any,
    ) -> None:
        """See `fsspec.AbstractFileSystem.get` and `get_file`."""
        self._fetch_all(rpath, recursive, maxdepth)
        super().get(rpath, lpath, recursive, maxdepth=maxdepth, **kw)

    async def open_async(self, path: str, mode: str = "rb", **_: Any) -> AsyncVerifiedFile:
        """See `fsspec.asyn.AsyncFileSystem.open_async`: what it opens is read with ``await``."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: an asynchronous file is read, as bytes")
        path = self._strip_protocol(path)
        return AsyncVerifiedFile(self, path, await asyncio.to_thread(self._open, path))

    def invalidate_cache(self, path: str | None = None) -> None:
        """See `fsspec.AbstractFileSystem.invalidate_cache`; what was decided stays so."""
        self._inner.invalidate_cache(path)

    def __reduce__(self) -> Any:
        if self._gate is not None:
            raise pickle.PicklingError(
                "a file system with a gate of its own stays in its process; name the gate's "
                f"configuration by {CONFIG_VARIABLE} instead, there and here"
            )
        return super().__reduce__()

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            self._refuse()
        try:
            found = self._file(path)
            name = found.path
            if found.model.parts(name)[0].start is None:
                whole = persistent(name, lambda: self._file(path).model.open(name))
                return VerifiedFile(whole.detach(), self, path)
            shards = ShardedFile(
                found.model,
                name,
                again=lambda: self._file(path).model,
                unverified=partial(self._unverified, path),
            )
            return VerifiedFile(shards, self, path)
        except AdmissionDenied as denied:
            self._models.let_through(denied)
            return self._inner.open(path, "rb")

    def _unverified(self, path: str, denied: AdmissionDenied, start: int, end: int) -> bytes:
        self._models.let_through(denied)
        content: bytes = self._inner.cat_file(path, start=start, end=end)
        return content

    def _fetch_all(self, path: Any, recursive: bool, maxdepth: int | None) -> None:
        """Bring all that a path or pattern stands for at once."""
        with suppress(OSError):
            paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
            self._fetch((path, None, None) for path in paths)

    def _fetch(self, ranges: Iterable[Range]) -> None:
        """Bring all that is about to be read at once, so that it comes in parallel.

        What is wrong with one of them is said when that is read.
        """
        wanted: defaultdict[CachedModel, set[str]] = defaultdict(set)
        for path, start, end in ranges:
            with suppress(OSError, OmsGateError):
                found = self._file(path)
                model, names = needed(found.model, found.path, start, end)
                wanted[model].update(names)
        for model, those in wanted.items():
            with suppress(AdmissionDenied):
                self._models.transfers.fetch(model, those)

    def _fetch_whole(self, path: str) -> None:
        """Bring all of a file.

        Raises:
            AdmissionDenied: it is denied.
        """

        def fetch() -> None:
            found = self._file(path)
            model, names = needed(found.model, found.path, None, None)
            model.fetch(names)

        try:
            persistent(self._file(path).path, fetch)
        except AdmissionDenied as denied:
            self._models.let_through(denied)

    def _file(self, path: str) -> Found:
        """A signed file.

        Raises:
            AdmissionDenied: its model is denied.
            FileNotFoundError, IsADirectoryError: there is none.
        """
        reference = self._reference(path)
        if reference is None:
            raise IsADirectoryError(errno.EISDIR, "this is a whole store", path)
        found = self._models.above(reference) or self._models.single(reference)
        entry = found.tree.entry(found.path)
        if entry is None:
            raise _absent(path, found)
        if entry["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "this is a folder of a model", path)
        return found

    def _found(self, path: str) -> Found | None:
        """A path in a model, whether it is there or not; None for a folder above all models.

        Raises:
            AdmissionDenied: the model is denied.
            FileNotFoundError: there is neither a model nor a folder.
        """
        reference = self._reference(path)
        if reference is None:
            return None
        if (found := self._models.at_or_above(reference)) is not None:
            return found
        kind = self._inner.info(path)["type"]
        if kind == "directory":
            return None
        return self._models.single(reference)

    def _type(self, path: str) -> str | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            kind: str = self.info(path)["type"]
            return kind
        return None

    def _inside(self, path: str, found: Found) -> list[dict[str, Any]]:
        """The entries of a folder of a model, or the one of a file."""
        entry = found.tree.entry(found.path)
        if entry is None:
            raise _absent(path, found)
        if entry["type"] == "file":
            return [{"name": path, **entry}]
        root = path.removesuffix(found.path).rstrip("/")
        return [
            {"name": f"{root}/{child}", **(found.tree.entry(child) or {})}
            for child in found.tree.children(found.path)
        ]

    def _outside(self, path: str) -> list[dict[str, Any]]:
        """The folders in one above all models; where the gate only annotates, its files too."""
        entries: list[dict[str, Any]] = self._inner.ls(path, detail=True)
        if self._models.gate.mode == "annotate":
            return entries
        names = (entry["name"].rstrip("/") for entry in entries if entry["type"] == "directory")
        return [
            {"name": name, "size": 0, "type": "directory"}
            for name in names
            if _is_directly_in(path, name)
        ]

    def _reference(self, path: str) -> Reference | None:
        """What a path names to the gate; None for a whole store."""
        if not path.strip("/"):
            return None
        if "://" in path:
            return Reference.parse(path)
        plain = path if self._target_protocol in _LOCAL else path.strip("/")
        return Reference.parse(f"{self._target_protocol}://{plain}")

    @property
    def _inner(self) -> Any:
        """The store's own file system, for what is above models and what is let through."""
        options = self._models.gate.stores.options.get(self._scheme, {})
        # What it knew of a store's folders would stay known.
        return fsspec.filesystem(self._target_protocol, **{"use_listings_cache": False, **options})

    @property
    def _scheme(self) -> str:
        """By what name the gate has the store's options."""
        return {"s3a": "s3"}.get(self._target_protocol, self._target_protocol)

    @property
    def _models(self) -> Models:
        process, models = self._models_of
        if process != os.getpid():
            # In a process that was forked, connections and locks are the other one's.
            models = self._shared()
            self._models_of = os.getpid(), models
        return models

    def _shared(self) -> Models:
        gate = self._gate or Gate.from_environment()
        return shared_models(gate, self._scheme, self._target_options, self._cache_folder)


def _path(own: Callable[[Any], Any], protocol: str, path: Any) -> Any:
    """A path, or each of a list, without protocols; a local one is absolute."""
    if isinstance(path, list):
        return [_path(own, protocol, one) for one in path]
    plain = fsspec.get_filesystem_class(protocol)._strip_protocol(own(path))
    return os.path.abspath(plain) if protocol in _LOCAL else plain


def _is_directly_in(folder: str, path: str) -> bool:
    parent, _, base = path.strip("/").rpartition("/")
    return parent == folder.strip("/") and base not in ("", ".", "..")


def _absent(path: str, found: Found) -> FileNotFoundError:
    why = "there is no such file"
    if found.path in found.model.listed:
        why = "this file is in the model's folder, but it is not one of those that were signed"
    return FileNotFoundError(errno.ENOENT, why, path)
