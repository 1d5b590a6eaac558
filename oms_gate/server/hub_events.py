"""Webhooks of the Hub: which repositories have changed, and where.

What a webhook says is a hint and nothing more. The gate asks the Hub itself, at the endpoint that
the operator configured, what a branch or a tag names now.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from oms_gate.errors import UsageError
from oms_gate.policy.globs import Globs
from oms_gate.reference import Reference
from oms_gate.server.event_documents import MalformedEventsError, described, parsed
from oms_gate.service_settings.events import HubEvents

_SHA = r"^[0-9a-f]{40}$"
# Pull requests and conversions are nobody's release.
_BRANCH, _TAG = "refs/heads/", "refs/tags/"
_KINDS = {"model": "", "dataset": "datasets/", "space": "spaces/"}


class _Event(BaseModel):
    action: str = Field(max_length=64)
    scope: str = Field(max_length=64)


class _Repository(BaseModel):
    kind: Literal["model", "dataset", "space"] = Field(alias="type")
    name: str = Field(min_length=1, max_length=256)


class _UpdatedRef(BaseModel):
    ref: str = Field(min_length=1, max_length=512)
    new: str | None = Field(alias="newSha", default=None, pattern=_SHA)


class _Payload(BaseModel):
    """As much of version 3 as is used; the Hub adds members as it likes."""

    event: _Event
    repo: _Repository
    updated: tuple[_UpdatedRef, ...] | None = Field(alias="updatedRefs", default=None)


def changed_on_the_hub(body: bytes, settings: HubEvents, most: int) -> frozenset[Reference]:
    """The watched repositories that a webhook says were changed, each with a branch or tag.

    most: references that one may have.

    Raises:
        MalformedEventsError: it is no webhook of the Hub's.
    """
    try:
        payload = _Payload.model_validate(parsed(body))
    except ValidationError as error:
        raise MalformedEventsError(described(error)) from None
    scope = payload.event.scope
    if scope != "repo.content" and not scope.startswith("repo.content."):
        return frozenset()
    if payload.event.action not in ("create", "update"):
        return frozenset()
    updated = payload.updated
    if updated is not None and len(updated) > most:
        raise MalformedEventsError(f"it has more than {most} references")
    repository = _reference(payload.repo)
    if repository.name not in Globs(settings.repositories):
        return frozenset()
    if updated is None:  # It does not say where: in the default branch, at least.
        return frozenset({repository})
    return frozenset(
        _at(repository, name)
        for reference in updated
        if reference.new is not None and (name := _name(reference.ref)) is not None
    )


def _reference(repository: _Repository) -> Reference:
    url = f"hf://{_KINDS[repository.kind]}{repository.name}"
    try:
        reference = Reference.parse(url)
    except UsageError as error:
        raise MalformedEventsError(f"repo.name is none: {error}") from None
    # One kind must not pass for another.
    owner = repository.name.partition("/")[0] + "/"
    plain = not reference.path and reference.revision is None and reference.url == url
    if not plain or owner in _KINDS.values():
        raise MalformedEventsError("repo.name is not the name of a repository")
    return reference


def _name(ref: str) -> str | None:
    """The branch or tag that a reference of Git is; None for any other."""
    for space in (_BRANCH, _TAG):
        if ref.startswith(space):
            return ref.removeprefix(space)
    return None


def _at(repository: Reference, name: str) -> Reference:
    try:
        return Reference.parse(f"{repository.url}@{quote(name, safe='')}")
    except UsageError as error:
        raise MalformedEventsError(f"updatedRefs has no usable name: {error}") from None
