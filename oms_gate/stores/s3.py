"""Models in S3 and what speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader, RemoteFile
from oms_gate.stores.snapshot import Snapshot, StoredFile, listed
from oms_gate.stores.store import StoreSettings, translated, within
from oms_gate.verdict import ReasonCode

# As long as the slowest transfer; each attempt to read signs its URL anew.
_URL_SECONDS = 3600
_HEADS_AT_ONCE = 32


class S3Store:
    """A prefix or an object of a bucket, reached through s3fs.

    Where the bucket is versioned an object is read by its version id, elsewhere with ``If-Match``
    on its entity tag. A full-object SHA-256 checksum is its declared digest; a composite one and
    an entity tag are not digests of the content.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        from s3fs import S3FileSystem

        options: dict[str, Any] = {**settings.options.get("s3", {})}
        if not options.get("anon"):
            # The older signature cannot be used for a URL with a session token or in all regions.
            config = {"signature_version": "s3v4", **options.get("config_kwargs", {})}
            options["config_kwargs"] = config
        options["config_kwargs"] = {
            "connect_timeout": limits.connect_seconds,
            "read_timeout": limits.read_seconds,
            "retries": {"max_attempts": limits.retries},
            **options.get("config_kwargs", {}),
        }
        self._fs = S3FileSystem(skip_instance_cache=True, use_listings_cache=False, **options)
        self._limits = limits
        self._private_hosts = settings.private_hosts

    def snapshot(self, reference: Reference) -> Snapshot:
        """See `Store.snapshot`."""
        with translated(lambda error: _store_error(error, reference.url)):
            heads, single = within(
                self._limits.listing_seconds, lambda: self._heads(reference.location)
            )
            # The bucket's own address may be private: the operator configured it.
            example = self._fs.url(next(iter(heads)), expires=_URL_SECONDS)
        reader = HttpReader(
            self._limits, frozenset({urlsplit(example).hostname or "", *self._private_hosts})
        )
        prefix = (reference.location.rpartition("/")[0] if single else reference.location) + "/"
        pins: dict[str, tuple[str, str | None]] = {}
        files = []
        for key, head in heads.items():
            version = head.get("VersionId")
            if version in (None, "", "null"):
                version = None
            path = key.removeprefix(prefix)
            pins[path] = key, version
            files.append(
                StoredFile(
                    path,
                    head["ContentLength"],
                    sha256=_declared_sha256(head),
                    version=version or head.get("ETag"),
                )
            )

        def read_range(file: StoredFile, start: int, end: int | None) -> Iterator[bytes]:
            key, version = pins[file.path]
            pin = {} if version is None else {"VersionId": version}
            remote = RemoteFile(
                file.path,
                lambda: str(self._fs.url(key, expires=_URL_SECONDS, **pin)),
                size=file.size,
                etag=file.version if version is None else None,
            )
            with translated(lambda error: _store_error(error, reference.url)):
                yield from reader.chunks(remote, start, end)

        return Snapshot(reference, listed(files, self._limits), single, read_range, reader.abort)

    def _heads(self, location: str) -> tuple[Mapping[str, Mapping[str, Any]], bool]:
        """What the store says of each object, by key with bucket; and whether it is just one."""
        from fsspec.asyn import sync

        listing: dict[str, dict[str, Any]] = self._fs.find(location, detail=True)
        keys = [key for key, entry in listing.items() if entry["type"] == "file"]
        if not keys:
            raise FileNotFoundError(location)
        if len(keys) > self._limits.files:
            keys = keys[: self._limits.files + 1]
        places = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def head(key: str) -> Mapping[str, Any]:
            bucket, _, name = key.partition("/")
            async with places:
                answer: Mapping[str, Any] = await self._fs._call_s3(
                    "head_object", Bucket=bucket, Key=name, ChecksumMode="ENABLED"
                )
                return answer

        async def heads() -> list[Mapping[str, Any]]:
            return await asyncio.gather(*(head(key) for key in keys))

        return dict(zip(keys, sync(self._fs.loop, heads), strict=True)), keys == [location]


def _declared_sha256(head: Mapping[str, Any]) -> str | None:
    import base64
    import binascii

    checksum = head.get("ChecksumSHA256")
    # A composite checksum, of a multipart upload, is over its parts' checksums: '...-<parts>'.
    if not checksum or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        digest = base64.b64decode(checksum, validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 32 else None


def _store_error(error: Exception, name: str) -> StoreError:
    from botocore import exceptions

    if isinstance(error, FileNotFoundError):
        return StoreError(
            ReasonCode.STORE_NOT_FOUND,
            f"{name} does not exist: no such bucket, or no object there",
        )
    if isinstance(error, (PermissionError, exceptions.NoCredentialsError)):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN,
            f"{name} may not be read with these credentials; check the AWS environment or profile",
        )
    if isinstance(error, (exceptions.ClientError, LookupError, ValueError)):
        return StoreError(
            ReasonCode.STORE_PROTOCOL, f"the store gave no usable listing of {name}: {error}"
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store could not be asked for {name}: {error or type(error).__name__}",
    )
