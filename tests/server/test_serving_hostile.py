"""Clients that send what no client should, over bare sockets."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.server.running import Running, received, until

pytestmark = pytest.mark.xdist_group("serving-hostile")

HOST = b"Host: gate\r\n"
END = b"Connection: close\r\n\r\n"
NEXT = b"GET /process HTTP/1.1\r\nHost: gate\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(
        tmp_path_factory.mktemp("hostile"),
        "--workers",
        "1",
        log_format="json",
        connections=20,
        header_seconds=0.3,
        idle_seconds=3,
        header_bytes=2048,
        headers=16,
        body_bytes=1024,
        answer_seconds=0.5,
        stall_seconds=0.5,
        minimum_bytes_per_second=1_000_000,
    ) as running:
        yield running
        failed = running.events("a request failed")
        assert ["KeyError" in event["exception"] for event in failed] == [True] * len(failed)


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"(?:^|\n)?HTTP/1\.[01] (\d{3}) ", answer)]


REFUSED = {
    "two lengths": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
    + NEXT,
    "length and chunks": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + NEXT,
    "chunks twice": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    + NEXT,
    "chunks of another kind": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"
    + NEXT,
    "a hidden encoding": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
    + NEXT,
    "a signed length": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: +5\r\n\r\nhello"
    + NEXT,
    "a negative length": b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n" + NEXT,
    "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c: d\r\n\r\n" + NEXT,
    "a bare CR": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\rX-C: d\r\n\r\n" + NEXT,
    "bare LFs": b"GET / HTTP/1.1\nHost: gate\n\n" + NEXT,
    "a NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\0c\r\n\r\n" + NEXT,
    "a NUL in the target": b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "an encoded NUL": b"GET /a%00b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "no host": b"GET / HTTP/1.1\r\n\r\n" + NEXT,
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n" + NEXT,
    "an absolute target": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a target that is an authority": b"CONNECT evil.example:443 HTTP/1.1\r\n"
    + HOST
    + b"\r\n"
    + NEXT,
    "a target that is a star": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "two slashes": b"GET //evil.example/x HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "only two slashes": b"GET // HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "an encoded second slash": b"GET /a/%2f/b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a way up": b"GET /a/../b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "an encoded way up": b"GET /a/%2e%2E/b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a way up with encoded slashes": b"GET /a%2f..%2fb HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a way that stays": b"GET /a/./b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a backslash": b"GET /a%5c..%5cb HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a broken escape": b"GET /a%zzb HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "bytes that are no ASCII": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "HTTP/0.9": b"GET /\r\n\r\n" + NEXT,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/3.7\r\n" + HOST + b"\r\n" + NEXT,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "a long target": b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
    "a long header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 5000 + b"\r\n\r\n" + NEXT,
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n" * 40 + b"\r\n" + NEXT,
    "a chunk without a size": b"POST /read HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"
    + NEXT,
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_what_others_could_take_for_something_else_is_refused(
    service: Running, sent: bytes
) -> None:
    answer = service.raw(sent)
    assert statuses(answer) in ([400], []), answer
    assert b"aiohttp" not in answer
    assert service.get("/x")[0] == 200


HARMLESS = {
    "an extension of a chunk": (
        b"POST /read HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
        b"5",
    ),
    "an encoded revision": (b"GET /a/refs%2Fpr%2F1 HTTP/1.1\r\n" + HOST + END, b"refs/pr/1"),
    "escapes of escapes": (b"GET /a/%252e%252e/b HTTP/1.1\r\n" + HOST + END, b"a/%2e%2e/b"),
    "dots in a name": (b"GET /a/..b...c/.d HTTP/1.1\r\n" + HOST + END, b"a/..b...c/.d"),
    "a slash at the end": (b"GET /a/b/ HTTP/1.1\r\n" + HOST + END, b"a/b/"),
}


@pytest.mark.parametrize(("sent", "word"), HARMLESS.values(), ids=HARMLESS.keys())
def test_what_is_unusual_and_sound_is_answered(service: Running, sent: bytes, word: bytes) -> None:
    answer = service.raw(sent)
    assert statuses(answer) == [200]
    assert word in answer.partition(b"\r\n\r\n")[2]


def test_old_clients_get_what_they_understand(service: Running) -> None:
    answer = service.raw(b"GET /bytes/10 HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert statuses(answer) == [200]
    assert body == b"x" * 10
    assert b"chunked" not in head


def test_a_head_is_a_head(service: Running) -> None:
    head, _, body = service.raw(b"HEAD /bytes/10 HTTP/1.1\r\n" + HOST + END).partition(b"\r\n\r\n")
    assert body == b""
    assert b"Content-Length: 10" in head
    assert b"Server: oms-gate\r\n" in head + b"\r\n"


def test_a_body_is_read_up_to_its_bound(service: Running) -> None:
    for size, status in ((1024, 200), (1025, 413)):
        length = b"Content-Length: %d\r\n" % size
        sent = b"POST /read HTTP/1.1\r\n" + HOST + length + END + b"x" * size
        assert statuses(service.raw(sent)) == [status]


def test_who_does_not_ask_is_not_waited_for(service: Running) -> None:
    started = time.monotonic()
    with service.connected() as silent, service.connected() as slow, service.connected() as idle:
        idle.sendall(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
        slow.sendall(b"GET / HTTP/1.1\r\n")
        try:
            while time.monotonic() - started < 5:
                slow.sendall(b"X-A: b\r\n")
                time.sleep(0.1)
        except OSError:
            pass
        assert received(silent) == b""
        assert time.monotonic() - started < 2.7
        assert statuses(received(idle)) == [200]
    assert 2.7 < time.monotonic() - started < 8


def test_who_does_not_read_is_not_waited_for(service: Running) -> None:
    cut = service.metric("oms_gate_cut_connections_total")
    with service.connected() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /bytes/20000000 HTTP/1.1\r\n" + HOST + b"\r\n")
        until(lambda: service.metric("oms_gate_cut_connections_total") > cut, 5)
        assert len(received(connection)) < 20_000_000


def test_an_answer_that_takes_too_long_is_an_answer(service: Running) -> None:
    answer = service.raw(b"GET /hang HTTP/1.1\r\n" + HOST + END)
    assert statuses(answer) == [503]
    assert b"Retry-After: 5" in answer
    assert b"service.answer_seconds" in answer
    # What has begun may go on.
    assert service.get("/stream/8/0.1") == (200, "x" * 8192)


def test_a_defect_is_said_without_its_details(service: Running) -> None:
    answer = service.raw(b"GET /fail HTTP/1.1\r\n" + HOST + b"X-Request-Id: known-to-me\r\n" + END)
    assert statuses(answer) == [500]
    assert b"known-to-me" in answer.partition(b"\r\n\r\n")[2]
    assert b"hf_" not in answer
    broken = service.raw(b"GET /break HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT)
    assert statuses(broken) == [200]
    assert broken.endswith(b"\r\n\r\nbegun")
    assert "hf_abcdefgh" not in service.log


def test_one_connection_too_many_is_told_so(service: Running) -> None:
    until(lambda: service.metric("oms_gate_connections") == 0)
    opened = [service.connected() for _ in range(20)]
    try:
        until(lambda: service.metric("oms_gate_connections") == 20)
        with service.connected() as late:
            answer = received(late)
        assert statuses(answer) == [503]
        assert b"service.connections" in answer
        assert service.metric("oms_gate_refused_connections_total") == 1
    finally:
        for connection in opened:
            connection.close()
    until(lambda: service.metric("oms_gate_connections") == 0)
    assert service.get("/x")[0] == 200


def test_a_request_that_comes_back_is_refused(service: Running) -> None:
    own = f"http://127.0.0.1:{service.port}"
    status, said = service.get(f"/ask?url={own}/bytes/1")
    assert (status, said.split(":")[0]) == (508, "this gate's own request came back to it")
    # Another gate on the way is none of its business.
    assert service.get("/bytes/1", Via="1.1 oms-gate-0123456789abcdef")[0] == 200
