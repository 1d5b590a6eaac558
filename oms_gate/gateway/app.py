"""The gateway over HTTP: the reading side of the Hub's protocol."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

from oms_gate.config import GateConfig
from oms_gate.errors import StepError
from oms_gate.gate import Gate
from oms_gate.gateway import answers, listing
from oms_gate.gateway.arrivals import Arrivals
from oms_gate.gateway.client import Client
from oms_gate.gateway.files import Files
from oms_gate.gateway.hub_origin import HubOrigin
from oms_gate.gateway.models import Decided, Models
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.origins import Described
from oms_gate.gateway.paths import Asked, parse
from oms_gate.gateway.room import Room
from oms_gate.gateway.s3_origin import S3Origin
from oms_gate.gateway.small import SmallFiles
from oms_gate.gateway.turns import BusyError, Turns
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason

_LOG = logging.getLogger(__name__)
_TIDY_SECONDS = 60.0
_MOST_PATHS = 10_000
_TRUE = ("true", "1")
# What clients may ask of references and of commits.
_PASSED_ON = ("include_prs", "expand[]")


class _NotDecidedYetError(Exception):
    """It takes longer than a client can wait."""


class Gateway:
    """A part of a service: its routes, and what is behind them."""

    def __init__(
        self,
        config: GateConfig,
        hold: Callable[[], AbstractContextManager[Gate]],
        folder: Path,
        observer: Observer,
    ) -> None:
        """
        hold: gives the gate as it is now, until the block ends.
        folder: of the gateway's caches.
        """
        self._settings = config.gateway
        self._observer = observer
        in_s3 = S3Origin(
            config.stores, config.limits, config.gateway.repositories, config.signature
        )
        self._hub = HubOrigin(
            config.stores,
            config.limits,
            config.gateway.upstream,
            config.signature,
            is_own=in_s3.is_token,
        )
        self._models = Models(config.gateway, (in_s3, self._hub), hold, folder, observer)
        self._room = Room(folder, config.gateway.cache_bytes)
        settings = config.gateway
        self._transfers = Turns(settings.transfers, settings.waiting_transfers, "oms-gate-bring")
        self._arrivals = Arrivals(settings.connections, self._transfers, self._room, observer)
        self._small = SmallFiles(self._transfers, self._room, observer, settings.waiting_seconds)
        self._tidying: asyncio.Task[None] | None = None
        self._files = Files(settings, self._models, self._arrivals, self._small, observer)

    def routes(self) -> list[web.RouteDef]:
        """All paths: to be the last ones of a service."""
        return [
            web.get("/api/whoami-v2", self._who),
            web.route("*", "/{path:.*}", self._handle, name="hub"),
        ]

    async def start(self) -> None:
        """Begin to work."""
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def stop(self) -> None:
        """End what is under way."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._models.close()
        self._transfers.close()
        self._arrivals.close()
        self._small.close()
        self._files.close()

    async def _tidy(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._room.tidy)
                await asyncio.to_thread(self._models.tidy)
            except OSError as error:
                _LOG.warning("the gateway's caches cannot be looked after: %s", error)
            await asyncio.sleep(_TIDY_SECONDS)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = parse(request.rel_url.raw_path)
        if asked is None and request.path.startswith("/v2/"):
            return answers.no_registry()
        if asked is None:
            return answers.refusal(
                404,
                "EntryNotFound",
                "this gateway serves what clients read of models, datasets and spaces; ask the Hub "
                "itself for all else of it (/, /v1/verdicts and /events are there once gate.yaml "
                "has api.clients and events)",
            )
        allowed = ("POST",) if asked.what == "paths-info" else ("GET", "HEAD")
        if request.method not in allowed:
            return answers.refusal(
                405,
                None,
                f"this gateway only reads, and has no {request.method} here; write to the Hub "
                "itself",
                {"Allow": ", ".join(allowed)},
            )
        try:
            client = Client.of(request)
            described, decided = await self._found(asked, client)
            if asked.what == "resolve":
                return await self._files.answer(request, asked, decided, client)
            if not decided.is_open:
                return answers.denied(decided.verdict)
            return await self._about(request, asked, described, decided, client)
        except BusyError:
            return _busy()
        except _NotDecidedYetError:
            return answers.later(
                f"{asked.repository.name} is being looked at, which takes a while; try again in a "
                "moment"
            )
        except StepError as error:
            if error.reason.code not in answers.NOT_THERE:
                self._observer.upstream_failed(error.reason.code)
            return answers.unavailable(error.reason)

    async def _found(self, asked: Asked, client: Client) -> tuple[Described, Decided]:
        """See `Models.find`, which goes on.

        Raises:
            _NotDecidedYetError: for longer than a client can wait: it would take what it has in
                its cache.
        """
        try:
            async with asyncio.timeout(self._settings.waiting_seconds):
                return await self._models.find(asked.repository, asked.revision, client)
        except TimeoutError:
            raise _NotDecidedYetError from None

    async def _about(
        self,
        request: web.Request,
        asked: Asked,
        described: Described,
        decided: Decided,
        client: Client,
    ) -> web.Response:
        """Answer a question about a repository.

        Raises:
            StepError: its origin does not.
        """
        headers = answers.verdict_headers(decided.verdict) | answers.commit(described)
        listed = decided.entries
        match asked.what:
            case "info" | "revision":
                blobs = _is_set(request, "blobs")
                content = {**described.document, "sha": described.commit}
                content["siblings"] = listing.siblings(listed, blobs=blobs)
                return _passed_on(content, headers)
            case "tree":
                found = listing.tree(listed, asked.path, recursive=_is_set(request, "recursive"))
                if found is None:
                    return answers.no_entry(asked, headers)
                if _is_set(request, "expand"):
                    found = listing.expanded(found, described)
                return answers.document(found, headers)
            case "paths-info":
                paths, expand = await _paths(request)
                found = listing.paths_info(listed, paths)
                return answers.document(
                    listing.expanded(found, described) if expand else found, headers
                )
            case "auth-check":
                return answers.document({}, headers)
        query = {name: request.query[name] for name in _PASSED_ON if name in request.query}
        content = await self._models.ask(
            (asked.repository, described.commit, asked.what, *query.items()),
            described.access,
            client,
            partial(described.origin.passed_on, described, asked.what, query),
        )
        if isinstance(content, list):
            headers["X-Total-Count"] = str(len(content))
        return _passed_on(content, headers)

    async def _who(self, request: web.Request) -> web.Response:
        """Tell a client what the Hub says of it."""
        client = Client.of(request)
        if (token := client.token) is None:
            return answers.refusal(401, None, "Invalid username or password.")
        try:
            return _passed_on(
                await self._models.ask("who", token, client, partial(self._hub.who, token)), {}
            )
        except BusyError:
            return _busy()
        except StepError as error:
            if error.reason.code is ReasonCode.STORE_FORBIDDEN:
                return answers.refusal(401, None, error.reason.message)
            return answers.unavailable(error.reason)


