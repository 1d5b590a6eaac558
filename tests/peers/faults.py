"""Faults as data: what a hostile or broken server does, for the Hub stand-in and the S3 proxy.

A fault is injected for requests that match a path (a glob over the URL's decoded path, or over
the file's path inside its repository or bucket), an origin and a method; from the `skip`-th match
on; `times` times or for good. Several faults may hit one request, in the order of injection.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain, count
from typing import Any, ClassVar, Literal

from tests.peers.content import BLOCK, Content, blocks_of, size_of
from tests.peers.wire import Answer, ConnectionDropped, Request, Response

_serial = count(1)


class RequestFault:
    """Strikes before the origin has seen the request."""

    def strike(self, request: Request) -> Response | None:
        """An answer in place of the origin's, or None to let it answer."""
        raise NotImplementedError


class AnswerFault:
    """Spoils the origin's answer, where it has one of these statuses.

    By default that is an answer which has a file's bytes; `on_head`: one without a body will do.
    """

    statuses: ClassVar[Container[int]] = (200, 206)
    on_head: ClassVar[bool] = False

    def spoil(self, response: Response) -> None:
        """Change the answer in place."""
        raise NotImplementedError


Fault = RequestFault | AnswerFault


@dataclass(frozen=True)
class Status(RequestFault):
    """Answer with this status instead; see also `too_many_requests` and `refusal`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def strike(self, _request: Request) -> Response:
        return Response.of(self.body, self.status, dict(self.headers))


def too_many_requests(retry_after: int) -> Status:
    """429 with Retry-After, in seconds."""
    return Status(429, {"Retry-After": str(retry_after)})


def refusal(status: int, error_code: str, message: str = "refused by the stand-in") -> Status:
    """A refusal as the Hub words it: status, X-Error-Code and X-Error-Message."""
    return Status(status, {"X-Error-Code": error_code, "X-Error-Message": message})


@dataclass(frozen=True)
class Redirect(RequestFault):
    """Send the client to another place: another host, an internal address, a ``file:`` URL."""

    location: str
    status: int = 302

    def strike(self, _request: Request) -> Response:
        return Response(self.status, {"Location": self.location})


@dataclass(frozen=True)
class Stall(RequestFault):
    """Say nothing for so many seconds, then answer."""

    seconds: float

    def strike(self, request: Request) -> None:
        request.stopping.wait(self.seconds)


@dataclass(frozen=True)
class Drop(RequestFault):
    """Close the connection without an answer."""

    def strike(self, _request: Request) -> None:
        raise ConnectionDropped


@dataclass(frozen=True)
class Hang(RequestFault):
    """Say nothing for so many seconds, then close the connection: the request has no effect."""

    seconds: float

    def strike(self, request: Request) -> None:
        request.stopping.wait(self.seconds)
        raise ConnectionDropped


@dataclass(frozen=True)
class IgnoreRange(RequestFault):
    """Answer a range request with 200 and the whole file."""

    def strike(self, request: Request) -> None:
        request.range_ignored = True


@dataclass(frozen=True)
class WrongContentRange(AnswerFault):
    """The right bytes under a Content-Range that is `shift` bytes off."""

    statuses = (206,)
    shift: int = 1

    def spoil(self, response: Response) -> None:
        bounds, _, size = response.headers["Content-Range"].removeprefix("bytes ").partition("/")
        first, last = (int(bound) + self.shift for bound in bounds.split("-"))
        response.headers["Content-Range"] = f"bytes {first}-{last}/{size}"


@dataclass(frozen=True)
class WrongBytes(AnswerFault):
    """The right headers with other bytes from the file's `after`-th byte on."""

    after: int = 0

    def spoil(self, response: Response) -> None:
        response.blocks = self._swapped(response.blocks, _first_byte(response))

    def _swapped(
        self, blocks: Iterable[bytes | memoryview], position: int
    ) -> Iterator[bytes | memoryview]:
        table = bytes(255 - value for value in range(256))
        for block in blocks:
            keep = max(0, min(len(block), self.after - position))
            yield bytes(block[:keep]) + bytes(block[keep:]).translate(table)
            position += len(block)


@dataclass(frozen=True)
class BodyLength(AnswerFault):
    """A body that is `delta` bytes longer or shorter, with a Content-Length to match."""

    delta: int

    def spoil(self, response: Response) -> None:
        length = max(0, (response.length or 0) + self.delta)
        response.blocks = _first(length, chain(response.blocks, _zeros()))
        response.length = length


@dataclass(frozen=True)
class Truncate(AnswerFault):
    """Close the connection after so many bytes of the body."""

    after: int

    def spoil(self, response: Response) -> None:
        response.cut = self.after


@dataclass(frozen=True)
class ChangingEtag(AnswerFault):
    """Another ETag in every answer."""

    statuses = range(200, 400)
    on_head = True

    def spoil(self, response: Response) -> None:
        _set_header(response, "ETag", f'"{next(_serial):032x}"')


@dataclass(frozen=True)
class SetHeaders(AnswerFault):
    """Set headers of the answer, or remove those that are None."""

    statuses = range(200, 400)
    on_head = True
    headers: Mapping[str, str | None]

    def spoil(self, response: Response) -> None:
        for name, value in self.headers.items():
            _set_header(response, name, value)


