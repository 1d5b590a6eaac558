"""Objects of S3 as they were listed: tagged, copied and deleted as long as they still are that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from oms_gate.annotation.tags import Tags, merged, outcome_in
from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.stores.s3_client import S3Client, version_id

_AT_ONCE: Final = 32

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """An object, and which content of it is meant.

    name: the bucket, a slash and the key.
    version: its version id; None where the bucket keeps no versions.
    etag: its entity tag then.
    size: bytes; None where that does not matter.
    sha256: as the store declares it, in hex, or None.
    """

    name: str
    version: str | None
    etag: str | None
    size: int | None = None
    sha256: str | None = None

    @property
    def pin(self) -> Mapping[str, str]:
        """What names this version in a request."""
        return {} if self.version is None else {"VersionId": self.version}


def objects_of(snapshot: Snapshot) -> dict[str, PinnedObject]:
    """The objects of a listed folder in S3, by their paths in it."""
    root = snapshot.reference.location
    objects = {}
    for path, file in snapshot.files.items():
        is_etag = (file.version or "").startswith(('"', "W/"))
        objects[path] = PinnedObject(
            f"{root}/{path}",
            None if is_etag else file.version,
            file.version if is_etag else None,
            file.size,
            file.sha256,
        )
    return objects


async def tag(client: S3Client, item: PinnedObject, tags: Tags) -> None:
    """Give an object the gate's tags, if it is still what was listed.

    A version is tagged by its id. Without versions, S3 knows no condition for tags: the entity tag
    is looked at before and after, and the gate's tags go again unless it is the same.

    Raises:
        StoreError: it is another one, or has no room for tags.
        Exception: what the client raises.
    """
    await check_same(client, item)
    answer = await client.call("get_object_tagging", item.name, **item.pin)
    present = answer.get("TagSet", ())
    wanted = merged(present, tags, item.name)
    try:
        await _put_tags(client, item, wanted)
        await check_same(client, item)
    except BaseException:
        # It may have been written, be the answer lost or the time up.
        if item.version is None:
            await _put_tags(client, item, merged(present, {}, item.name))
        raise


async def tagged_as(client: S3Client, item: PinnedObject) -> str | None:
    """What an object is tagged as by the gate, if it is."""
    answer = await client.call("get_object_tagging", item.name, **item.pin)
    return outcome_in(answer.get("TagSet", ()))


async def check_same(client: S3Client, item: PinnedObject) -> None:
    """Raises StoreError where an object without versions is not what was listed any more."""
    if item.version is not None:
        return
    try:
        now = await client.head(item.name)
    except FileNotFoundError:
        now = {}
    if item.etag is None or now.get("ETag") != item.etag or version_id(now) is not None:
        raise changed(item.name)


async def for_each(items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, R]]) -> list[R]:
    """Do something with each of many, several at a time. The first failure ends the others.

    Those that are ended have cleaned up when this returns.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def placed(item: T) -> R:
        async with places:
            return await work(item)

    tasks = [asyncio.ensure_future(placed(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def changed(name: str) -> StoreError:
    """The error for an object that is not what was listed any more."""
    return StoreError(
        ReasonCode.STORE_CHANGED,
        f"{name} was changed after it was checked, so it was not annotated; check the model again "
        "when nothing else writes to it",
        path=name,
    )


async def _put_tags(client: S3Client, item: PinnedObject, tags: list[Mapping[str, str]]) -> None:
    await client.call("put_object_tagging", item.name, Tagging={"TagSet": tags}, **item.pin)
