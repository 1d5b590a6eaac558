"""Answering with a file, or with what it is like."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import hdrs, web

from oms_gate.errors import AdmissionDenied, StepError
from oms_gate.gateway import answers, ranges
from oms_gate.gateway.arrivals import Arrivals
from oms_gate.gateway.client import Client
from oms_gate.gateway.entries import Entry
from oms_gate.gateway.journal import Journal, State
from oms_gate.gateway.models import Decided, Models
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.passing import pass_on
from oms_gate.gateway.paths import Asked
from oms_gate.gateway.sending import FileDenied, NotYetError, Sender, pieces
from oms_gate.gateway.small import SMALL_BYTES, SmallFiles
from oms_gate.reason_codes import ReasonCode
from oms_gate.service_settings import GatewaySettings
from oms_gate.stores import Snapshot
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
        small: SmallFiles,
        observer: Observer,
    ) -> None:
        self._settings = settings
        self._models = models
        self._arrivals = arrivals
        self._small = small
        self._observer = observer
        # Of their own: a slow store must not take those that every answer needs for a moment.
        self._threads = ThreadPoolExecutor(settings.transfers, thread_name_prefix="oms-gate-read")

    def close(self) -> None:
        """Read no more from stores."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(
        self,
        request: web.Request,
        asked: Asked,
        decided: Decided,
        client: Client,
        *,
        renewed: bool = False,
    ) -> web.StreamResponse:
        """The file, a part of it, or why there is none.

        renewed: whether this is the second decision that is tried.

        Raises:
            BusyError: nothing was sent.
            ConnectionError: the answer ended early.
        """
        if not decided.is_open:
            return answers.denied(decided.verdict)
        path, entry = asked.path, decided.entries.get(asked.path)
        if entry is None:
            headers = answers.verdict_headers(decided.verdict)
            return answers.no_entry(asked, headers | answers.commit(decided.described))
        try:
            return await self._send(request, path, decided, entry, client)
        except FileDenied as denied:
            if denied.reason.code is ReasonCode.CACHE_CHANGED and not renewed:
                # Files go to make room for others; what was handed out of them is no more.
                again = await self._models.renew(decided, client)
                return await self.answer(request, asked, again, client, renewed=True)
            now = await self._models.deny(decided, denied.reason)
            if now.is_open:
                return await self.answer(request, asked, now, client, renewed=True)
            if now.verdict.undecided:
                return answers.unavailable(denied.reason)
            return answers.denied(now.verdict)
        except NotYetError:
            return answers.later(
                f"{path} is being verified, which takes a while; try again in a moment"
            )
        except ConnectionError as error:
            if isinstance(error.__cause__, FileDenied):
                await self._models.deny(decided, error.__cause__.reason)
            raise

    async def _send(
        self, request: web.Request, path: str, decided: Decided, entry: Entry, client: Client
    ) -> web.StreamResponse:
        """Send the file, or what else follows from the request's headers.

        Raises:
            BusyError, FileDenied, NotYetError: nothing was sent.
            ConnectionError: the answer ended early.
        """
        state = State()
        if not _is_small(entry):
            state = await asyncio.to_thread(_state, path, decided, entry)
        etag = f'"{entry.etag}-{state.turn}"' if state.turn else f'"{entry.etag}"'
        headers = answers.commit(decided.described) | _verdict_headers(path, decided, entry)
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
        headers["Content-Type"] = "application/octet-stream"
        status = 206 if part.partial else 200
        if request.method != hdrs.METH_HEAD:
            content = await self._content(path, decided, entry, client)
            if content is not None:
                body = content[part.start : part.end]
                return web.Response(status=status, headers=headers, body=body)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = part.end - part.start
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            return response
        if entry.proof is None:
            return await pass_on(request, response, _snapshot(decided), path, part, self._threads)
        assert decided.model is not None
        assert decided.cache is not None
        if part.start and state.is_distrusted and "If-Range" not in request.headers:
            return answers.denied(decided.model.admission.denied([_distrusted(path)]).verdict)
        if entry.size > self._settings.cache_bytes:
            return answers.denied(decided.model.admission.denied([_too_large(path)]).verdict)
        sender = Sender(
            request,
            client.address,
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
        except AdmissionDenied as denied:
            raise FileDenied(denied.verdict.reasons[0]) from denied
        await sender.send(response, wanted)
        return response

    async def _content(
        self, path: str, decided: Decided, entry: Entry, client: Client
    ) -> bytes | None:
        """All of a file that is verified in memory; None of one that is sent from the disk.

        Raises:
            BusyError, FileDenied, NotYetError: there is none.
        """
        if entry.content is not None:
            return entry.content
        if entry.proof == "digest":
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _read, decided, path, entry)
        if _is_small(entry):
            assert decided.model is not None
            assert decided.cache is not None
            return await self._small.content(
                decided.cache.layout, decided.model, path, client.address
            )
        return None


def _is_small(entry: Entry) -> bool:
    return entry.proof == "signed" and entry.size <= SMALL_BYTES


def _snapshot(decided: Decided) -> Snapshot:
    """What the files of an open decision are read from."""
    if decided.model is not None:
        return decided.model.admission.snapshot
    assert decided.unverified is not None
    return decided.unverified


def _read(decided: Decided, path: str, entry: Entry) -> bytes:
    """The content of a file that is known by its digest.

    Raises:
        FileDenied: it is not that which was verified, or could not be had.
    """
    try:
        content = _snapshot(decided).read(path, decided.limits.attestation_bytes)
    except StepError as error:
        raise FileDenied(error.reason) from error
    if content is None or hashlib.sha256(content).hexdigest() != entry.etag:
        raise FileDenied(_replaced(path))
    return content


def _verdict_headers(path: str, decided: Decided, entry: Entry) -> dict[str, str]:
    """What is said of a file: less than of its model, where it is only let through."""
    if entry.proof is not None:
        return answers.verdict_headers(decided.verdict, Assurance.BYTES)
    verdict = decided.verdict
    if decided.model is not None:
        verdict = decided.model.admission.denied([_unsigned(path)]).verdict
    return answers.verdict_headers(verdict)


def _state(path: str, decided: Decided, entry: Entry) -> State:
    """How far the file is, if it has to come."""
    if entry.proof != "signed" or decided.model is None or decided.cache is None:
        return State()
    return Journal(decided.cache.layout, decided.model.content(path)).state()


def _unsigned(path: str) -> Reason:
    return Reason(
        code=ReasonCode.COVERAGE_UNSIGNED,
        message=f"{path} is not covered by the model's signature, so nobody vouches for it; ask "
        "its publisher to sign it",
        path=path,
    )


def _replaced(path: str) -> Reason:
    return Reason(
        code=ReasonCode.FILE_CHANGED,
        message=f"{path} is not the file any more that was verified with the model; ask its "
        "publisher, and tell the store's operator",
        path=path,
    )


def _distrusted(path: str) -> Reason:
    return Reason(
        code=ReasonCode.FILE_CHANGED,
        message=f"what was sent of {path} before was wrong, or was never verified to its end, so "
        "what you have of it may not be its beginning; remove it, and download the file again from "
        "its start",
        path=path,
    )


def _too_large(path: str) -> Reason:
    return Reason(
        code=ReasonCode.DISK_FULL,
        message=f"{path} is larger than what the gateway may keep; its operator can raise "
        "'cache_bytes' under 'gateway'",
        path=path,
    )
