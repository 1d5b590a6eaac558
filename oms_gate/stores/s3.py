"""Models in S3 and what speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.s3_client import S3Client, declared_sha256, store_error, version_id
from oms_gate.stores.s3_releases import current_release, is_apart, releases
from oms_gate.stores.s3_writing import put
from oms_gate.stores.snapshot import (
    Snapshot,
    StoredFile,
    Written,
    check_same,
    listed,
)
from oms_gate.stores.store import StoreSettings, translated, unanswered

_HEADS_AT_ONCE = 32


class S3Store:
    """A prefix or an object of a bucket, reached through s3fs.

    Where the bucket is versioned an object is read by its version id, elsewhere with ``If-Match``
    on its entity tag. A full-object SHA-256 checksum is its declared digest; a composite one and
    an entity tag are not digests of the content.

    A model that was published as a release is read from that release, which is what the listing
    refers to then; a release is never written to. Elsewhere a file is written on the condition
    that what it replaces is still there, or still is not.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        self._client = S3Client(settings, limits)
        self._limits = limits
        self._private_hosts = settings.private_hosts

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """See `Store.snapshot`."""
        with translated(lambda error: store_error(error, reference.url)):
            found = self._client.run(self._find(reference, beside))
        # The bucket's own address may be private: the operator configured it.
        reader = HttpReader(
            self._limits, frozenset({urlsplit(found.example).hostname or "", *self._private_hosts})
        )
        files, prefix = found.files, found.prefix
        versions = {key.removeprefix(prefix): version_id(head) for key, head in found.heads.items()}

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[memoryview]:
            version = versions[file.path]
            pin = {} if version is None else {"VersionId": version}
            remote = RemoteFile(
                file.path,
                lambda: self._client.url(prefix + file.path, **pin),
                size=file.size,
                etag=file.version if version is None else None,
            )
            with translated(lambda error: store_error(error, reference.url)):
                yield from reader.chunks(remote, start, end, buffer)

        async def write(name: str, content: bytes) -> None:
            now = await self._find(reference, beside)
            check_same({"": found.reference}, {"": now.reference})
            check_same(files, now.files)
            etag = now.heads.get(prefix + name, {}).get("ETag")
            await put(self._client.fs, prefix + name, content, etag)

        def write_file(name: str, content: bytes, *_: object) -> Written:
            url = f"{reference.scheme}://{prefix}{name}"
            with unanswered(name), translated(lambda error: store_error(error, url, "written")):
                self._client.run(write(name, content))
            return Written(url)

        def close() -> None:
            reader.close()
            self._client.close()

        return Snapshot(
            found.reference,
            files,
            found.single,
            read_range,
            reader.abort,
            close,
            write_file if found.reference.release is None else None,
            divisible=True,
            # An entity tag may be an MD5, or anything else.
            immutable=all(versions[path] or file.sha256 for path, file in files.items()),
        )

    def releases(self, reference: Reference, signature: str) -> Collection[str]:
        """The releases of a model that are there still, newest first; see `releases`.

        Raises:
            StoreError: see `Store.snapshot`.
        """

        async def found() -> Collection[str]:
            await self._client.connect()
            return await releases(self._client, reference, signature)

        with translated(lambda error: store_error(error, reference.url)):
            return self._client.run(found())

    async def _find(self, reference: Reference, beside: str) -> _Found:
        """List the release that a model was published as, or else what is at its own place."""
        await self._client.connect()
        pointer = None
        if reference.release is None:
            pointer = await current_release(self._client, reference)
        if pointer is not None:
            reference = reference.at_release(pointer.release)
        bucket, _, prefix = reference.location.partition("/")
        root = prefix + "/" if prefix else ""

        def is_own(key: str) -> bool:
            return reference.release is not None or not is_apart(key.removeprefix(root))

        keys = await self._client.keys(bucket, root, is_own)
        if pointer is not None and not keys:
            raise StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"{reference.name} was published as the release {reference.url}, which is not "
                f"there; restore it, or remove {pointer.url}",
            )
        single = not keys and bool(prefix)
        if single:
            neighbour = prefix + beside
            there = beside and neighbour in await self._client.keys(bucket, neighbour)
            keys = [prefix, neighbour] if there else [prefix]
        if not keys:
            raise FileNotFoundError(reference.location)
        return await self._described(reference, bucket, keys, single)

    async def _described(
        self, reference: Reference, bucket: str, keys: Sequence[str], single: bool
    ) -> _Found:
        """What the store says of objects."""
        names = [f"{bucket}/{key}" for key in keys]
        places = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def head(name: str) -> Mapping[str, Any]:
            async with places:
                return await self._client.head(name)

        tasks = [asyncio.ensure_future(head(name)) for name in names]
        try:
            heads = list(zip(names, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
        prefix = (reference.location.rpartition("/")[0] if single else reference.location) + "/"
        files = listed((_file(*head, prefix) for head in heads), self._limits)
        example = await self._client.fs._url(names[0])
        return _Found(reference, prefix, single, dict(heads), files, example)


@dataclass(frozen=True, slots=True)
class _Found:
    """A listing.

    prefix: what the names of its objects begin with: the bucket, and the folder in it.
    heads: what the store says of each object, by its name.
    example: a URL that leads to the store.
    """

    reference: Reference
    prefix: str
    single: bool
    heads: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, StoredFile]
    example: str


def _file(name: str, head: Mapping[str, Any], prefix: str) -> StoredFile:
    size = head.get("ContentLength")
    if not isinstance(size, int) or size < 0 or not name.startswith(prefix):
        raise StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the store's entry for {name} has no size, or is not below {prefix}",
        )
    return StoredFile(
        name.removeprefix(prefix),
        size,
        sha256=declared_sha256(head),
        version=version_id(head) or head.get("ETag"),
    )
