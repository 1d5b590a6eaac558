"""Releases of a model in S3: folders that never change, and a pointer to the current one.

S3 writes one object at a time, so a model that is published piece by piece would be a mixture for a
while. It is put into a folder of its own instead, below its place. One small object there says
which folder is current; it is written last, on the condition that nobody else wrote it since, and
that is when all of the model changes for all who read it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import RELEASE_ID, RELEASES, Reference
from oms_gate.stores.s3_client import S3Client
from oms_gate.stores.s3_writing import put

POINTER: Final = "oms-gate.release.json"
"""The object beside the releases that says which one is current."""

_SCHEMA = "oms-gate/release/v1"
_POINTER_BYTES = 1024
_TIME = "%Y%m%dT%H%M%SZ"
_TIME_CHARACTERS = 16
_DIGEST_CHARACTERS = 16
_OF_A_RELEASE = re.compile(rf"{re.escape(RELEASES)}/{RELEASE_ID.pattern}/", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What the pointer of a model says.

    release: which one is current.
    etag: the entity tag of the pointer itself, which is at `url`.
    """

    release: str
    etag: str
    url: str


def is_apart(path: str) -> bool:
    """Whether an object below a model's place is no file of it, as it belongs to its releases."""
    return path == POINTER or _OF_A_RELEASE.match(path) is not None


def release_time(release: str) -> datetime | None:
    """When a release was made, by its name; None where that says no time."""
    with suppress(ValueError):  # What it says need not be a time.
        return datetime.strptime(release[:_TIME_CHARACTERS], _TIME).replace(tzinfo=UTC)
    return None


def new_release(statement_sha256: str, after: str | None) -> str:
    """A name for a release that no other one has, and that sorts after the current one.

    statement_sha256: of what its signature states, in hex.
    after: the current release, if there is one.
    """
    now = datetime.now(UTC)
    if after is not None and (last := release_time(after)) is not None:
        with suppress(OverflowError):
            now = max(now, last + timedelta(seconds=1))
    return f"{now:{_TIME}}-{statement_sha256[:_DIGEST_CHARACTERS]}-{secrets.token_hex(4)}"


async def current_release(client: S3Client, model: Reference) -> Pointer | None:
    """The release that a model is published as; None if it has no pointer.

    Raises:
        StoreError: there is a pointer, and it is not one that `point` writes.
        Exception: what the client raises.
    """
    url = f"{model.url}/{POINTER}"
    try:
        answer = await client.call("get_object", f"{model.location}/{POINTER}")
    except FileNotFoundError:
        return None
    async with answer["Body"] as body:
        content: bytes = await body.read(_POINTER_BYTES + 1)
    if (release := _read(content)) is None or not answer.get("ETag"):
        raise StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{url} should say which release of the model is current, but is not as oms-gate "
            "writes it, so nothing is read from there; restore it, or remove it",
        )
    return Pointer(release, answer["ETag"], url)


async def point(client: S3Client, model: Reference, release: str, before: Pointer | None) -> None:
    """Make a release the current one, if the pointer is still what it was before.

    Raises:
        StoreError: it is not, or the server knows no conditional writes.
        Exception: what the client raises.
    """
    content = json.dumps({"schema": _SCHEMA, "release": release}).encode()
    etag = None if before is None else before.etag
    await put(client.fs, f"{model.location}/{POINTER}", content, etag)


async def releases(client: S3Client, model: Reference, signature: str) -> Collection[str]:
    """The releases that are there still, newest first: those that hold a signature.

    signature: its name in the model. It is put there last, so without it a release never became
        one.

    Raises:
        Exception: what the client raises.
    """
    bucket, _, prefix = model.location.partition("/")
    root = f"{prefix}/{RELEASES}/".removeprefix("/")
    end = f"/{signature}"
    found = (
        key.removeprefix(root).removesuffix(end)
        for key in await client.keys(bucket, root, lambda key: key.endswith(end))
    )
    return sorted(filter(RELEASE_ID.fullmatch, found), reverse=True)


async def releases_before(
    client: S3Client, model: Reference, release: str, signature: str
) -> Collection[str]:
    """Those of `releases` that are older than one.

    Raises:
        Exception: what the client raises.
    """
    time = release[:_TIME_CHARACTERS]
    found = await releases(client, model, signature)
    return [name for name in found if name[: len(time)] < time]


class Shortened(frozenset[str]):
    """The statements of releases: it holds a SHA-256, in hex, of which a release has the start."""

    def __new__(cls, releases: Collection[str]) -> Self:
        return super().__new__(cls, (release.split("-")[1] for release in releases))

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and super().__contains__(digest[:_DIGEST_CHARACTERS])


def _read(content: bytes) -> str | None:
    """The release that a pointer names. What readers could differ on counts as nothing."""
    if len(content) > _POINTER_BYTES:
        return None
    try:
        members = json.loads(content.decode("utf-8"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    # Of an object; a list stays a list. Two members with these names are no twins.
    if not isinstance(members, tuple) or len(members) != 2:
        return None
    match dict(members):
        case {"schema": "oms-gate/release/v1", "release": str(release)}:
            return release if RELEASE_ID.fullmatch(release) else None
    return None
