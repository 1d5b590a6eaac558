"""Answering with a file, or with what it is like."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import hdrs, web

from oms_gate.errors import AdmissionDenied
from oms_gate.gateway import answers, ranges
from oms_gate.gateway.arrivals import Arrivals
from oms_gate.gateway.journal import Journal, State
from oms_gate.gateway.listing import Entry
from oms_gate.gateway.models import Decided, Models
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.passing import pass_on
from oms_gate.gateway.sending import FileDenied, NotYetError, Sender, pieces
from oms_gate.reason_codes import ReasonCode
from oms_gate.service_settings import GatewaySettings
from oms_gate.verdict import Assurance, Reason

_HEADERS: Final = {
    "Accept-Ranges": "bytes",
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
}


class Files:
    """The files of a gateway's repositories."""

    def __init__(
        self,
        settings: GatewaySettings,
        models: Models,
        arrivals: Arrivals,
        observer: Observer,
    ) -> None:
        self._settings = settings
        self._models = models
        self._arrivals = arrivals
        self._observer = observer

    async def answer(
        self, request: web.Request, path: str, decided: Decided, entry: Entry
    ) -> web.StreamResponse:
        """The file, a part of it, or why there is none.

        Raises:
            ConnectionError: the answer ended early.
        """
        state = await asyncio.to_thread(_state, path, decided, entry)
        etag = _tag(entry, state)
        headers = answers.commit(decided.described) | answers.verdict_headers(
            decided.verdict, None if decided.model is None else Assurance.BYTES
        )
        headers |= {"ETag": etag, "X-Linked-ETag": etag, "X-Linked-Size": str(entry.size)}
        headers |= _HEADERS
        if ranges.is_outdated(request.headers, etag):
            return answers.refusal(
                412, None, f"{path} is not what it was; download it again from its start", headers
            )
        if ranges.is_known(request.headers, etag):
            return web.Response(status=304, headers=headers)
        part = ranges.wanted(request.method, request.headers, entry.size, etag)
        if part is None:
            headers["Content-Range"] = f"bytes */{entry.size}"
            return answers.refusal(416, None, f"{path} has no such bytes", headers)
        if part.partial:
            headers["Content-Range"] = part.content_range(entry.size)
        response = web.StreamResponse(status=206 if part.partial else 200, headers=headers)
        response.content_type = "application/octet-stream"
        response.content_length = part.end - part.start
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            return response
        if entry.content is not None:
            await response.prepare(request)
            await response.write(entry.content[part.start : part.end])
            return response
        if decided.model is None:
            assert decided.unverified is not None
            return await pass_on(request, response, decided.unverified, path, part)
        if part.start and state.is_distrusted and "If-Range" not in request.headers:
            return answers.denied(decided.model.admission.denied([_distrusted(path)]).verdict)
        if entry.size > self._settings.cache_bytes:
            return answers.denied(decided.model.admission.denied([_too_large(path)]).verdict)
        assert decided.cache is not None
        sender = Sender(
            request,
            self._arrivals,
            decided.cache.layout,
            decided.limits,
            self._observer,
            self._settings.waiting_seconds,
            state.turn,
            lambda: _state(path, decided, entry).turn,
        )
        try:
            wanted = await asyncio.to_thread(
                pieces, decided.model, path, part, begun=state.released > 0
            )
            await sender.send(response, wanted)
        except AdmissionDenied as denied:  # The cache failed.
            if response.prepared:
                raise
            return answers.denied(denied.verdict)
        except FileDenied as denied:
            verdict = await self._models.deny(decided, denied.reason)
            if verdict.undecided:
                return answers.unavailable(denied.reason)
            return answers.denied(verdict)
        except NotYetError:
            return answers.later(
                f"{path} is being verified, which takes a while; try again in a moment"
            )
        except ConnectionError as error:
            if isinstance(error.__cause__, FileDenied):
                await self._models.deny(decided, error.__cause__.reason)
            raise
        return response


def _state(path: str, decided: Decided, entry: Entry) -> State:
    """How far the file is, if it has to come."""
    if decided.model is None or decided.cache is None or entry.content is not None:
        return State()
    return Journal(decided.cache.layout, decided.model.content(path)).state()


def _tag(entry: Entry, state: State) -> str:
    """The entity tag: another one after wrong bytes were sent, which nobody is to complete."""
    tag = entry.etag or entry.file.version or ""
    return f'"{tag}-{state.turn}"' if state.turn else f'"{tag}"'


def _distrusted(path: str) -> Reason:
    return Reason(
        code=ReasonCode.FILE_CHANGED,
        message=f"the store sent something else than what was signed of {path} before, and what "
        "you have of it may be that; remove it, and download the file again from its start",
        path=path,
    )


def _too_large(path: str) -> Reason:
    return Reason(
        code=ReasonCode.DISK_FULL,
        message=f"{path} is larger than what the gateway may keep; its operator can raise "
        "'cache_bytes' under 'gateway'",
        path=path,
    )