@dataclass(frozen=True)
class Gzip(AnswerFault):
    """Compress the body, whatever the client accepts."""

    def spoil(self, response: Response) -> None:
        packed = gzip.compress(b"".join(response.blocks))
        response.headers["Content-Encoding"] = "gzip"
        response.blocks, response.length = [packed], len(packed)


@dataclass(frozen=True)
class GzipBomb(AnswerFault):
    """Replace the body by a few bytes that unpack to `size` zeros."""

    size: int

    def spoil(self, response: Response) -> None:
        packed = gzip.compress(bytes(self.size))
        response.headers["Content-Encoding"] = "gzip"
        response.blocks, response.length = [packed], len(packed)


@dataclass(frozen=True)
class Slow(AnswerFault):
    """The right body, at so many bytes a second."""

    bytes_per_second: float = 1

    def spoil(self, response: Response) -> None:
        response.bytes_per_second = self.bytes_per_second


@dataclass(frozen=True)
class Endless(AnswerFault):
    """After the right bytes come zeros that never end; as fast as they are taken, or slowly."""

    bytes_per_second: float | None = None

    def spoil(self, response: Response) -> None:
        response.blocks, response.length = chain(response.blocks, _zeros()), None
        response.bytes_per_second = self.bytes_per_second


@dataclass(frozen=True)
class Body(AnswerFault):
    """Another body with the same headers: malformed JSON, or a listing of any size."""

    content: Content

    def spoil(self, response: Response) -> None:
        response.blocks, response.length = blocks_of(self.content), size_of(self.content)


@dataclass(frozen=True)
class EditJson(AnswerFault):
    """A listing that lies: `edit` gets the decoded JSON and returns what is sent."""

    edit: Callable[[Any], Any]

    def spoil(self, response: Response) -> None:
        body = json.dumps(self.edit(json.loads(b"".join(response.blocks)))).encode()
        response.blocks, response.length = [body], len(body)


@dataclass(frozen=True)
class CallBefore(RequestFault):
    """Run `action` when the request has come, before the origin looks at anything."""

    action: Callable[[], object]

    def strike(self, _request: Request) -> None:
        self.action()


@dataclass(frozen=True)
class CallDuring(AnswerFault):
    """Run `action` when the origin has made up its answer and `after` bytes of it are sent."""

    statuses = range(100, 600)
    on_head = True
    action: Callable[[], object]
    after: int = 0

    def spoil(self, response: Response) -> None:
        if self.after == 0:
            self.action()
        else:
            response.blocks = self._interrupted(response.blocks)

    def _interrupted(self, blocks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        sent = 0
        for block in blocks:
            if sent < self.after <= sent + len(block):
                yield block[: self.after - sent]
                self.action()
                yield block[self.after - sent :]
            else:
                yield block
            sent += len(block)


@dataclass
class _Rule:
    fault: Fault
    path: str
    origin: str | None
    method: str | None
    skip: int
    times: int | None

    def matches(self, request: Request) -> bool:
        record = request.record
        return (
            self.origin in (None, record.origin)
            and self.method in (None, record.method)
            and any(fnmatchcase(name, self.path) for name in (record.path, record.file) if name)
        )

    def due(self) -> bool:
        if self.skip:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class Faults:
    """The faults that are injected into the origins of one stand-in."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def inject(
        self,
        fault: Fault,
        path: str = "*",
        *,
        origin: Literal["api", "cdn", "s3"] | None = None,
        method: str | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> None:
        """Let `fault` strike the requests that match; see the module's text."""
        with self._lock:
            self._rules.append(_Rule(fault, path, origin, method, skip, times))

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._rules.clear()

    def around(self, answer: Answer, file_of: Callable[[Request], str | None]) -> Answer:
        """`answer` with the faults; `file_of` says which file a request is about."""

        def answered(request: Request) -> Response:
            request.record.file = file_of(request)
            for fault in self._due(request):
                if response := fault.strike(request):
                    return response
            response = answer(request)
            for spoiler in self._due_after(request, response):
                spoiler.spoil(response)
            return response

        return answered

    def _due(self, request: Request) -> list[RequestFault]:
        with self._lock:
            return [
                rule.fault
                for rule in self._rules
                if isinstance(rule.fault, RequestFault) and rule.matches(request) and rule.due()
            ]

    def _due_after(self, request: Request, response: Response) -> list[AnswerFault]:
        with self._lock:
            return [
                rule.fault
                for rule in self._rules
                if isinstance(rule.fault, AnswerFault)
                and rule.matches(request)
                and response.status in rule.fault.statuses
                and (rule.fault.on_head or request.method != "HEAD")
                and rule.due()
            ]


def _first_byte(response: Response) -> int:
    if response.status != 206:
        return 0
    return int(response.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])


def _first(length: int, blocks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for block in blocks:
        if length <= 0:
            return
        yield block[:length]
        length -= len(block)


def _zeros() -> Iterator[bytes]:
    zeros = bytes(BLOCK)
    while True:
        yield zeros


def _set_header(response: Response, name: str, value: str | None) -> None:
    for present in [key for key in response.headers if key.lower() == name.lower()]:
        del response.headers[present]
    if value is not None:
        response.headers[name] = value
