"""``/events/hub`` and ``/events/s3``: who may send events, and what they get for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from oms_gate.config import GateConfig
from oms_gate.reference import Reference
from oms_gate.server.event_documents import MalformedEventsError
from oms_gate.server.event_worker import EventWorker
from oms_gate.server.hub_events import changed_on_the_hub
from oms_gate.server.s3_events import changed_in_s3
from oms_gate.server.shared_secrets import SharedSecrets

HUB_HEADER: Final = "x-webhook-secret"

_BEARER = "Bearer "
_RETRY_AFTER = {"Retry-After": "30"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event_routes(config: GateConfig, worker: EventWorker) -> list[web.RouteDef]:
    """The receivers that the configuration has; none without ``events.hub`` and ``events.s3``.

    They answer 202 as soon as the models wait for their turn, and 200 where there is nothing to do;
    401 to who does not know the secret, before a byte of the body is read; 400, 408 or 413 to what
    are no events; and 503 with Retry-After while too many models wait.

    Raises:
        ConfigError: a secret cannot be used.
    """
    events = config.events
    secrets, tokens = event_secrets(config)
    routes = []
    if (hub := events.hub) is not None and secrets is not None:

        async def on_hub(request: web.Request) -> web.StreamResponse:
            if not secrets.accepts(request.headers.getall(HUB_HEADER, [])):
                raise _unauthorized()
            body = await _body(request, events.event_bytes, events.event_seconds)
            changed = _understood(lambda: changed_on_the_hub(body, hub, events.event_records))
            return _queued(worker, changed, 0, 0)

        routes.append(web.post("/events/hub", on_hub))
    if (s3 := events.s3) is not None and tokens is not None:

        async def on_s3(request: web.Request) -> web.StreamResponse:
            given = request.headers.getall("Authorization", [])
            bearer = [value.removeprefix(_BEARER) for value in given if value.startswith(_BEARER)]
            if len(given) != 1 or not tokens.accepts(bearer):
                raise _unauthorized()
            body = await _body(request, events.event_bytes, events.event_seconds)
            changed = _understood(lambda: changed_in_s3(body, events))
            return _queued(worker, changed, s3.settle_seconds, s3.longest_settle_seconds)

        routes.append(web.post("/events/s3", on_s3))
    return routes


def event_secrets(config: GateConfig) -> tuple[SharedSecrets | None, SharedSecrets | None]:
    """The secrets of the Hub's webhooks and of S3's notifications; None for what is not received.

    Raises:
        ConfigError: one cannot be used.
    """
    seconds = config.limits.reload_seconds
    secrets = tokens = None
    if (hub := config.events.hub) is not None:
        secrets = SharedSecrets(hub.secret_files, "the secret of the Hub's webhooks", seconds)
    if (s3 := config.events.s3) is not None:
        tokens = SharedSecrets(s3.token_files, "the token of S3's notifications", seconds)
    return secrets, tokens


def _unauthorized() -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(
        text="the secret of this receiver is missing or wrong: set the one that its operator has "
        "configured\n"
    )


async def _body(request: web.Request, most: int, seconds: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_chunked(65536):
                body += chunk
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(
                        most,
                        len(body),
                        text=f"a request has at most {most} bytes here; send fewer events in one, "
                        "or have 'events.event_bytes' raised\n",
                    )
    except TimeoutError:
        raise web.HTTPRequestTimeout(
            text=f"the request did not arrive within {seconds:g} seconds; send it again\n"
        ) from None
    return bytes(body)


def _understood(read: Callable[[], frozenset[Reference]]) -> frozenset[Reference]:
    try:
        return read()
    except MalformedEventsError as error:
        raise web.HTTPBadRequest(text=f"these are no events that can be read: {error}\n") from None


def _queued(
    worker: EventWorker, changed: frozenset[Reference], settle: float, longest: float
) -> web.Response:
    if not changed:
        return web.json_response({"queued": 0})
    if not worker.put(changed, settle, longest):
        raise web.HTTPServiceUnavailable(
            text="too many models wait to be decided about; send this again later\n",
            headers=_RETRY_AFTER,
        )
    return web.json_response({"queued": len(changed)}, status=202)
