"""Every request, before any part of the service sees it: known by an id, sound, and in time."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote_to_bytes

from aiohttp import web

from oms_gate.server.connections import SERVER, Connection
from oms_gate.server.logs import FIELDS, request_id
from oms_gate.server.metrics import Metrics
from oms_gate.server.tracing import STATUS, Tracing
from oms_gate.service_settings import ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_LOG = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-Id"

CLIENT: Final = web.RequestKey("client", str)
"""Who is asking, as logs call them; set by the part of a service that knows."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
# Of a path after decoding: control characters, and what some take for a slash.
_HIDDEN = re.compile(rb"[\x00-\x1f\x7f\\]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass
class _Visit:
    """A request that is being answered.

    deadline: of the time until its answer begins.
    route: which of the service's routes it takes, by its name.
    """

    started: float
    identity: str
    deadline: asyncio.Timeout
    route: str = "none"
    response: web.StreamResponse | None = None


_VISIT: Final = web.RequestKey("visit", _Visit)


class Reception:
    """Receives the requests of a service and tells logs, metrics and traces of them."""

    def __init__(
        self, settings: ServiceSettings, metrics: Metrics, tracing: Tracing | None, instance: str
    ) -> None:
        """
        instance: what this service calls itself in ``Via`` headers.
        """
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
        self._instance = instance

    def application(self, routes: list[web.RouteDef]) -> web.Application:
        """What answers with these routes; of several that fit, the first does."""
        app = web.Application(
            middlewares=[self._receive], client_max_size=self._settings.body_bytes
        )
        app.on_response_prepare.append(_prepared)
        app.router.add_routes(routes)
        return app

    @web.middleware
    async def _receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.began()
        asked = request.headers.get(REQUEST_ID, "")
        identity = asked if _USABLE_ID.fullmatch(asked) else secrets.token_hex(8)
        deadline = asyncio.timeout(self._settings.answer_seconds)
        visit = request[_VISIT] = _Visit(time.monotonic(), identity, deadline)
        token = request_id.set(identity)
        self._metrics.running.inc()
        try:
            return await self._answered(request, handler, visit)
        except (ConnectionError, asyncio.CancelledError):
            connection.ended(request, None)
            raise
        finally:
            self._metrics.running.dec()
            request_id.reset(token)

    async def _answered(
        self, request: web.Request, handler: Handler, visit: _Visit
    ) -> web.StreamResponse:
        try:
            self._see_that_it_is_sound(request)
            visit.route = _name(request)
            with self._traced(request, visit.route) as span:
                async with visit.deadline:
                    response = await handler(request)
                if span is not None:
                    span.set_attribute(STATUS, response.status)
                return response
        except web.HTTPException as answer:
            if visit.response is not None:
                self._failed(visit, answer)
            raise
        except TimeoutError as error:
            if not visit.deadline.expired():
                self._failed(visit, error)
            raise web.HTTPServiceUnavailable(
                text=f"there is no answer after {self._settings.answer_seconds:g} seconds "
                "(service.answer_seconds in gate.yaml); try again in a moment\n",
                headers={"Retry-After": "5"},
            ) from None
        except Exception as error:  # noqa: BLE001 - a defect must not end the process
            self._failed(visit, error)

    def _traced(self, request: web.Request, route: str) -> AbstractContextManager[Span | None]:
        return nullcontext() if self._tracing is None else self._tracing.request(request, route)

    def _failed(self, visit: _Visit, error: Exception) -> NoReturn:
        if visit.response is not None:  # It was begun, and must not look as if it were complete.
            if not isinstance(error, ConnectionError):
                _LOG.error("an answer could not be finished", exc_info=error)
            raise ConnectionError("an answer could not be finished") from error
        _LOG.error("a request failed", exc_info=error)
        raise web.HTTPInternalServerError(
            text="the gate itself failed; please report this with its log, request "
            f"{visit.identity}\n"
        ) from error

    def _see_that_it_is_sound(self, request: web.Request) -> None:
        """
        Raises:
            web.HTTPException: others could take it for another request than the gate does.
        """
        target = request.raw_path
        path = target.partition("?")[0]
        if not path.startswith("/"):
            raise _refusal("its target is no path; the gate is no proxy")
        if _BAD_ESCAPE.search(path) or "#" in target or not target.isascii():
            raise _refusal("its target is not encoded as RFC 3986 has it")
        decoded = unquote_to_bytes(path)
        if _HIDDEN.search(decoded):
            raise _refusal("its path has a backslash or a control character")
        if any(part in (b"", b".", b"..") for part in decoded.removesuffix(b"/").split(b"/")[1:]):
            raise _refusal("its path has '.', '..' or nothing between two slashes")
        if self._instance in _passed(request):
            raise _LoopDetected(
                text="this gate's own request came back to it: the store that it asks leads here; "
                "set gateway.upstream in gate.yaml (or HF_ENDPOINT of the gate) to the Hub\n"
            )

    def ended(self, request: web.BaseRequest, response: web.StreamResponse | None) -> None:
        """Log and count a request whose answer was sent, or given up."""
        visit = request.get(_VISIT)
        begun = response if visit is None or visit.response is None else visit.response
        size = request.writer.output_size
        seconds = 0.0 if visit is None else time.monotonic() - visit.started
        route = "invalid" if visit is None else visit.route
        status = None if response is None else response.status
        self._metrics.answered(route, request.method, status, size, seconds)
        given = {} if begun is None else begun.headers
        fields = {
            "request_id": None if visit is None else visit.identity,
            "method": request.method,
            "path": None if visit is None else request.rel_url.raw_path,
            "route": route,
            "status": status if begun is None else begun.status,
            "bytes": size,
            "seconds": round(seconds, 6),
            "address": request.remote,
            "client": request.get(CLIENT),
            "agent": request.headers.get("User-Agent"),
            "verdict": given.get("X-OMS-Gate-Verdict"),
            "reason": given.get("X-OMS-Gate-Reason"),
        }
        _LOG.info("answered" if response is not None else "aborted", extra={FIELDS: fields})


def _passed(request: web.Request) -> set[str]:
    """Whom a request has passed, as they call themselves: RFC 9110, section 7.6.3."""
    fields = ",".join(request.headers.getall("Via", ()))
    return {name for passed in fields.split(",") for name in passed.split()[1:2]}


class _LoopDetected(web.HTTPServerError):
    status_code = 508


def _refusal(why: str) -> web.HTTPException:
    refusal = web.HTTPBadRequest(text=f"the request is refused: {why}; correct the client\n")
    refusal.force_close()
    return refusal


def _name(request: web.Request) -> str:
    route = request.match_info.route
    if route.name is not None:
        return route.name
    return "none" if route.resource is None else route.resource.canonical


async def _prepared(request: web.Request, response: web.StreamResponse) -> None:
    """The head of an answer is about to be sent: from now on it is no failure any more."""
    response.headers["Server"] = SERVER
    visit = request.get(_VISIT)
    if visit is None:
        return
    response.headers[REQUEST_ID] = visit.identity
    visit.response = response
    with suppress(RuntimeError):  # It is over already.
        visit.deadline.reschedule(None)
