"""Models in S3 and what speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.s3_writing import put
from oms_gate.stores.snapshot import (
    Snapshot,
    StoredFile,
    Written,
    check_same,
    listed,
    too_many,
)
from oms_gate.stores.store import (
    StoreSettings,
    in_short,
    too_late,
    translated,
    unanswered,
    unusable,
)
from oms_gate.verdict import ReasonCode

# As long as the slowest transfer; each attempt to read signs its URL anew.
_URL_SECONDS = 3600
_HEADS_AT_ONCE = 32

_Heads = list[tuple[str, Mapping[str, Any]]]
T = TypeVar("T")


class S3Store:
    """A prefix or an object of a bucket, reached through s3fs.

    Where the bucket is versioned an object is read by its version id, elsewhere with ``If-Match``
    on its entity tag. A full-object SHA-256 checksum is its declared digest; a composite one and
    an entity tag are not digests of the content.

    A file is written on the condition that what it replaces is still there, or still is not.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        from s3fs import S3FileSystem

        options: dict[str, Any] = {**settings.options.get("s3", {})}
        try:
            self._fs = S3FileSystem(
                skip_instance_cache=True, use_listings_cache=False, **_complete(options, limits)
            )
        except (TypeError, ValueError) as error:
            raise unusable("s3", error) from error
        self._limits = limits
        self._private_hosts = settings.private_hosts

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """See `Store.snapshot`."""
        with translated(lambda error: _store_error(error, reference.url)):
            heads, single, example = self._run(self._list(reference.location, beside))
        # The bucket's own address may be private: the operator configured it.
        reader = HttpReader(
            self._limits, frozenset({urlsplit(example).hostname or "", *self._private_hosts})
        )
        prefix = (reference.location.rpartition("/")[0] if single else reference.location) + "/"
        files = listed((_described(*head, prefix) for head in heads), self._limits)
        versions = {key.removeprefix(prefix): _version_id(head) for key, head in heads}

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[memoryview]:
            version = versions[file.path]
            pin = {} if version is None else {"VersionId": version}
            remote = RemoteFile(
                file.path,
                lambda: str(self._fs.url(prefix + file.path, expires=_URL_SECONDS, **pin)),
                size=file.size,
                etag=file.version if version is None else None,
            )
            with translated(lambda error: _store_error(error, reference.url)):
                yield from reader.chunks(remote, start, end, buffer)

        async def write(name: str, content: bytes) -> None:
            heads, _, _ = await self._list(reference.location, beside)
            check_same(files, listed((_described(*head, prefix) for head in heads), self._limits))
            etag = dict(heads).get(prefix + name, {}).get("ETag")
            await put(self._fs, prefix + name, content, etag)

        def write_file(name: str, content: bytes, *_: object) -> Written:
            url = f"{reference.scheme}://{prefix}{name}"
            with unanswered(name), translated(lambda error: _store_error(error, url, "written")):
                self._run(write(name, content))
            return Written(url)

        def close() -> None:
            reader.close()
            self._close()

        return Snapshot(
            reference,
            files,
            single,
            read_range,
            reader.abort,
            close,
            write_file,
            divisible=True,
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the client's own thread do something that takes no longer than a listing may."""
        from fsspec.asyn import sync
        from fsspec.exceptions import FSTimeoutError

        seconds = self._limits.listing_seconds
        try:
            # Unlike a thread, a coroutine that is not waited for any more can be ended.
            result: T = sync(self._fs.loop, lambda: work, timeout=seconds)
        except FSTimeoutError:
            raise too_late(seconds) from None
        return result

    async def _list(self, location: str, beside: str) -> tuple[_Heads, bool, str]:
        """What the store says of each object, whether it is just one, and the URL of the first."""
        from botocore import exceptions

        try:
            self._fs.session = _session(self._fs.kwargs)
            await self._fs.set_session()
        except (
            TypeError,
            ValueError,
            exceptions.ProfileNotFound,
            exceptions.ConfigParseError,
            exceptions.ConfigNotFound,
            exceptions.PartialCredentialsError,
        ) as error:
            raise unusable("s3", error) from error
        bucket, _, prefix = location.partition("/")
        keys = await self._keys(bucket, prefix + "/" if prefix else "")
        single = not keys and bool(prefix)
        if single:
            neighbour = prefix + beside
            there = beside and neighbour in await self._keys(bucket, neighbour)
            keys = [prefix, neighbour] if there else [prefix]
        if not keys:
            raise FileNotFoundError(location)
        places = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def head(key: str) -> Mapping[str, Any]:
            async with places:
                answer: Mapping[str, Any] = await self._fs._call_s3(
                    "head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED"
                )
                return answer

        tasks = [asyncio.ensure_future(head(key)) for key in keys]
        try:
            heads = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        names = [f"{bucket}/{key}" for key in keys]
        example = await self._fs._url(names[0], expires=_URL_SECONDS)
        return list(zip(names, heads, strict=True)), single, example

    async def _keys(self, bucket: str, prefix: str) -> list[str]:
        keys: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = await self._fs._call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
            keys += [entry["Key"] for entry in page.get("Contents", ())]
            if len(keys) > self._limits.files:
                raise too_many(self._limits)
            if not page.get("IsTruncated"):
                return keys
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _close(self) -> None:
        """Close the client's own connections; s3fs does so as well when it is collected."""
        client = getattr(self._fs, "_s3creator", None)
        if client is not None:
            self._fs.close_session(self._fs.loop, client)


def _session(options: Mapping[str, Any]) -> Any:
    """A session of its own, as s3fs would make it, but for the descriptions of services.

    To read those takes a tenth of a second and fifteen megabytes each time.
    """
    from aiobotocore.session import AioSession

    session = AioSession(**options)
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@cache
def _loader(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _complete(options: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """The operator's options, and those that follow from the limits."""
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
    return options


def _described(key: str, head: Mapping[str, Any], prefix: str) -> StoredFile:
    size = head.get("ContentLength")
    if not isinstance(size, int) or size < 0 or not key.startswith(prefix):
        raise StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the store's entry for {key} has no size, or is not below {prefix}",
        )
    return StoredFile(
        key.removeprefix(prefix),
        size,
        sha256=_declared_sha256(head),
        version=_version_id(head) or head.get("ETag"),
    )


def _version_id(head: Mapping[str, Any]) -> str | None:
    version = head.get("VersionId")
    return None if version in ("", "null") else version


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


def _store_error(error: Exception, name: str, done: str = "read") -> StoreError:
    from botocore import exceptions

    if isinstance(error, FileNotFoundError):
        return StoreError(
            ReasonCode.STORE_NOT_FOUND,
            f"{name} does not exist: no such bucket, or no object there",
        )
    if isinstance(error, (PermissionError, exceptions.NoCredentialsError)):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN,
            f"{name} may not be {done} with these credentials; check the AWS environment or "
            "profile",
        )
    if isinstance(error, (exceptions.ClientError, LookupError, ValueError)):
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the store gave no usable listing of {name}: {in_short(error)}",
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store could not be asked for {name}: {in_short(error)}",
    )
