"""Tags of objects in S3 that say what the gate thinks of them.

``oms-gate=admitted`` is on files that an allowed signer has signed and whose bytes were checked, at
the very versions that were; ``denied`` is on all others. What nobody has checked has no tag, and a
bucket policy refuses it as it does what is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from oms_gate.annotation.examination import Examined, state_of
from oms_gate.annotation.objects import (
    PinnedObject,
    changed,
    for_each,
    objects_of,
    tag,
    tagged_as,
)
from oms_gate.annotation.tags import tags_of
from oms_gate.errors import StoreError, UsageError
from oms_gate.gate import Gate
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.stores.s3 import S3Store
from oms_gate.stores.s3_client import S3Client, store_error, version_id
from oms_gate.stores.s3_releases import POINTER, current_release
from oms_gate.stores.store import translated


@dataclass(frozen=True)
class Annotated:
    """How many objects were tagged, and as what."""

    admitted: int = 0
    denied: int = 0


def check_can_be_annotated(reference: Reference) -> None:
    """Raises UsageError for what is not in S3."""
    if reference.scheme not in S3_SCHEMES:
        raise UsageError(f"{reference.url} is not in S3, whose objects alone have tags")


def annotate(gate: Gate, examined: Examined, seconds: float) -> Annotated:
    """Tag the objects of a model in S3. Where nothing could be decided, nothing is tagged.

    Other tags stay. Of a model that is published as a release, the release's objects are tagged,
    and after them the pointer to it.

    seconds: how long it may take.

    Raises:
        UsageError: the model is one object, or not in S3.
        ConfigError: the store cannot be used as it is configured.
        StoreError: an object was changed, or the store refuses or fails. What is tagged
            ``admitted`` by then is what was checked.
    """
    check_can_be_annotated(examined.reference)
    snapshot, verdict = examined.snapshot, examined.verdict
    if snapshot is None or verdict.undecided:
        return Annotated()
    if snapshot.single:
        raise UsageError(
            f"{examined.reference.url} is one object; name the folder that has its signature, too"
        )
    objects = objects_of(snapshot)
    client = S3Client(gate.stores, gate.limits)

    async def work() -> None:
        await client.connect()
        for vouched in (False, True):
            tags = tags_of(verdict, admitted=vouched)
            some = [item for path, item in objects.items() if (path in examined.vouched) == vouched]
            await for_each(some, lambda item, tags=tags: tag(client, item, tags))  # type: ignore[misc]
        if snapshot.reference.release != examined.reference.release:
            await _tag_pointer(client, examined, snapshot.reference)

    with closing(client), translated(lambda error: _error(error, examined.reference)):
        client.run(work(), seconds)
    admitted = len(objects.keys() & examined.vouched)
    return Annotated(admitted, len(objects) - admitted)


def state(gate: Gate, reference: Reference, *, tagged: bool) -> str:
    """What changes whenever a model in S3 does, or what its files are tagged as.

    tagged: whether to look at tags.

    Raises:
        ConfigError: the store cannot be used as it is configured.
        StoreError: it refuses or fails.
    """
    with closing(S3Store(gate.stores, gate.limits).snapshot(reference)) as snapshot:
        objects = objects_of(snapshot)
        revision = snapshot.revision
    if not tagged:
        return state_of(revision, {})
    client = S3Client(gate.stores, gate.limits)

    async def outcomes() -> Mapping[str, str | None]:
        await client.connect()
        found = await for_each(objects.values(), lambda item: tagged_as(client, item))
        return dict(zip(objects, found, strict=True))

    with closing(client), translated(lambda error: _error(error, reference, "read")):
        return state_of(revision, client.run(outcomes()))


async def _tag_pointer(client: S3Client, examined: Examined, release: Reference) -> None:
    """Tag what leads to a release, if it still does: without it nobody finds the release."""
    model = examined.reference
    name = f"{model.location}/{POINTER}"
    pointer = await current_release(client, model)
    if pointer is None or pointer.release != release.release:
        raise changed(name)
    head = await client.head(name)
    if head.get("ETag") != pointer.etag:
        raise changed(name)
    tags = tags_of(examined.verdict, admitted=bool(examined.vouched))
    await tag(client, PinnedObject(name, version_id(head), pointer.etag), tags)


def _error(error: Exception, reference: Reference, done: str = "tagged") -> StoreError:
    return store_error(error, reference.url, done)
