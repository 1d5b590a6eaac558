"""A server on a socket of its own that answers as a test wants, and what an engine makes of it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from oms_gate.errors import PolicyError
from oms_gate.policy.server import ServerEngine
from oms_gate.verdict import Reason
from tests.policy.opa_process import TOKEN
from tests.policy.samples import document

SECONDS = 0.4
GOOD = json.dumps({"result": {"allow": True}}).encode()

Behaviour = Callable[[socket.socket], None]


@dataclass
class HostileServer:
    """Its address, and the requests that it has read (head and body)."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer(body: bytes, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answer properly."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return lambda connection: connection.sendall("\r\n".join([*head, "", ""]).encode() + body)


def raw(*parts: bytes) -> Behaviour:
    """Send these bytes and hang up."""

    def behave(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


@contextmanager
def serve(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
    """Serve until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(listener.getsockname()[1])
        open_connections: list[socket.socket] = []

        def handle(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                open_connections.append(connection)
                server.requests.append(_read(connection))
                behaviour(connection)
                connection.close()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=handle, args=(connection,), daemon=True)
                    threads.append(thread)
                    thread.start()

        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in open_connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(timeout=5)


def _read(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += _more(connection)
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(body) < sum(lengths):
        body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionResetError
    return received


def failure(engine: ServerEngine) -> Reason:
    """Why this engine does not decide."""
    with pytest.raises(PolicyError) as caught:
        engine.decide(document())
    engine.close()
    return caught.value.reason


def failure_at(behaviour: Behaviour) -> Reason:
    """Why an engine does not decide when its server behaves so: found out in time, asked once."""
    with serve(behaviour) as server:
        start = time.monotonic()
        reason = failure(ServerEngine(server.url, token=TOKEN, timeout=SECONDS, retries=0))
        assert time.monotonic() - start < SECONDS + 2
        assert len(server.requests) == 1
    return reason
