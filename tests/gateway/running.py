"""A gateway that answers in this process, and plain requests to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.gateway.app import Gateway
from oms_gate.gateway.observer import Transfer
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict


@dataclass
class Told:
    """An `Observer` that remembers.

    streamed: bytes of each answer that was sent piece by piece, as aiohttp counts them.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    looked: list[tuple[str, bool]] = field(default_factory=list)
    bytes: int = 0
    transfers: list[Transfer] = field(default_factory=list)
    failures: list[ReasonCode] = field(default_factory=list)
    streamed: list[int] = field(default_factory=list)

    def decided(self, verdict: Verdict, seconds: float) -> None:  # noqa: ARG002
        self.verdicts.append(verdict)

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        self.looked.append((what, hit))

    def fetched(self, transfer: Transfer) -> None:
        self.transfers.append(transfer)
        self.bytes += transfer.hashed_bytes

    def upstream_failed(self, code: ReasonCode) -> None:
        self.failures.append(code)


@dataclass(frozen=True)
class Running:
    """A gateway at work."""

    endpoint: str
    told: Told

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request, as it is written here."""
        parts = urlsplit(self.endpoint)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@contextmanager
def running(config: GateConfig, folder: Path) -> Iterator[Running]:
    """A gateway with a gate of this configuration, and its caches below a folder."""
    told = Told()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gateway", daemon=True)
    thread.start()
    with Gate.from_config(config) as gate:

        @web.middleware
        async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            if response.prepared:
                told.streamed.append(request.writer.output_size)
            return response

        async def begin() -> tuple[Gateway, web.AppRunner]:
            gateway = Gateway(config, gate.held, folder, told)
            app = web.Application(middlewares=[counted])
            app.add_routes(gateway.routes())
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await gateway.start()
            return gateway, runner

        async def end(gateway: Gateway, runner: web.AppRunner) -> None:
            await gateway.stop()
            await runner.cleanup()

        gateway, runner = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
        try:
            yield Running(f"http://127.0.0.1:{runner.addresses[0][1]}", told)
        finally:
            asyncio.run_coroutine_threadsafe(end(gateway, runner), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()
