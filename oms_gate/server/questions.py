"""What clients of the API ask, read so that it can be meant in one way only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from oms_gate.errors import UsageError
from oms_gate.oms.strict_json import MalformedJson, parse
from oms_gate.reference import Reference
from oms_gate.server.problems import Mistake, ProblemError
from oms_gate.server.recorded import VerdictFilter
from oms_gate.service_settings import ApiSettings, ObjectStore
from oms_gate.verdict import Operation

_JSON = "application/json"
# Who asks is nothing that a client can say of itself.
CLIENT_KEY = "client"

T = TypeVar("T", bound=BaseModel)


class VerdictRequest(BaseModel):
    """A question about one model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    reference: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="The model, such as hf://org/name@main or s3://bucket/model.",
        # What the gate says of a wrong one is clearer than what a pattern would.
        json_schema_extra={
            "examples": ["hf://org/name@main"],
            "pattern": rf"^({'|'.join(get_args(ObjectStore))})://[^?#\\\s]+$",
        },
    )
    assurance: Literal["signature", "declared", "bytes"] | None = Field(
        default=None, description="How far to look; without, as far as the gate is configured to."
    )
    context: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="What the policy is told besides: the `operation` that the model is wanted "
        "for, and what else it knows.",
    )
    wait_seconds: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Longest wait for a verdict; the service may wait less."
    )

    @field_validator("context")
    @classmethod
    def _is_the_callers_to_say(cls, context: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if CLIENT_KEY in context:
            raise ValueError(f"the gate itself says which '{CLIENT_KEY}' asks; leave it out")
        known = get_args(Operation)
        if "operation" in context and context["operation"] not in known:
            raise ValueError(f"its operation must be one of {', '.join(known)}")
        return context


class VerdictsQuery(VerdictFilter):
    """Which page of the record is wanted."""

    cursor: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{32}$",
        description="`next` of the page before this one; without, the first.",
    )


async def read_question(
    request: web.Request, settings: ApiSettings, depth: int
) -> tuple[VerdictRequest, Reference]:
    """The question in a request, and the model that it is about.

    depth: most levels of its JSON.

    Raises:
        ProblemError: it is none, or not one that clients may ask.
    """
    if request.content_type != _JSON or request.headers.get("Content-Encoding"):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send the question as {_JSON}, and not compressed",
            headers={"Accept-Post": _JSON},
        )
    body = await _body(request, settings)
    try:
        document = parse(
            body, depth=depth, values=settings.request_values, limit="api.request_values"
        )
    except MalformedJson as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"the request is malformed: {error}; correct it"
        ) from error
    question = _validated(VerdictRequest, document, "the request")
    try:
        reference = Reference.parse(question.reference)
    except UsageError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            str(error),
            errors=[Mistake(where="reference", detail=str(error))],
        ) from error
    if reference.scheme not in settings.schemes:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"models of {reference.scheme}:// cannot be asked about here; name one by "
            f"{' or '.join(f'{scheme}://' for scheme in settings.schemes)}, or have the operator "
            "add to api.schemes in gate.yaml",
        )
    return question, reference


def read_query(given: Sequence[tuple[str, str]]) -> VerdictsQuery:
    """What is asked of the record.

    given: parameters and their values.

    Raises:
        ProblemError: a parameter is unknown, twice there, or cannot be meant.
    """
    if len(dict(given)) < len(given):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "a parameter is given twice; give each once"
        )
    return _validated(VerdictsQuery, dict(given), "the query")


def _validated(model: type[T], value: object, what: str) -> T:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ProblemError.invalid(error, what) from None


async def _body(request: web.Request, settings: ApiSettings) -> bytes:
    most = settings.request_bytes
    body = bytearray()
    try:
        async with asyncio.timeout(settings.request_seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"the request is larger than {most} bytes (api.request_bytes); send less",
                    )
    except TimeoutError as error:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the request did not arrive within {settings.request_seconds:g} seconds "
            "(api.request_seconds); send it again",
        ) from error
    return bytes(body)
