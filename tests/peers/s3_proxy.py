"""A pass-through proxy in front of an S3 server: it logs each request, and can misbehave.

Requests are passed on byte for byte, Host included: signature v4 covers it. Bodies are streamed.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

from tests.peers.content import BLOCK
from tests.peers.faults import Faults
from tests.peers.wire import Origin, Request, RequestRecord, Response

_HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})


class S3Proxy:
    """The proxy; `presign(bucket, key, version_id)` makes a URL that reads a whole object.

    `faults` are those of `tests.peers.faults`, `requests` the log, `origin` its server.
    """

    def __init__(self, backend_url: str, presign: Callable[[str, str, str | None], str]) -> None:
        self._backend = urlsplit(backend_url).netloc
        self._presign = presign
        self._requests: list[RequestRecord] = []
        self.faults = Faults()
        answer = self.faults.around(self._forward, _key_of)
        self.origin = Origin("s3", answer, self._requests.append)

    @property
    def requests(self) -> list[RequestRecord]:
        """What the server was asked since the last `clear`; `file` is the key."""
        return list(self._requests)

    def clear(self) -> None:
        """Empty the log."""
        self._requests.clear()

    def _forward(self, request: Request) -> Response:
        target, headers = request.target, dict(request.headers)
        if request.range_ignored and "range" in headers:
            # The client's signature covers the Range header, so the whole object needs another.
            bucket, _, key = request.record.path.strip("/").partition("/")
            url = urlsplit(self._presign(bucket, key, request.query.get("versionId")))
            target, headers = f"{url.path}?{url.query}", {"host": url.netloc}
        chunked = "chunked" in headers.get("transfer-encoding", "")
        connection = http.client.HTTPConnection(self._backend, timeout=60)
        with ExitStack() as held:
            held.callback(connection.close)
            connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            if chunked:
                connection.putheader("transfer-encoding", "chunked")
            connection.endheaders(request.body, encode_chunked=chunked)
            answer = held.enter_context(connection.getresponse())
            length = answer.headers.get("Content-Length")
            return Response(
                answer.status,
                {
                    name: value
                    for name, value in answer.headers.items()
                    if name.lower() not in _HOP_BY_HOP | {"content-length"}
                },
                _blocks(answer),
                int(length) if length is not None else None,
                cleanup=held.pop_all().close,
            )


def _key_of(request: Request) -> str | None:
    return request.record.path.strip("/").partition("/")[2] or None


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while block := answer.read1(BLOCK):
        yield block
