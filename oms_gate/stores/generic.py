"""Models on any other fsspec file system, such as ``gs://``, ``az://`` or ``memory://``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.snapshot import CHUNK_BYTES, Snapshot, StoredFile, listed
from oms_gate.stores.store import StoreSettings, translated, within
from oms_gate.verdict import ReasonCode


class GenericStore:
    """What fsspec offers everywhere: listing, and reading at an offset.

    A file is pinned by what its file system calls its unique key (``ukey``: a checksum, an entity
    tag, or its details), compared before and after it is read.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits

    def snapshot(self, reference: Reference) -> Snapshot:
        """See `Store.snapshot`."""
        import fsspec

        with translated(lambda error: _store_error(error, reference.url)):
            fs = fsspec.filesystem(
                reference.scheme,
                skip_instance_cache=True,
                use_listings_cache=False,
                **self._settings.options.get(reference.scheme, {}),
            )
            root = fs._strip_protocol(reference.name).rstrip("/")
            entries: dict[str, dict[str, Any]] = within(
                self._limits.listing_seconds, lambda: fs.find(root, detail=True)
            )
            names = {
                name.removeprefix(root).lstrip("/") or root.rpartition("/")[2]: name
                for name, entry in entries.items()
                if entry["type"] == "file"
            }
            if not names:
                raise FileNotFoundError(root)
            files = [
                StoredFile(path, entries[name].get("size"), version=str(fs.ukey(name)))
                for path, name in names.items()
            ]

        def read_range(file: StoredFile, start: int, end: int | None) -> Iterator[bytes]:
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
                _check_unchanged(fs, name, file)

        single = list(names.values()) == [root]
        return Snapshot(reference, listed(files, self._limits), single, read_range)


def _check_unchanged(fs: Any, name: str, file: StoredFile) -> None:
    fs.invalidate_cache()
    if str(fs.ukey(name)) != file.version:
        raise StoreError(
            ReasonCode.STORE_CHANGED,
            f"{file.path} was changed after it was listed; try again when nothing writes to it",
            path=file.path,
        )


def _store_error(error: Exception, name: str) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return StoreError(ReasonCode.STORE_NOT_FOUND, f"{name} does not exist")
    if isinstance(error, PermissionError):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN, f"{name} may not be read with these credentials"
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store could not be asked for {name}: {error or type(error).__name__}",
    )
