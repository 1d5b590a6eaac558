"""What a client of the API did wrong, as RFC 9457 has it."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from multidict import istr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oms_gate.verdict import printable

_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_TYPE: Final = "application/problem+json"

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer, which is for who asked alone."""


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str = Field(description="The member, or the parameter.")
    detail: str


class Problem(BaseModel):
    """What is wrong, and what to do (RFC 9457)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(description="Of the status.")
    status: int
    detail: str = Field(description="What happened, and what to do, in a sentence.")
    errors: tuple[Mistake, ...] = Field(default=(), description="Each mistake by its place.")


class ProblemError(Exception):
    """A request that is not answered as it is meant."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[Mistake] = (),
        headers: Mapping[istr, str] | Mapping[str, str] | None = None,
    ) -> None:
        """
        detail: a sentence for who asked.
        """
        super().__init__(detail)
        self.problem = Problem(
            title=status.phrase,
            status=status,
            detail=printable(detail),
            errors=tuple(errors),
        )
        self.headers = headers or {}

    @classmethod
    def invalid(cls, error: ValidationError, what: str) -> ProblemError:
        """For a request whose parts are not what they must be.

        what: they are, such as "the request".
        """
        errors = [
            Mistake(
                where=printable(".".join(map(str, detail["loc"]))) or what,
                detail=printable(detail["msg"].removeprefix("Value error, ")),
            )
            for detail in error.errors(include_url=False, include_input=False)
        ]
        said = "; ".join(f"{mistake.where}: {mistake.detail}" for mistake in errors)
        return cls(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{what} cannot be meant: {said}", errors=errors
        )


def as_json(error: ProblemError) -> web.Response:
    """The answer to a program."""
    return web.Response(
        status=error.problem.status,
        text=json.dumps(error.problem.model_dump(mode="json")),
        content_type=PROBLEM_TYPE,
        headers=error.headers,
    )


def answered(
    handler: Handler, shown: Callable[[ProblemError], web.StreamResponse] = as_json
) -> Handler:
    """A handler whose problems are answered, and its defects without telling of them.

    shown: makes the answer of a problem.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ProblemError as error:
            response = shown(error)
        except ConnectionError:
            raise  # Who asked is gone.
        except Exception:  # noqa: BLE001 - a defect must not tell of itself
            _LOG.exception("while answering %s %s", request.method, printable(request.path))
            response = shown(
                ProblemError(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "the gate itself failed; try again, and tell its operator, who finds more in "
                    "its log",
                )
            )
        response.headers.update(SAFE_HEADERS)
        return response

    return answer
