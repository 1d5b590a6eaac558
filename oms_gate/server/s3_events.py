"""Notifications of S3 and of what speaks its protocol: which models have changed.

Four forms are read: those of AWS (and MinIO, which has the same records), of EventBridge, and of
SeaweedFS' filer. They say no more than that something changed: what, the gate asks S3 itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, Field, ValidationError

from oms_gate.errors import UsageError
from oms_gate.policy.globs import Globs
from oms_gate.reference import Reference
from oms_gate.server.event_documents import MalformedEventsError, described, parsed
from oms_gate.service_settings.events import EventSettings

_KEY_CHARACTERS: Final = 4096  # Of 1024 bytes, each written as three.
_BUCKETS: Final = "/buckets/"
# SeaweedFS has each version of an object in a folder beside the object.
_VERSION = re.compile(r"(?P<key>.+)\.versions/v_[0-9a-f]+", re.DOTALL)
# What changes an object: all others are about tags, locks and storage classes.
_CHANGES = re.compile(r"(?:s3:)?Object(?:Created|Removed|Restore):(?P<what>\w+)")
_NO_CHANGES = frozenset({"PutTagging", "DeleteTagging", "PutRetention", "PutLegalHold"})
_BRIDGE_CHANGES = frozenset({"Object Created", "Object Deleted", "Object Restore Completed"})


class _Bucket(BaseModel):
    name: str = Field(min_length=1, max_length=255)


class _Object(BaseModel):
    key: str = Field(min_length=1, max_length=_KEY_CHARACTERS)


class _Entity(BaseModel):
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    event: str = Field(alias="eventName", max_length=128)
    s3: _Entity


class _Records(BaseModel):
    """Of AWS and of MinIO."""

    records: tuple[_Record, ...] = Field(alias="Records")


class _BridgeEvent(BaseModel):
    """Of EventBridge, which does not encode keys."""

    source: str = Field(max_length=128)
    kind: str = Field(alias="detail-type", max_length=128)
    detail: _Entity


class _FilerEvent(BaseModel):
    """Of SeaweedFS' filer, about a path of it."""

    event: str = Field(alias="event_type", max_length=64)
    key: str = Field(min_length=1, max_length=_KEY_CHARACTERS)
    message: Mapping[str, Any]


def changed_in_s3(body: bytes, settings: EventSettings) -> frozenset[Reference]:
    """The models that notifications are about, as far as they are where models are.

    Raises:
        MalformedEventsError: they are none, or have more than `settings.event_records` records.
    """
    assert settings.s3 is not None
    places = [_Place(place) for place in settings.s3.models]
    models = set()
    for bucket, key in _objects(parsed(body), settings.event_records):
        for place in places:
            if (model := place.model(bucket, key)) is not None:
                models.add(model)
                break
    return frozenset(models)


class _Place:
    """Where models are: a folder of as many parts as the glob has."""

    def __init__(self, glob: str) -> None:
        self._bucket, *parts = glob.removeprefix("s3://").split("/")
        self._parts = [Globs([part]) for part in parts]

    def model(self, bucket: str, key: str) -> Reference | None:
        """The model that an object belongs to, if it is in one."""
        folders: Sequence[str] = key.split("/")[:-1]
        own = folders[: len(self._parts)]
        if bucket != self._bucket or len(own) < len(self._parts):
            return None
        if not all(part in glob for part, glob in zip(own, self._parts, strict=True)):
            return None
        try:
            reference = Reference.parse(f"s3://{bucket}/{'/'.join(own)}")
        except UsageError:  # No store has a folder of that name, or none that can be named.
            return None
        return reference if reference.location == f"{bucket}/{'/'.join(own)}" else None


def _objects(document: object, most: int) -> Iterator[tuple[str, str]]:
    """Bucket and key of each object that was changed."""
    if not isinstance(document, dict):
        raise MalformedEventsError("it is not an object of JSON")
    try:
        if "Records" in document:
            if isinstance(document["Records"], list) and len(document["Records"]) > most:
                raise MalformedEventsError(f"it has more than {most} records")
            yield from _of_records(_Records.model_validate(document))
        elif "detail-type" in document:
            yield from _of_bridge(_BridgeEvent.model_validate(document))
        elif "event_type" in document:
            yield from _of_filer(_FilerEvent.model_validate(document))
        elif document.get("Event") != "s3:TestEvent":
            raise MalformedEventsError(_unknown(document))
    except ValidationError as error:
        raise MalformedEventsError(described(error)) from None


def _unknown(document: Mapping[str, Any]) -> str:
    if document.get("Type") in ("Notification", "SubscriptionConfirmation"):
        return (
            "it comes from SNS, whose signatures are not checked here, so it is not believed; let "
            "EventBridge send events to this address, with the token (an API destination)"
        )
    return "it is no notification of S3, EventBridge, MinIO or SeaweedFS"


def _of_records(records: _Records) -> Iterator[tuple[str, str]]:
    for record in records.records:
        change = _CHANGES.fullmatch(record.event)
        if change is None or change["what"] in _NO_CHANGES:
            continue
        # A form's encoding: a space is a plus sign.
        key = unquote_to_bytes(record.s3.object.key.replace("+", " "))
        try:
            yield record.s3.bucket.name, key.decode()
        except UnicodeDecodeError:
            raise MalformedEventsError("a key is not UTF-8") from None


def _of_bridge(event: _BridgeEvent) -> Iterator[tuple[str, str]]:
    if event.source == "aws.s3" and event.kind in _BRIDGE_CHANGES:
        yield event.detail.bucket.name, event.detail.object.key


def _of_filer(event: _FilerEvent) -> Iterator[tuple[str, str]]:
    if not event.key.startswith(_BUCKETS) or _same_content(event):
        return
    bucket, _, key = event.key.removeprefix(_BUCKETS).partition("/")
    entry = event.message.get("new_entry") or event.message.get("old_entry")
    if not key or (isinstance(entry, dict) and entry.get("is_directory")):
        return
    version = _VERSION.fullmatch(key)
    yield bucket, key if version is None else version["key"]
    # What is renamed was somewhere else before.
    match event.message:
        case {"new_parent_path": str(folder), "new_entry": {"name": str(name)}}:
            if folder.startswith(_BUCKETS) and f"{folder}/{name}" != event.key:
                bucket, _, folder = folder.removeprefix(_BUCKETS).partition("/")
                yield bucket, f"{folder}/{name}"


def _same_content(event: _FilerEvent) -> bool:
    """Whether only what is said of an object was changed, such as its tags."""
    old, new = (_chunks(event.message.get(name)) for name in ("old_entry", "new_entry"))
    return old is not None and old == new


def _chunks(entry: object) -> list[object] | None:
    """Which pieces of storage an object consists of, if it has any."""
    chunks = entry.get("chunks") if isinstance(entry, dict) else None
    if not isinstance(chunks, list) or not chunks:
        return None
    pieces = [chunk.get("fid") for chunk in chunks if isinstance(chunk, dict)]
    return pieces if len(pieces) == len(chunks) and None not in pieces else None
