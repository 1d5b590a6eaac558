"""What one process of a service serves: its parts, put together, from their start to their end."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from socket import socket

from aiohttp import web

from oms_gate.config import load_config
from oms_gate.errors import OmsGateError
from oms_gate.following import Following
from oms_gate.gate import Gate
from oms_gate.gateway.observer import Observer
from oms_gate.server.connections import Door
from oms_gate.server.metrics import Metrics
from oms_gate.server.observers import Telling
from oms_gate.server.parts import Recorder, Setting, parts
from oms_gate.server.requests import Reception
from oms_gate.server.task import BACKLOG, REPORT_SECONDS
from oms_gate.server.tls import ServerTls, follow
from oms_gate.server.tracing import open_tracing

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = REPORT_SECONDS
_CERTIFICATE_SECONDS = 2.0
_READY_SECONDS = 5.0
# For handlers whose connections are gone; aiohttp waits up to twice as long.
_END_SECONDS = 1.0


class Serving:
    """One process of a service. Used within one event loop."""

    def __init__(self, config_file: Path, cache: Path, instance: str) -> None:
        """
        cache: the folder of verified files.
        instance: what the service calls itself in ``Via`` headers.

        Raises:
            OmsGateError: the configuration cannot be used.
        """
        self._file = config_file
        self._cache = cache
        self.config = load_config(config_file)
        self._gates = Following(config_file, Gate.from_config)
        self._metrics = Metrics()
        self._tracing = open_tracing()
        settings = self.config.service
        self._reception = Reception(settings, self._metrics, self._tracing, instance)
        self._door = Door(settings, self._metrics, self._reception.ended)
        self._ending = asyncio.Event()
        self._unready: str | None = None

    async def serve(
        self, listener: socket, tls: ServerTls | None, report: Callable[[str | None], None]
    ) -> None:
        """Answer until `end` is called, and finish what is being answered then.

        listener: a socket that listens; other processes may have it as well.
        report: told every second or so why no request should come now; None where they may.

        Raises:
            OmsGateError: a part cannot be started.
        """
        setting = Setting(self.config, self._file, self._gates, self._cache, self._observer)
        async with AsyncExitStack() as stack:
            if self._tracing is not None:
                stack.push_async_callback(asyncio.to_thread, self._tracing.close)
            made = parts(setting)
            for part in made:
                await part.start()
                stack.push_async_callback(part.stop)
            routes = [route for part in made for route in part.routes()]
            runner = web.AppRunner(
                self._reception.application(routes), access_log=None, shutdown_timeout=_END_SECONDS
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            web_server = runner.server
            assert web_server is not None
            server = await asyncio.get_running_loop().create_server(
                lambda: self._door.connection(web_server),
                sock=listener,
                backlog=BACKLOG,
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=None if tls is None else self.config.service.header_seconds,
                ssl_shutdown_timeout=None if tls is None else self.config.service.header_seconds,
            )
            stack.callback(server.close)
            if tls is not None:
                stack.callback(asyncio.create_task(follow(tls, _CERTIFICATE_SECONDS)).cancel)
            self._unready = await asyncio.to_thread(self._what_is_missing)
            for duty in (self._tell(report), self._look()):
                stack.callback(asyncio.create_task(duty).cancel)
            await self._ending.wait()
            server.close()
            await self._door.emptied(self.config.service.drain_seconds)

    def end(self) -> None:
        """Accept no more connections, and let `serve` come to its end."""
        self._ending.set()

    def reload(self) -> None:
        """Look whether the configuration was changed. It may take a moment."""
        if self._gates.look() is not None:
            return  # It was logged.
        with suppress(OmsGateError):
            now = load_config(self._file)
            for name in ("service", "gateway", "api", "events"):
                if getattr(now, name) != getattr(self.config, name):
                    _LOG.warning("%s in %s was changed; restart to use it", name, self._file)

    def _observer(self, source: str, record: Recorder | None) -> Observer:
        return Telling(source, self._metrics, self._tracing, record)

    async def _tell(self, report: Callable[[str | None], None]) -> None:
        """Say how this process is, and end what takes too long."""
        while True:
            self._door.sweep()
            self._metrics.stale.set(self._gates.mistake is not None)
            report(self._unready)
            await asyncio.sleep(_TICK_SECONDS)

    async def _look(self) -> None:
        """Look whether requests can be answered. That may have to wait for a thread."""
        while True:
            await asyncio.sleep(_READY_SECONDS)
            self._unready = await asyncio.to_thread(self._what_is_missing)

    def _what_is_missing(self) -> str | None:
        try:
            with self._gates.held(), tempfile.TemporaryFile(dir=self._cache):
                return None
        except OmsGateError as error:
            return f"no gate can be made: {error}"
        except OSError as error:
            return f"the cache {self._cache} cannot be written to: {error}"