def _passed_on(content: object, headers: Mapping[str, str]) -> web.Response:
    """What upstream says, in an answer of our own."""
    try:
        return answers.document(_without_xet(content), headers)
    except (RecursionError, ValueError):
        return answers.unavailable(
            Reason(
                code=ReasonCode.STORE_PROTOCOL,
                message="the answer of the Hub for this repository is nested too deeply, or has "
                "numbers that JSON has not; tell the operator of that server",
            )
        )


def _busy() -> web.Response:
    return answers.later("this gateway is busy with other models; try again in a moment")


async def _paths(request: web.Request) -> tuple[list[str], bool]:
    """The paths that are asked about, and whether for more of them, of a form or of JSON."""
    if request.content_type == "application/json":
        try:
            asked = json.loads(await request.read())
            paths, expand = asked.get("paths", []), asked.get("expand") is True
        except (ValueError, RecursionError, AttributeError):
            raise web.HTTPBadRequest(
                text='send {"paths": ["config.json"]}, as JSON or as a form\n'
            ) from None
        paths = [paths] if isinstance(paths, str) else paths
    else:
        # Not by aiohttp, which takes less fields, and files.
        try:
            form = parse_qs((await request.read()).decode(), max_num_fields=_MOST_PATHS + 1)
        except ValueError:
            raise _too_many() from None
        paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() in _TRUE
    if not isinstance(paths, list) or len(paths) > _MOST_PATHS:
        raise _too_many()
    return [path for path in paths if isinstance(path, str)], expand


def _too_many() -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"give at most {_MOST_PATHS} paths, as a form or as JSON\n")


def _is_set(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in _TRUE


def _without_xet(content: object) -> object:
    """The same document without the ways by which bytes come past a gateway."""
    if isinstance(content, dict):
        return {
            key: _without_xet(value)
            for key, value in content.items()
            if not key.lower().startswith("xet")
        }
    if isinstance(content, list):
        return [_without_xet(each) for each in content]
    return content
