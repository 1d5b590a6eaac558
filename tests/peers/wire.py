"""One HTTP/1.1 origin on 127.0.0.1: the server under every stand-in, which logs what is asked.

It speaks keep-alive, answers from large blocks, and can break an answer off or let it trickle.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.peers.content import Content, blocks_of, entity_tag, size_of

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_LINE_BREAKS = re.compile(r"[\r\n\0]+")
_BODILESS = frozenset({204, 304})


class ConnectionDropped(Exception):  # noqa: N818 - an event that an origin raises on purpose
    """Raised by whoever answers, to close the connection without a word."""


@dataclass
class RequestRecord:
    """What one client asked, and what it was given.

    path is decoded; header names are in lower case; `file` is the path inside the repository or
    bucket, where the request is about one; `sent` counts the bytes of the answer's body.
    """

    origin: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    file: str | None = None
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")

    @property
    def if_match(self) -> str | None:
        """The If-Match header."""
        return self.headers.get("if-match")

    @property
    def authorized(self) -> bool:
        """Whether credentials came along in the Authorization header."""
        return "authorization" in self.headers


class Request:
    """A request that is to be answered."""

    def __init__(
        self, record: RequestRecord, target: str, body: Iterator[bytes], stopping: threading.Event
    ) -> None:
        self.record = record
        self.method = record.method
        self.headers = record.headers
        self.query = record.query
        self.target = target
        self.quoted_path = target.partition("?")[0]
        self.body = body
        self.stopping = stopping
        self.range_ignored = False

    @property
    def range(self) -> str | None:
        """The Range header, unless a fault makes the origin blind to it."""
        return None if self.range_ignored else self.record.range

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.body)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.read())


@dataclass
class Response:
    """An answer.

    length is the Content-Length, None for a chunked body. After `cut` bytes of the body the
    connection is closed; `bytes_per_second` slows the body down; `cleanup` runs at the end.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    blocks: Iterable[bytes | memoryview] = ()
    length: int | None = 0
    cut: int | None = None
    bytes_per_second: float | None = None
    cleanup: Callable[[], None] | None = None

    @classmethod
    def of(cls, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """An answer of a few bytes."""
        return cls(status, dict(headers or {}), [body], len(body))

    @classmethod
    def json(cls, data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """An answer in JSON."""
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls.of(json.dumps(data).encode(), status, kind | (headers or {}))


Answer = Callable[[Request], Response]


def serve(request: Request, content: Content, headers: dict[str, str]) -> Response:
    """Answer a GET or HEAD from `content`, honouring Range and If-Match (RFC 9110)."""
    size = size_of(content)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "ETag": entity_tag(content),
    } | headers
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != "*" and headers["ETag"] not in re.split(r"\s*,\s*", wanted):
        return Response(412, headers)
    match = _RANGE.fullmatch(request.range or "")
    first, last = match.groups() if match else ("", "")
    if not first and not last:
        return Response(200, headers, blocks_of(content), size)
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    else:
        start, stop = max(size - int(last), 0), size
    if start >= stop:
        return Response(416, headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(206, headers, blocks_of(content, start, stop), stop - start)


class Origin:
    """A server on a port of its own, which may be stopped and started again on that port.

    `host` is how its URL calls 127.0.0.1, where it listens.
    """

    def __init__(
        self,
        name: str,
        answer: Answer,
        log: Callable[[RequestRecord], None],
        host: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.host = host
        self.answer = answer
        self.log = log
        self.failures: list[Exception] = []
        self.stopping = threading.Event()
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """``http://host:port``, also while it is stopped."""
        return f"http://{self.host}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name=f"peer-{self.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], origin: Origin) -> None:
        super().__init__(address, _Handler)
        self.origin = origin
        self._open: dict[socket.socket, threading.Thread] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a word."""

    def hang_up(self) -> None:
        for connection, thread in list(self._open.items()):
            with contextlib.suppress(OSError):  # it may be closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _exchange(self) -> None:
        origin = self.server.origin
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        record = RequestRecord(
            origin.name,
            self.command,
            unquote(path),
            dict(parse_qsl(query, keep_blank_values=True)),
            headers,
        )
        origin.log(record)
        body = _body(self.rfile, headers)
        try:
            response = origin.answer(Request(record, self.path, body, origin.stopping))
        except (ConnectionDropped, ConnectionError):
            self.close_connection = True
            return
        except Exception as failure:
            origin.failures.append(failure)
            response = Response.of(f"the stand-in failed: {failure!r}".encode(), 500)
        try:
            for _ in body:
                pass  # what nobody read would be taken for the next request
            self._send(record, response)
        except OSError:
            self.close_connection = True
        finally:
            if response.cleanup:
                response.cleanup()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _exchange

    def _send(self, record: RequestRecord, response: Response) -> None:
        headers = {"Date": self.date_time_string()} | response.headers
        if response.status in _BODILESS:
            response.blocks = ()
        elif response.length is None:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(response.length)
        record.status = response.status
        self.connection.sendall(_head(response.status, headers))
        if self.command == "HEAD" or response.status in _BODILESS:
            return
        for block in _paced(response, self.server.origin.stopping):
            # Counted first, so that a client that has the byte can rely on the count.
            record.sent += len(block)
            if response.length is None:
                self.connection.sendall(b"%x\r\n" % len(block))
            self.connection.sendall(block)
            if response.length is None:
                self.connection.sendall(b"\r\n")
        if response.cut is not None or self.server.origin.stopping.is_set():
            self.close_connection = True
        elif response.length is None:
            self.connection.sendall(b"0\r\n\r\n")
        elif record.sent < response.length:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The record is the log."""


def _head(status: int, headers: dict[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    # A hostile file name must not be able to end a header line.
    lines += [f"{name}: {_LINE_BREAKS.sub(' ', value)}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _body(stream: BufferedIOBase, headers: dict[str, str]) -> Iterator[bytes]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := int(stream.readline().split(b";")[0], 16):
            yield from _exactly(stream, size)
            stream.readline()
        while stream.readline().strip():
            pass  # trailers
    else:
        yield from _exactly(stream, int(headers.get("content-length", 0)))


def _exactly(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size:
        block = stream.read(min(size, 1024 * 1024))
        if not block:
            raise ConnectionResetError("the client went away in the middle of its request")
        size -= len(block)
        yield block


def _paced(response: Response, stopping: threading.Event) -> Iterator[bytes | memoryview]:
    """The blocks as the answer's `cut` and `bytes_per_second` let them out, until the stop."""
    left = response.cut
    rate = response.bytes_per_second
    for whole in response.blocks:
        view = memoryview(whole)
        step = max(1, int(rate / 10)) if rate else len(view)
        for offset in range(0, len(view), max(step, 1)):
            block = view[offset : offset + step]
            if left is not None:
                block = block[:left]
                left -= len(block)
            if not block or stopping.is_set():
                return
            yield block
            if rate and stopping.wait(len(block) / rate):
                return
