"""Clients that come back for the rest of a file, and an upstream that lies when it is told to."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from tests.peers.faults import CallDuring, Drop, Fault, Truncate, WrongBytes
from tests.peers.hub import HubStandIn

Way = Literal["range", "if-range", "if-match", "by-tag", "anew"]
"""How a client comes back: as ``curl -C -`` and huggingface_hub within one download do; with the
entity tag that it was given, in either header; as huggingface_hub does in its next download, with
a part by entity tag; or from the start."""

WAYS: tuple[Way, ...] = ("range", "if-range", "if-match", "by-tag", "anew")

_BLOCK = 64 * 1024
_LONGEST_SECONDS = 10


@dataclass(frozen=True)
class Received:
    """An answer, as far as it came.

    whole: whether it ended where its headers say.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    whole: bool


def receive(
    endpoint: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    most: int | None = None,
) -> Received:
    """One request; of the answer no more than `most` bytes of the body are waited for."""
    with opened(endpoint) as connection:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        content = bytearray()
        with suppress(ConnectionError, http.client.IncompleteRead):
            while most is None or len(content) < most:
                block = response.read1(_BLOCK if most is None else min(_BLOCK, most - len(content)))
                if not block:
                    break
                content += block
        whole = method == "HEAD" or len(content) == int(response.headers["Content-Length"])
        return Received(response.status, dict(response.headers), bytes(content), whole)


def eventually(attempt: Callable[[], bool]) -> None:
    """Try again for a while, as what clients left goes on by itself."""
    until = time.monotonic() + _LONGEST_SECONDS
    while not attempt():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def opened(endpoint: str) -> Iterator[http.client.HTTPConnection]:
    """A connection of its own."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(
        str(parts.hostname), parts.port, timeout=_LONGEST_SECONDS
    )
    try:
        yield connection
    finally:
        connection.close()


@dataclass
class Client:
    """A download of one file, by the rules of resuming.

    content: what it has of the file.
    complete: whether it takes that for the file.
    tag: the entity tag that it was given with the beginning.
    """

    path: str
    way: Way
    content: bytearray = field(default_factory=bytearray)
    complete: bool = False
    tag: str = ""
    _parts: dict[str, bytearray] = field(default_factory=dict)

    def attempt(self, endpoint: str, most: int | None = None) -> Received:
        """Ask for what is missing, and go away after so many bytes of it."""
        self.complete = False
        if self.way == "by-tag":
            self._choose_part(receive(endpoint, self.path, method="HEAD"))
        if self.way == "anew":
            self.content = bytearray()
        headers = {}
        if self.content:
            headers["Range"] = f"bytes={len(self.content)}-"
            named = {"if-range": "If-Range", "if-match": "If-Match"}.get(self.way)
            if named is not None:
                headers[named] = self.tag
        answer = receive(endpoint, self.path, headers, most=most)
        if answer.status == 200:
            self.content[:] = answer.content
            self.tag = answer.headers["ETag"]
            self.complete = answer.whole
        elif answer.status == 206:
            place, _, total = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")
            assert place == f"{len(self.content)}-{int(total) - 1}"
            self.content += answer.content
            self.complete = answer.whole
        return answer

    def _choose_part(self, head: Received) -> None:
        if head.status == 200:
            self.content = self._parts.setdefault(head.headers["ETag"], bytearray())


@dataclass(frozen=True)
class Behaviour:
    """What upstream does with the next transfers of a file, from the start of the file or later.

    wrong: from which of the file's bytes on the bytes are others.
    cut: after how many bytes of an answer the connection is closed.
    paused: after how many bytes of an answer it waits, until `Upstream.go_on`.
    down: whether there is no answer at all.
    """

    wrong: int | None = None
    cut: int | None = None
    paused: int | None = None
    down: bool = False

    def faults(self, go_on: threading.Event) -> list[Fault]:
        found: list[Fault] = [Drop()] if self.down else []
        if self.wrong is not None:
            found.append(WrongBytes(self.wrong))
        if self.paused is not None:
            found.append(CallDuring(lambda: go_on.wait(_LONGEST_SECONDS), after=self.paused))
        if self.cut is not None:
            found.append(Truncate(self.cut))
        return found


class Upstream:
    """The files of a stand-in, which are as they are told to be."""

    def __init__(self, hub: HubStandIn) -> None:
        self._hub = hub
        self._pauses: list[threading.Event] = []

    def behave(self, behaviour: Behaviour | None = None) -> None:
        """Be like that from the next request on; honest, by default."""
        self._pauses.append(threading.Event())
        self._hub.faults.clear()
        for fault in (behaviour or Behaviour()).faults(self._pauses[-1]):
            self._hub.inject(fault, "*.safetensors", origin="cdn")

    def go_on(self) -> None:
        """End all pauses."""
        while self._pauses:
            self._pauses.pop().set()
