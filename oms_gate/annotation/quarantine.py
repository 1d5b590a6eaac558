"""Denied models in S3, moved to where nobody loads models from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlencode

from oms_gate.annotation.examination import Examined
from oms_gate.annotation.objects import (
    PinnedObject,
    changed,
    for_each,
    objects_of,
)
from oms_gate.annotation.tags import Tags, tags_of
from oms_gate.errors import StoreError
from oms_gate.gate import Gate
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.s3_client import S3Client, declared_sha256, store_error, version_id
from oms_gate.stores.s3_uploading import SINGLE_REQUEST_BYTES
from oms_gate.stores.store import translated

_PART_BYTES: Final = 512 * MIB
_MOST_PARTS: Final = 10_000
_NAME_CHARACTERS = 16


def can_be_moved(examined: Examined) -> bool:
    """Whether a model is one that `quarantine` moves.

    A release never is. Whoever may write the pointer alone could have the releases that it leads to
    moved away one by one; and without its pointer a model would be what it was before all of them.
    """
    snapshot, verdict = examined.snapshot, examined.verdict
    decided = not verdict.admitted and not verdict.undecided
    plain = snapshot is not None and not snapshot.single and snapshot.reference.release is None
    return decided and plain


def quarantine(gate: Gate, examined: Examined, prefix: Reference, seconds: float) -> Reference:
    """Move a denied model below a prefix; where it is then.

    Each object is copied, at the version that was listed and tagged ``denied``. Only when all
    copies are there, and have the size and the digest that the store declared, the objects go from
    where they were: each if it is still what was copied. Where the bucket keeps versions, they
    stay, behind delete markers. What was interrupted can be done again.

    examined: what `can_be_moved`.
    prefix: a folder in S3, outside of the model.
    seconds: how long it may take.

    Raises:
        ConfigError: the store cannot be used as it is configured.
        StoreError: an object was changed, or the store refuses or fails. What was deleted by then
            is in the quarantine, as are all others.
    """
    snapshot = examined.snapshot
    assert snapshot is not None
    model = snapshot.reference
    listing = hashlib.sha256(snapshot.revision.encode()).hexdigest()[:_NAME_CHARACTERS]
    place = Reference(prefix.scheme, f"{prefix.location}/{model.location}/{listing}")
    objects = objects_of(snapshot)
    tags = tags_of(examined.verdict, admitted=False)
    client = S3Client(gate.stores, gate.limits)

    async def copied(path: str) -> None:
        await _copy(client, objects[path], f"{place.location}/{path}", tags)

    async def deleted(item: PinnedObject) -> None:
        await _delete(client, item)

    async def work() -> None:
        await client.connect()
        await for_each(objects, copied)
        await for_each(objects.values(), deleted)

    with closing(client), translated(lambda error: store_error(error, model.url, "moved")):
        client.run(work(), seconds)
    return place


async def _copy(client: S3Client, item: PinnedObject, name: str, tags: Tags) -> None:
    """Have S3 copy an object, and see that there is a whole copy."""
    bucket, _, key = item.name.partition("/")
    source: dict[str, Any] = {"CopySource": {"Bucket": bucket, "Key": key, **item.pin}}
    if item.etag is not None:
        source["CopySourceIfMatch"] = item.etag
    size = item.size or 0
    if size > SINGLE_REQUEST_BYTES:
        await _copy_parts(client, source, size, name, tags)
    else:
        await client.call(
            "copy_object",
            name,
            TaggingDirective="REPLACE",
            Tagging=_query(tags),
            **source,
        )
    copy = await client.head(name)
    declared = declared_sha256(copy)
    same_digest = None in (declared, item.sha256) or declared == item.sha256
    if copy.get("ContentLength") != item.size or not same_digest:
        raise StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the copy of {item.name} at {name} is not as the original, so nothing was deleted; "
            "tell the store's operator",
            path=item.name,
        )


async def _copy_parts(
    client: S3Client, source: Mapping[str, Any], size: int, name: str, tags: Tags
) -> None:
    upload = await client.call("create_multipart_upload", name, Tagging=_query(tags))
    identity = {"UploadId": upload["UploadId"]}
    step = max(_PART_BYTES, -(-size // _MOST_PARTS))
    parts = []
    try:
        for number, start in enumerate(range(0, size, step), start=1):
            answer = await client.call(
                "upload_part_copy",
                name,
                PartNumber=number,
                CopySourceRange=f"bytes={start}-{min(start + step, size) - 1}",
                **identity,
                **source,
            )
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        await client.call(
            "complete_multipart_upload", name, MultipartUpload={"Parts": parts}, **identity
        )
    except BaseException:
        await client.call("abort_multipart_upload", name, **identity)
        raise


async def _delete(client: S3Client, item: PinnedObject) -> None:
    """Delete what was copied, and nothing that was written since."""
    if (etag := await _etag(client, item)) is None:
        return
    try:
        await client.call("delete_object", item.name, IfMatch=etag)
    except OSError:
        # The answer to an attempt before this one may have been lost.
        if await _etag(client, item) is not None:
            raise


async def _etag(client: S3Client, item: PinnedObject) -> str | None:
    """The entity tag of what was copied; None if it is gone.

    Raises:
        StoreError: it is another object by now.
    """
    try:
        now = await client.head(item.name)
    except FileNotFoundError:
        return None
    etag: str = now["ETag"]
    if (version_id(now), etag) != (item.version, item.etag or etag):
        raise changed(item.name)
    return etag


def _query(tags: Tags) -> str:
    return urlencode(tags)
