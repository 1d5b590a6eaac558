"""Bodies that are streamed to a server: with their length, and anew for each attempt."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import Body
from oms_gate.stores.http import Answer, HttpReader
from oms_gate.stores.redirects import RemoteFile
from tests.stores.serving import QuietHandler, certify_localhost, server_context, serving

CHUNK = bytes(range(256)) * 4096
COUNT = 5


class Taking(QuietHandler):
    """Answers with the digest of what it was sent, but for the first time."""

    protocol_version = "HTTP/1.1"
    failures = 1

    def do_PUT(self) -> None:
        assert self.headers["Transfer-Encoding"] is None
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            got = self.rfile.read(min(left, 1 << 16))
            left -= len(got)
            digest.update(got)
        type(self).failures -= 1
        body = digest.hexdigest().encode()
        self.send_response(503 if self.failures >= 0 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Sleeping(QuietHandler):
    """Takes nothing of what it is sent."""

    def do_PUT(self) -> None:
        time.sleep(3)


def chunks() -> Iterator[memoryview]:
    """In memory that is used again, as a store gives them."""
    memory = memoryview(bytearray(len(CHUNK)))
    for _ in range(COUNT):
        memory[:] = CHUNK
        yield memory


def sent(url: str, limits: Limits, body: Body) -> Answer:
    reader = HttpReader(limits, frozenset({"localhost"}))
    try:
        return reader.answer(RemoteFile("x", lambda: url), body)
    finally:
        reader.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_body_in_chunks(tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = None
    if tls:
        certificate = certify_localhost(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        context = server_context(certificate)
    monkeypatch.setattr(Taking, "failures", 1)
    with serving(Taking, context) as port:
        url = f"http{'s' if tls else ''}://localhost:{port}/x"
        body = Body(chunks, method="PUT", size=COUNT * len(CHUNK))
        answer = sent(url, Limits(retries=1), body)
    assert answer.content.decode() == hashlib.sha256(CHUNK * COUNT).hexdigest()


def test_an_empty_body_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Taking, "failures", 0)
    with serving(Taking) as port:
        body = Body(lambda: (), method="PUT", size=0)
        answer = sent(f"http://localhost:{port}/x", Limits(), body)
    assert answer.content.decode() == hashlib.sha256().hexdigest()


def test_a_server_that_takes_nothing_is_not_waited_for() -> None:
    limits = Limits(retries=0, connect_seconds=0.5, read_seconds=0.5)
    with serving(Sleeping) as port:
        # More than any buffer on the way holds.
        body = Body(lambda: iter([CHUNK] * 64), method="PUT", size=64 * len(CHUNK))
        start = time.monotonic()
        with pytest.raises(StoreError) as caught:
            sent(f"http://localhost:{port}/x", limits, body)
        assert time.monotonic() - start < 2
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_what_the_chunks_raise_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not tried again."""
    monkeypatch.setattr(Taking, "failures", 0)
    tries = []

    def failing() -> Iterator[bytes]:
        tries.append(1)
        yield CHUNK
        raise ValueError("this file is not to be sent")

    with serving(Taking) as port, pytest.raises(ValueError, match="not to be sent"):
        sent(f"http://localhost:{port}/x", Limits(), Body(failing, method="PUT", size=1 << 30))
    assert len(tries) == 1
