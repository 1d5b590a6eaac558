"""Models on any other fsspec file system, such as ``gs://``, ``az://`` or ``memory://``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from oms_gate.errors import ConfigError, StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.snapshot import (
    CHUNK_BYTES,
    Snapshot,
    StoredFile,
    Written,
    check_same,
    listed,
    unsafe,
    unwritable,
)
from oms_gate.stores.store import (
    StoreSettings,
    in_short,
    translated,
    unanswered,
    unusable,
    within,
)


class GenericStore:
    """What fsspec offers everywhere: listing, reading at an offset, and writing a whole file.

    A file is pinned by what its file system calls its unique key (``ukey``: a checksum, an entity
    tag, or its details), compared before and after it is read. The listing is the file system's
    own, and so is the memory that it takes. Nothing is written under a condition, so what was
    written is read back: of two who write at once, one may still find the other's.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """See `Store.snapshot`."""
        with translated(lambda error: _store_error(error, reference.url)):
            fs, single, entries = within(
                self._limits.listing_seconds, lambda: self._listed(reference, beside)
            )
        files = listed([file for _, file in entries], self._limits)
        names = {file.path: name for name, file in entries}

        def read_range(
            file: StoredFile, start: int, end: int | None, _: memoryview
        ) -> Iterator[bytes]:
            name = names[file.path]
            with (
                translated(lambda error: _store_error(error, reference.url)),
                fs.open(name, "rb") as stream,
            ):
                _check_unchanged(fs, name, file)
                stream.seek(start)
                left = end - start if end is not None else None
                while left is None or left > 0:
                    count = CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)
                    if not (chunk := stream.read(count)):
                        break
                    if left is not None:
                        left -= len(chunk)
                    yield chunk
                if end == file.size and stream.read(1):
                    raise _changed(file.path)
                _check_unchanged(fs, name, file)

        def write_file(name: str, content: bytes, *_: object) -> Written:
            url = f"{_folder(reference.name, single)}/{name}"

            def write() -> None:
                # By the same instance: a file system's pins may mean nothing to another.
                _, entries = self._list(fs, reference, beside)
                check_same(files, listed([file for _, file in entries], self._limits))
                _put(fs, f"{_folder(_root(fs, reference), single)}/{name}", content, reference)

            with unanswered(name), translated(lambda error: _store_error(error, url, "written")):
                within(self._limits.listing_seconds, write)
            return Written(url)

        return Snapshot(reference, files, single, read_range, write_file=write_file)

    def _listed(
        self, reference: Reference, beside: str
    ) -> tuple[Any, bool, list[tuple[str, StoredFile]]]:
        fs = self._open(reference.scheme)
        return fs, *self._list(fs, reference, beside)

    def _list(
        self, fs: Any, reference: Reference, beside: str
    ) -> tuple[bool, list[tuple[str, StoredFile]]]:
        """Whether the model is one file, and each file with its name in the file system."""
        fs.invalidate_cache()
        root = _root(fs, reference)
        neighbour = root + beside
        found = fs.find(root, detail=True)
        if not found:
            raise FileNotFoundError(root)
        single = list(found) == [root]
        if single and beside:
            with suppress(FileNotFoundError):
                found[neighbour] = fs.info(neighbour)
        entries = []
        for name in islice(found, self._limits.files + 1):
            path = name.rpartition("/")[2] if single else name.removeprefix(root + "/")
            # The pin comes first: what is read from then on has this size, or another pin.
            version = str(fs.ukey(name))
            fs.invalidate_cache()
            details = fs.info(name)
            if not single and found[name]["type"] == details["type"] == "directory":
                continue
            if details["type"] != "file" or found[name]["type"] != "file":
                raise unsafe(path)
            size = details.get("size")
            if path == name != root or (size is not None and not _is_count(size)):
                raise StoreError(
                    ReasonCode.STORE_PROTOCOL,
                    f"the store's entry for {path} has a name or a size that is none",
                    path=path,
                )
            entries.append((name, StoredFile(path, size, version=version)))
        return single, entries

    def _open(self, scheme: str) -> Any:
        import fsspec

        try:
            return fsspec.filesystem(
                scheme,
                skip_instance_cache=True,
                use_listings_cache=False,
                **self._settings.options.get(scheme, {}),
            )
        except ImportError as error:
            raise ConfigError(
                f"{scheme}:// needs a package that is not installed: {in_short(error)}"
            ) from error
        except (TypeError, ValueError) as error:
            raise unusable(scheme, error) from error
        except AttributeError as error:  # Of the None in place of what it should stand on.
            raise ConfigError(
                f"{scheme}:// stands on another file system, which its options under 'stores' do "
                "not name; name the store itself"
            ) from error


def _root(fs: Any, reference: Reference) -> str:
    """The model's name in the file system."""
    root: str = fs._strip_protocol(reference.name).rstrip("/")
    return root


def _folder(name: str, single: bool) -> str:
    """Where the files of a model are: in what has its name, or beside it."""
    return name.rpartition("/")[0] if single else name


def _put(fs: Any, name: str, content: bytes, reference: Reference) -> None:
    if fs.isdir(name):
        raise StoreError(
            ReasonCode.STORE_UNSAFE_FILE,
            f"{name} is a folder, so no file can be written there; name another file",
            path=name,
        )
    try:
        fs.pipe_file(name, content)
    except (NotImplementedError, ValueError) as error:  # An archive raises the latter.
        raise unwritable(reference) from error
    fs.invalidate_cache()
    if fs.cat_file(name) != content:
        raise _changed(name)


def _is_count(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0


def _check_unchanged(fs: Any, name: str, file: StoredFile) -> None:
    fs.invalidate_cache()
    if str(fs.ukey(name)) != file.version:
        raise _changed(file.path)


def _changed(path: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_CHANGED,
        f"{path} was changed after it was listed; try again when nothing writes to it",
        path=path,
    )


def _store_error(error: Exception, name: str, done: str = "read") -> StoreError:
    if isinstance(error, FileNotFoundError):
        return StoreError(ReasonCode.STORE_NOT_FOUND, f"{name} does not exist")
    if isinstance(error, PermissionError):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN, f"{name} may not be {done} with these credentials"
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store could not be asked for {name}: {in_short(error)}",
    )
