"""The decision API: clients ask about models, and find the verdicts again."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from oms_gate.config import GateConfig
from oms_gate.errors import StepError
from oms_gate.gate import Gate
from oms_gate.gateway.observer import Observer
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.server.checks import Asked, BusyError, Checks, checked
from oms_gate.server.clients import Caller, Clients, Held, UnknownClientError
from oms_gate.server.problems import Handler, ProblemError, answered
from oms_gate.server.questions import (
    CLIENT_KEY,
    VerdictRequest,
    VerdictsQuery,
    read_query,
    read_question,
)
from oms_gate.server.recorded import FoundVerdict, RecordedVerdict
from oms_gate.server.requests import CLIENT
from oms_gate.server.verdicts import RENEW_SECONDS, Verdicts
from oms_gate.verdict import Assurance, Verdict, printable

_LOG = logging.getLogger(__name__)

_RETRY_SECONDS: Final = "5"
# By the second, a browser asks for name and token; Chromium reads one in a header only.
_CHALLENGES: Final = CIMultiDict(
    [
        (hdrs.WWW_AUTHENTICATE, 'Bearer realm="oms-gate"'),
        (hdrs.WWW_AUTHENTICATE, 'Basic realm="oms-gate", charset="UTF-8"'),
    ]
)
# The verdict is about a use, where the client does not say which.
_OPERATION: Final = "load"


class Decided(BaseModel):
    """A verdict, and the id by which it is found again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    verdict: Verdict


class Running(BaseModel):
    """A check that goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    state: str = Field(default="running", pattern="^running$")


class VerdictsPage(BaseModel):
    """Verdicts of the record, the newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdicts: tuple[RecordedVerdict, ...]
    next: str | None = Field(description="`cursor` of the next page; null after the last.")


