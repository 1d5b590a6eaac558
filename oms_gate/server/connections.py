"""Connections with bounds: how many, and how long one may take to ask, to rest, and to read."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from oms_gate.server.metrics import Metrics
from oms_gate.service_settings import ServiceSettings

_LOG = logging.getLogger(__name__)

SERVER: Final = "oms-gate"
"""What is said of the server in its answers."""

_BUSY = (
    "every connection that this gate may have is in use (service.connections in gate.yaml); "
    "try again in a moment\n"
)
_BUSY_ANSWER: Final = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Server: {SERVER}\r\nRetry-After: 1\r\nConnection: close\r\n"
    f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(_BUSY)}\r\n\r\n{_BUSY}"
).encode()
# What is left of a body that nobody reads is taken for so long, as otherwise the system would cut
# the connection before the client has read its answer.
_LINGER_SECONDS = 1.0
_FORGET: Final = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds

Ended = Callable[[web.BaseRequest, web.StreamResponse | None], None]
"""Told of each request, once its answer was sent; None where it was given up."""


class Door:
    """Lets connections in, and sees the slow ones out. Used within one event loop."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics, ended: Ended) -> None:
        self.settings = settings
        self.ended = ended
        self._metrics = metrics
        self._inside: set[Connection] = set()

    def connection(self, server: web.Server) -> Connection:
        """What is to be used for a new connection, whose requests go to this server."""
        settings = self.settings
        return Connection(
            self,
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=settings.idle_seconds,
            lingering_time=_LINGER_SECONDS,
            max_line_size=settings.header_bytes,
            max_field_size=settings.header_bytes,
            max_headers=settings.headers,
        )

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if len(self._inside) >= self.settings.connections:
            self._metrics.refused.inc()
            return False
        self._inside.add(connection)
        self._metrics.connections.inc()
        return True

    def leave(self, connection: Connection) -> None:
        """It is closed, whether it was let in or not."""
        if connection in self._inside:
            self._inside.remove(connection)
            self._metrics.connections.dec()

    def sweep(self) -> None:
        """End the connections that have taken too long. To be called every second or so."""
        now = time.monotonic()
        for connection in [found for found in self._inside if found.is_overdue(now)]:
            self._metrics.cut.inc()
            connection.abort()

    async def emptied(self, seconds: float) -> None:
        """Close each once it is answered; end those that are not within this time."""
        for connection in list(self._inside):
            connection.close_when_answered()
        until = time.monotonic() + seconds
        while self._inside and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for connection in list(self._inside):
            connection.abort()


class Connection(web.RequestHandler):
    """One connection, from its first byte to the last of its last answer."""

    def __init__(self, door: Door, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._door = door
        self._wire: asyncio.Transport | None = None
        self._answering = False
        self._asking_since: float | None = None
        self._sending: tuple[float, int] | None = None  # since when, and what was to be sent then
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._door.enter(self):
            self._refused = True
            transport.write(_BUSY_ANSWER)
            transport.close()
            return
        self._wire = transport
        self._asking_since = time.monotonic()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._door.leave(self)
        self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._answering and self._asking_since is None:
            self._asking_since = time.monotonic()
        super().data_received(data)

    def resume_writing(self) -> None:
        self._sending = None
        super().resume_writing()

    def began(self) -> None:
        """A request was read, except for its body."""
        self._answering, self._asking_since = True, None

    def log_access(
        self, request: web.BaseRequest, response: web.StreamResponse, _time: float | None
    ) -> None:
        self.ended(request, response)

    def ended(self, request: web.BaseRequest, response: web.StreamResponse | None) -> None:
        """The request was answered; or given up, with no answer."""
        self._answering, self._asking_since = False, None
        self._door.ended(request, response)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun, and cannot be another one any more")
        if status >= 500:
            _LOG.error("a request failed", exc_info=exc)
            text = "the gate itself failed; please report this with its log\n"
        else:
            # What was sent is not shown: it may be the rest of anything.
            text = "this is no request of HTTP/1.1 that the gate can read; correct the client\n"
        response = web.Response(status=status, text=text, headers={"Server": SERVER})
        response.force_close()
        return response

    def is_overdue(self, now: float) -> bool:
        """Whether the client takes too long to ask, or to read what it is sent.

        now: on the clock of `time.monotonic`, in seconds.
        """
        settings, wire = self._door.settings, self._wire
        if wire is None:
            return False
        if self._asking_since is not None and now - self._asking_since > settings.header_seconds:
            return True
        waiting = wire.get_write_buffer_size()
        if not waiting:
            self._sending = None
        elif self._sending is None:
            self._sending = now, waiting
        else:
            since, before = self._sending
            if now - since > settings.stall_seconds:
                self._sending = now, waiting
                least = settings.minimum_bytes_per_second * settings.stall_seconds
                return before - waiting < least
        return False

    def close_when_answered(self) -> None:
        """Take no more requests; close it now, if it is idle."""
        self.close()
        if not self._answering and self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """End it at once; what is still to be sent is forgotten, by the system as well."""
        if self._wire is not None:
            plain = self._wire.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
            self._wire.abort()
