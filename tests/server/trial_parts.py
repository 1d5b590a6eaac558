"""Parts of a service that do what clients of a gateway can run into, and little besides."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from oms_gate import __version__
from oms_gate.errors import ConfigError
from oms_gate.gateway.observer import Transfer
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.parts import Part, Setting
from oms_gate.server.requests import CLIENT
from oms_gate.stores.connections import Connections
from oms_gate.verdict import Model, Reason, Verdict

CHUNK = b"x" * 1024
VERDICT = Verdict(
    outcome="denied",
    model=Model(url="hf://acme/model@0123", name="hf://acme/model", revision="0123"),
    reasons=(Reason(code=ReasonCode.SIGNATURE_MISSING, message="acme/model is not signed"),),
    timings={"snapshot": 0.25, "bundle": 0.5},
    checked_at=datetime(2026, 1, 1, tzinfo=UTC),
    gate_version=__version__,
)


def parts(setting: Setting) -> Sequence[Part]:
    return _Trial(setting), _Rest()


class _Trial:
    def __init__(self, setting: Setting) -> None:
        self._observer = setting.observer("api", None)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/process", self._process),
            web.get("/modules", self._modules),
            web.get("/stream/{count}/{seconds}", self._stream, name="stream"),
            web.get("/bytes/{count}", self._bytes),
            web.get("/hang", self._hang),
            web.get("/fail", self._fail),
            web.get("/break", self._break),
            web.post("/read", self._read),
            web.get("/decide", self._decide),
            web.get("/log", self._log),
            web.get("/ask", self._ask),
        ]

    async def start(self) -> None:
        if os.environ.get("TRIAL_FAILS"):
            raise ConfigError("this part cannot begin")

    async def stop(self) -> None:
        logging.getLogger("oms_gate.trial").info("stopped")

    async def _process(self, _: web.Request) -> web.Response:
        return web.Response(text=str(os.getpid()))

    async def _modules(self, _: web.Request) -> web.Response:
        return web.json_response(sorted(sys.modules))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        count = int(request.match_info["count"])
        response = web.StreamResponse()
        response.content_length = count * len(CHUNK)
        await response.prepare(request)
        for _ in range(count):
            await response.write(CHUNK)
            await asyncio.sleep(float(request.match_info["seconds"]))
        return response

    async def _bytes(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.match_info["count"]))

    async def _hang(self, _: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def _fail(self, _: web.Request) -> web.Response:
        raise KeyError("Authorization: Bearer hf_abcdefgh")

    async def _break(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"begun")
        raise web.HTTPForbidden(text="too late")

    async def _read(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def _decide(self, request: web.Request) -> web.Response:
        self._observer.decided(VERDICT, 1.0)
        self._observer.looked_up("decision", hit=True)
        self._observer.fetched(Transfer("hf://acme/m", "a.json", 4096, 0.5, None))
        self._observer.fetched(
            Transfer("hf://acme/m", "b.json", 0, 0.1, ReasonCode.STORE_UNAVAILABLE)
        )
        self._observer.upstream_failed(ReasonCode.STORE_UNAVAILABLE)
        request[CLIENT] = "team-a\u202e"
        headers = {"X-OMS-Gate-Verdict": "denied", "X-OMS-Gate-Reason": "signature.missing"}
        return web.Response(status=403, headers=headers)

    async def _log(self, _: web.Request) -> web.Response:
        log = logging.getLogger("somebody.else")
        log.info("nobody asked for this")
        log.warning(
            "GET https://cdn.example/x?X-Amz-Signature=topsecret with %s\nforged \u202eline",
            {"authorization": "Bearer hf_abcdefgh"},
        )
        return web.Response()

    async def _ask(self, request: web.Request) -> web.Response:
        """Ask what is named, as the stores of the gate do."""
        connections = Connections(Limits(), frozenset({"127.0.0.1"}))
        answer = await asyncio.to_thread(connections.request, "GET", request.query["url"], {})
        body = await asyncio.to_thread(answer.read)
        connections.close()
        return web.Response(status=answer.status, body=body)


class _Rest:
    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{path:.*}", self._path, name="everything")]

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def _path(self, request: web.Request) -> web.Response:
        return web.json_response({"path": request.match_info["path"]})