class DecisionApi:
    """Answers clients. Used within one event loop."""

    def __init__(
        self,
        config: GateConfig,
        file: Path,
        held: Held,
        verdicts: Verdicts,
        observer: Observer,
    ) -> None:
        """
        file: where the configuration is from: clients follow it.
        held: gives the gate that decides for clients without a configuration of their own.
        observer: told of each decision, which is recorded already.

        Raises:
            ConfigError: a file that it names cannot be used.
        """
        self._settings = config.api
        self._depth = config.limits.json_depth
        self._verdicts = verdicts
        self._observer = observer
        self._clients = Clients(file, held)
        self._checks = Checks(
            checks=config.api.checks,
            waiting=config.api.waiting_checks,
            remembered=config.api.verdicts,
            admitted_seconds=config.limits.decision_seconds,
            denied_seconds=config.api.denial_seconds,
        )
        self._stopped = threading.Event()
        self._followed: dict[str, asyncio.Task[None]] = {}

    def routes(self) -> list[web.RouteDef]:
        """``/v1/verdicts`` and below."""
        return [
            web.post("/v1/verdicts", answered(self._post)),
            web.get("/v1/verdicts", answered(self._list)),
            web.route("*", "/v1/verdicts", answered(_only("GET, HEAD, POST"))),
            web.get("/v1/verdicts/{id}", answered(self._get)),
            web.route("*", "/v1/verdicts/{id}", answered(_only("GET, HEAD"))),
        ]

    @property
    def running(self) -> int:
        """Checks that are at work or wait for their turn."""
        return self._checks.running

    async def stop(self) -> None:
        """End the checks; who waits for one is told to ask again."""
        self._stopped.set()
        self._checks.close()
        tasks = list(self._followed.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def caller(self, request: web.Request) -> Caller:
        """Who asks.

        Raises:
            ProblemError: nobody who may.
        """
        try:
            caller = await asyncio.to_thread(self._clients.who, request)
        except UnknownClientError as error:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, str(error), headers=_CHALLENGES) from error
        if caller is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                "this gate answers no questions: no client is named under api in gate.yaml",
            )
        request[CLIENT] = caller.name
        return caller

    async def found(self, caller: Caller, name: str) -> FoundVerdict:
        """What is recorded by an id, for who may see it.

        Raises:
            ProblemError: there is nothing.
        """
        try:
            found = await asyncio.to_thread(self._verdicts.get, name, tenant=caller.sees)
        except (sqlite3.Error, OSError) as error:
            raise _unreadable(error) from error
        if found is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                "there is no verdict by this id, or no longer; ask about the model again",
            )
        return found

    async def page(self, caller: Caller, query: VerdictsQuery) -> VerdictsPage:
        """A page of the record, as far as the caller sees it.

        Raises:
            ProblemError: its cursor leads nowhere.
        """
        most = self._settings.page_verdicts
        try:
            found = await asyncio.to_thread(
                self._verdicts.recent,
                query,
                most=most + 1,
                tenant=caller.sees,
                after=query.cursor,
            )
        except LookupError as error:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "the cursor leads nowhere, or no longer; begin with the first page",
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise _unreadable(error) from error
        more = found[most - 1].id if len(found) > most else None
        return VerdictsPage(verdicts=tuple(found[:most]), next=more)

    async def _list(self, request: web.Request) -> web.Response:
        caller = await self.caller(request)
        return _json(await self.page(caller, read_query(list(request.query.items()))))

    async def _get(self, request: web.Request) -> web.Response:
        caller = await self.caller(request)
        found = await self.found(caller, request.match_info["id"])
        if found.verdict is None:
            return _json(Running(id=found.id), headers={hdrs.RETRY_AFTER: _RETRY_SECONDS})
        return _json(Decided(id=found.id, verdict=found.verdict))

    async def _post(self, request: web.Request) -> web.Response:
        caller = await self.caller(request)
        question, reference = await read_question(request, self._settings, self._depth)
        if not caller.may_ask_about(reference):
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"the client {caller.name} may not ask about {reference.name}; have the operator "
                "add it to its models under api.clients in gate.yaml",
            )
        if self._stopped.is_set():
            raise _stopping()
        asked = await self._asked(caller, question, reference)
        longest = self._settings.wait_seconds
        if question.wait_seconds is not None:
            longest = min(longest, question.wait_seconds)
        done, _ = await asyncio.wait([asked.verdict], timeout=longest)
        if not done:
            await self._note_running(caller, reference, asked)
            place = {hdrs.LOCATION: f"/v1/verdicts/{asked.id}", hdrs.RETRY_AFTER: _RETRY_SECONDS}
            return _json(Running(id=asked.id), status=HTTPStatus.ACCEPTED, headers=place)
        if asked.verdict.cancelled():
            raise _stopping()
        return _json(Decided(id=asked.id, verdict=asked.verdict.result()))

    async def _asked(self, caller: Caller, question: VerdictRequest, reference: Reference) -> Asked:
        """The check that answers a question, begun where it is not."""
        stack = ExitStack()
        # The gate that the key is of is the one that decides, whatever changes meanwhile.
        gate, epoch = await asyncio.to_thread(_entered, stack, caller)
        assurance = Assurance(question.assurance or gate.assurance)
        context = {"operation": _OPERATION, **question.context, CLIENT_KEY: caller.name}
        # The context has the client, so no other is given the same answer.
        key = (
            epoch,
            gate.mode,
            reference.url,
            assurance,
            json.dumps(context, sort_keys=True),
        )

        def check(name: str) -> Verdict:
            started = time.monotonic()
            with stack:
                verdict = checked(
                    reference, lambda: self._verdict(gate, reference, assurance, context)
                )
            self._observer.decided(verdict, time.monotonic() - started)
            self._verdicts.record(verdict, source="api", tenant=caller.name, name=name)
            return verdict

        begun = False
        try:
            asked = self._checks.ask(key, caller.name, caller.settings.checks, check)
            begun = asked.begun
        except BusyError as busy:
            raise _busy(busy) from busy
        finally:
            if not begun:
                stack.close()
        return asked

    def _verdict(
        self,
        gate: Gate,
        reference: Reference,
        assurance: Assurance,
        context: Mapping[str, JsonValue],
    ) -> Verdict:
        if assurance is Assurance.BYTES:
            gate = copy.copy(gate)
            gate.assurance = assurance
            return gate.check(reference, context=context, on_progress=self._go_on)
        admission = gate.admit(reference, assurance=assurance, context=context)
        admission.snapshot.close()
        return admission.verdict

    def _go_on(self, _: object) -> None:
        """Called while bytes are hashed, which may take hours."""
        if self._stopped.is_set():
            raise StepError(
                ReasonCode.DEADLINE_EXCEEDED,
                "the gate was stopped before every byte was hashed; ask again",
            )

    async def _note_running(self, caller: Caller, reference: Reference, asked: Asked) -> None:
        """Let every process know of a check that goes on, for as long as it does."""
        await asyncio.to_thread(
            self._verdicts.begin, asked.id, reference.url, source="api", tenant=caller.name
        )
        if asked.id not in self._followed:
            task = asyncio.create_task(self._renewed(reference, asked))
            self._followed[asked.id] = task
            task.add_done_callback(lambda _: self._followed.pop(asked.id, None))

    async def _renewed(self, reference: Reference, asked: Asked) -> None:
        while not asked.verdict.done():
            await asyncio.wait([asked.verdict], timeout=RENEW_SECONDS)
            await asyncio.to_thread(self._verdicts.renew, asked.id, reference.url)


def _entered(stack: ExitStack, caller: Caller) -> tuple[Gate, str]:
    """The gate that decides for a client, held by the stack; and its epoch."""
    gate = stack.enter_context(caller.held())
    try:
        return gate, gate.epoch
    except BaseException:
        stack.close()
        raise


def _only(methods: str) -> Handler:
    """Answers what comes by any other method."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise ProblemError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{printable(request.method)} has no meaning here; there are {methods}",
            headers={hdrs.ALLOW: methods},
        )

    return refuse


def _busy(busy: BusyError) -> ProblemError:
    later = {hdrs.RETRY_AFTER: _RETRY_SECONDS}
    if busy.theirs_are_too_many:
        return ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{busy.theirs} checks of yours are at work or waiting, as many as may be (checks of "
            "api.clients); ask again when some are done",
            headers=later,
        )
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the gate has {busy.running} checks at work or waiting, as many as may be; ask again in a "
        "moment",
        headers=later,
    )


def _stopping() -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the gate is about to stop; ask again in a moment",
        headers={hdrs.RETRY_AFTER: _RETRY_SECONDS},
    )


def _unreadable(error: Exception) -> ProblemError:
    _LOG.error("the record of verdicts cannot be read: %s", printable(str(error)))
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the record of verdicts cannot be read now; ask again in a moment, or tell the gate's "
        "operator",
        headers={hdrs.RETRY_AFTER: _RETRY_SECONDS},
    )


def _json(
    model: BaseModel,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[istr, str] | Mapping[str, str] | None = None,
) -> web.Response:
    return web.json_response(
        text=model.model_dump_json(by_alias=True), status=status, headers=headers
    )
