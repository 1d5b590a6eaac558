"""The gateway over HTTP: the reading side of the Hub's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from aiohttp import hdrs, web

from oms_gate.config import GateConfig
from oms_gate.errors import StepError
from oms_gate.gate import Gate
from oms_gate.gateway import answers, listing
from oms_gate.gateway.arrivals import Arrivals
from oms_gate.gateway.files import Files
from oms_gate.gateway.listing import Entry
from oms_gate.gateway.models import BusyError, Decided, Models
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.origins import HubOrigin
from oms_gate.gateway.paths import Asked, parse
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason

_MOST_PATHS = 10_000


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
        origin = HubOrigin(config.stores, config.limits, config.gateway.upstream, config.signature)
        self._models = Models(config.gateway, (origin,), hold, folder, observer)
        self._arrivals = Arrivals(config.gateway, observer)
        self._files = Files(config.gateway, self._models, self._arrivals, observer)

    def routes(self) -> list[web.RouteDef]:
        """All paths: to be the last ones of a service."""
        return [web.route("*", "/{path:.*}", self._handle, name="hub")]

    async def start(self) -> None:
        """Begin to work."""

    async def stop(self) -> None:
        """End what is under way."""
        self._models.close()
        self._arrivals.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = parse(request.rel_url.raw_path)
        if asked is None:
            return answers.refusal(
                404,
                "EntryNotFound",
                "this gateway serves what clients read of models, datasets and spaces, and nothing "
                "else of the Hub; ask the Hub itself",
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
            token = _token(request)
            described = await self._models.describe(asked.repository, asked.revision, token)
            decided = await self._models.decide(described, token)
        except BusyError:
            return answers.later("this gateway is busy with other models; try again in a moment")
        except StepError as error:
            self._observer.upstream_failed(error.reason.code)
            return answers.unavailable(error.reason)
        if decided.model is None and decided.unverified is None:
            return answers.denied(decided.verdict)
        listed = decided.entries
        if asked.what != "resolve":
            return await self._about(request, asked, decided, listed)
        entry = listed.get(asked.path)
        if entry is None:
            headers = answers.verdict_headers(decided.verdict)
            return answers.no_entry(asked, headers | answers.commit(decided.described))
        return await self._files.answer(request, asked.path, decided, entry)

    async def _about(
        self, request: web.Request, asked: Asked, decided: Decided, listed: Mapping[str, Entry]
    ) -> web.Response:
        """Answer a question about a repository."""
        headers = answers.verdict_headers(decided.verdict) | answers.commit(decided.described)
        match asked.what:
            case "info" | "revision":
                blobs = _is_set(request, "blobs")
                content = {**decided.described.document, "sha": decided.described.commit}
                content["siblings"] = listing.siblings(listed, blobs=blobs)
                return _passed_on(content, headers)
            case "tree":
                found = listing.tree(listed, asked.path, recursive=_is_set(request, "recursive"))
                if found is None:
                    return answers.no_entry(asked, headers)
                return answers.document(found, headers)
            case "paths-info":
                paths = await _paths(request)
                return answers.document(listing.paths_info(listed, paths), headers)
            case "auth-check":
                return answers.document({}, headers)
        try:
            described = decided.described
            content = await asyncio.to_thread(described.origin.passed_on, described, asked.what)
        except StepError as error:
            return answers.unavailable(error.reason)
        return _passed_on(content, headers)


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


def _token(request: web.Request) -> str | None:
    """The client's own token.

    Raises:
        web.HTTPBadRequest: it gives several, or what is none.
    """
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    if len(given) > 1 or scheme.lower() != "bearer" or not token.isascii() or not token:
        raise web.HTTPBadRequest(text="give one token: Authorization: Bearer hf_...\n")
    return token


async def _paths(request: web.Request) -> list[str]:
    """The paths that are asked about, of a form or of JSON."""
    if request.content_type == "application/json":
        try:
            paths = json.loads(await request.read()).get("paths", [])
        except (ValueError, RecursionError, AttributeError):
            raise web.HTTPBadRequest(text="the body is not what it should be\n") from None
        paths = [paths] if isinstance(paths, str) else paths
    else:
        paths = (await request.post()).getall("paths", [])
    if not isinstance(paths, list) or len(paths) > _MOST_PATHS:
        raise web.HTTPBadRequest(text=f"give at most {_MOST_PATHS} paths\n")
    return [path for path in paths if isinstance(path, str)]


def _is_set(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("true", "1")


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
