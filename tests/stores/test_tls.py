"""TLS as every store that is read over HTTP uses it."""

from __future__ import annotations

import datetime
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.tls import Transport, client_context
from oms_gate.verdict import ReasonCode
from tests.oms import forge
from tests.stores.serving import (
    LIMITS,
    Files,
    certify_localhost,
    fetched,
    pem_of,
    read,
    server_context,
    serving,
    snapshot,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "x.gguf").write_bytes(b"weights")
    return tmp_path / "www"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return certify_localhost(tmp_path)


@pytest.fixture
def tls(folder: Path, certificate: Path) -> Iterator[int]:
    with serving(partial(Files, directory=str(folder)), server_context(certificate)) as port:
        yield port


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"])
def test_tls_with_an_authority_of_the_operators(
    tls: int, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(certificate))
    assert read(snapshot(f"https://localhost:{tls}/x.gguf"), "x.gguf") == b"weights"


def test_a_file_of_many_records_over_tls(
    tls: int, folder: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    content = os.urandom(3_000_000)
    (folder / "x.gguf").write_bytes(content)
    assert read(snapshot(f"https://localhost:{tls}/x.gguf"), "x.gguf") == content


class Breaking(BaseHTTPRequestHandler):
    """Closes the connection in the middle of a body, without a word of TLS."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(bytes(500_000))
        socket.close(self.request.detach())

    def log_message(self, *_: object) -> None:
        pass


def test_a_body_that_ends_early_over_tls_is_no_body(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving(Breaking, server_context(certificate)) as port:
        reader = HttpReader(LIMITS, frozenset({"localhost"}))
        with pytest.raises(StoreError) as caught:
            fetched(reader, RemoteFile("x", lambda: f"https://localhost:{port}/"))
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "500000 bytes early" in caught.value.reason.message


def test_authorities_that_cannot_be_read_are_none(
    tls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(StoreError) as caught:
        snapshot(f"https://localhost:{tls}/x.gguf")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "REQUESTS_CA_BUNDLE" in caught.value.reason.message
    assert "missing.pem: [Errno 2] No such file" in caught.value.reason.message


def test_authorities_are_read_once(
    tls: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's take longer than to connect."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    reader = HttpReader(LIMITS, frozenset({"localhost"}))
    file = RemoteFile("x", lambda: f"https://localhost:{tls}/x.gguf")
    assert fetched(reader, file) == b"weights"
    certificate.unlink()
    # Each of these is a connection of its own, as the server keeps none.
    assert fetched(reader, file) == b"weights"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_certificate_that_is_not_the_hosts_is_refused(
    tls: int, certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """Signed by nobody who is known; or known, and for another name."""
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    host = "127.0.0.1" if trusted else "localhost"
    with pytest.raises(StoreError) as caught:
        snapshot(f"https://{host}:{tls}/x.gguf")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "TLS" in caught.value.reason.message


def test_a_common_name_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only alternative names are, since RFC 9525."""
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    party = forge.issue(
        "localhost", key_usage=None, more=[forge.TLS_SERVER], start=now - hour, end=now + hour
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(party.pem + pem_of(party.private_key))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with serving(Files, server_context(path)) as port, pytest.raises(StoreError) as caught:
        snapshot(f"https://localhost:{port}/x.gguf")
    assert "Hostname mismatch" in caught.value.reason.message


class Dribbling(BaseHTTPRequestHandler):
    """Speaks TLS itself, and sends a record of its answer byte by byte."""

    certificate: Path
    ended: threading.Event

    def handle(self) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_context(self.certificate).wrap_bio(incoming, outgoing, server_side=True)
        for step in (tls.do_handshake, tls.read):
            while True:
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    self.request.sendall(outgoing.read())
                    incoming.write(self.request.recv(65536))
        tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        self.request.sendall(outgoing.read())
        tls.write(bytes(16_000))
        for byte in outgoing.read():
            if self.ended.wait(0.1):
                break
            self.request.sendall(bytes([byte]))


def test_a_record_that_dribbles_is_too_slow(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though each of its bytes comes in time, nothing of it can be read before the last."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    ended = threading.Event()
    handler = type("This", (Dribbling,), {"certificate": certificate, "ended": ended})
    with serving(handler) as port:
        reader = HttpReader(Limits(read_seconds=1, retries=0), frozenset({"localhost"}))
        patience = threading.Timer(20, reader.abort)
        patience.start()
        start = time.monotonic()
        with pytest.raises(StoreError) as caught:
            fetched(reader, RemoteFile("x", lambda: f"https://localhost:{port}/"))
        patience.cancel()
        ended.set()
    assert "too long" in caught.value.reason.message
    assert time.monotonic() - start < 10


def test_no_redirect_from_https_to_http(
    tls: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(StoreError) as caught:
        snapshot(f"https://localhost:{tls}/to-plain-http")
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED


def test_no_redirect_over_tls_to_a_private_host(
    tls: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate does not make it public."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    file = RemoteFile("x.gguf", lambda: f"https://localhost:{tls}/x.gguf")
    assert b"".join(
        HttpReader(LIMITS, frozenset({"localhost"})).chunks(
            file, 0, None, memoryview(bytearray(64))
        )
    )
    with pytest.raises(StoreError) as caught:
        list(
            HttpReader(LIMITS, frozenset({"models.test"})).chunks(
                file, 0, None, memoryview(bytearray(64))
            )
        )
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED


class Stalling(BaseHTTPRequestHandler):
    """Sends a part of what it announced, and closes the connection after it: it is HTTP/1.0."""

    ended: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(bytes(1000))
        self.ended.wait(20)

    def log_message(self, *_: object) -> None:
        pass


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that hands on what goes to and fro, and understands nothing of it."""

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as server:
            self.send_response(200)
            self.end_headers()
            ends = {self.request: server, server: self.request}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    if not (content := end.recv(65536)):
                        return
                    ends[end].sendall(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("way", ["http", "https", "https through a proxy"])
def test_a_transfer_ends_at_once_on_a_connection_that_the_server_is_to_close(
    way: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection has let go of its socket by then, with the headers."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    scheme, *proxied = way.split(maxsplit=1)
    context = server_context(certificate) if scheme == "https" else None
    ended = threading.Event()
    handler = type("This", (Stalling,), {"ended": ended})
    with serving(handler, context) as port, serving(Tunnel) as proxy:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        reader = HttpReader(Limits(read_seconds=20, retries=0), frozenset({"localhost"}))
        chunks = reader.chunks(
            RemoteFile("x", lambda: f"{scheme}://localhost:{port}/"),
            0,
            None,
            memoryview(bytearray(64)),
        )
        assert next(chunks) == bytes(64)
        threading.Timer(0.3, reader.abort).start()
        start = time.monotonic()
        with pytest.raises(StoreError) as caught:
            list(chunks)
        assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
        assert 0.2 < time.monotonic() - start < 5
        ended.set()


def test_connections_are_as_safe_as_the_librarys(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever that sets, be it in a version to come."""
    ours, usual = client_context(str(certificate)), create_urllib3_context()
    settings = {
        name
        for name in dir(usual)
        if not name.startswith("_") and not callable(getattr(usual, name))
    }
    assert {"verify_mode", "hostname_checks_common_name", "minimum_version"} <= settings
    assert {n: getattr(ours, n) for n in settings} == {n: getattr(usual, n) for n in settings}


def test_the_keys_can_be_logged(
    tls: int, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of every client, for who looks at what goes over the line."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert read(snapshot(f"https://localhost:{tls}/x.gguf"), "x.gguf") == b"weights"
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in (tmp_path / "keys").read_text()


UNASKED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class Asking(BaseHTTPRequestHandler):
    """Answers with the protocol that was agreed on, in as many answers as are asked for."""

    protocol_version = "HTTP/1.1"
    more = b""
    connections: list[object]

    def do_GET(self) -> None:
        if self.request not in self.connections:
            self.connections.append(self.request)
        agreed = self.request.selected_alpn_protocol().encode()
        # One record, and so one that comes with what nobody asked for.
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + agreed + self.more)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("more", [b"", UNASKED * 500], ids=["as asked", "more"])
def test_what_nobody_asked_for_answers_nothing(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    """A connection is used again, but not one on which more came than was asked for."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = server_context(certificate)
    context.set_alpn_protocols(["http/1.1"])
    connections: list[object] = []
    handler = type("This", (Asking,), {"more": more, "connections": connections})
    with serving(handler, context) as port:
        reader = HttpReader(LIMITS, frozenset({"localhost"}))
        for _ in range(3):
            file = RemoteFile("x", lambda: f"https://localhost:{port}/")
            assert fetched(reader, file) == b"http/1.1"
        reader.close()
    assert len(connections) == (3 if more else 1)


@contextmanager
def connected(certificate: Path, timeout: float) -> Iterator[tuple[Transport, ssl.SSLSocket]]:
    """Two ends of a connection."""
    near, far = socket.socketpair()
    near.settimeout(timeout)
    context = server_context(certificate)
    # No tickets, which would be unasked bytes too.
    context.num_tickets = 0
    with near, far, ThreadPoolExecutor(1) as thread:
        server = thread.submit(context.wrap_socket, far, server_side=True)
        client = Transport(near, client_context(str(certificate)), "localhost")
        with server.result() as other:
            yield client, other


def test_one_call_gives_all_records_that_came(certificate: Path) -> None:
    with connected(certificate, 5) as (client, server):
        for length in (16_384, 1, 16_384):
            server.sendall(bytes(length))
        buffer = bytearray(100_000)
        assert client.recv_into(memoryview(buffer)[:10]) == 10
        assert client.has_unread
        assert client.recv_into(buffer) == 2 * 16_384 + 1 - 10
        assert not client.has_unread
        # Nor is a last record kept back because the next one is not there, or none is to come.
        server.sendall(bytes(3))
        assert client.recv_into(buffer) == 3
        server.sendall(bytes(4))
        server.shutdown(socket.SHUT_WR)
        assert client.recv_into(buffer) == 4
        assert client.recv_into(buffer) == 0


def test_a_goodbye_is_noticed(certificate: Path) -> None:
    """With the last content, as when it comes alone: nothing can be asked for any more."""
    with connected(certificate, 5) as (client, server):
        server.sendall(b"content")
        with suppress(OSError):  # It waits for an answer, which does not come.
            server.settimeout(0.1)
            server.unwrap()
        assert client.recv_into(bytearray(7)) == 7
        assert client.has_unread
        assert client.recv_into(bytearray(7)) == 0


def test_the_time_of_one_call_is_that_of_all_its_parts(certificate: Path) -> None:
    with connected(certificate, 0.5) as (client, server), ThreadPoolExecutor(1) as thread:
        raw = socket.socket(fileno=os.dup(server.fileno()))
        with raw:
            # The beginning of a record of 16 KiB of content.
            raw.sendall(b"\x17\x03\x03\x40\x00")
            ended = threading.Event()

            def dribble() -> None:
                while not ended.wait(0.05):
                    raw.sendall(b"x")

            dribbling = thread.submit(dribble)
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                client.recv_into(bytearray(100))
            ended.set()
            dribbling.result()
            assert time.monotonic() - start < 1.5
        # What was set is so for the next call.
        assert client.gettimeout() == 0.5


@pytest.mark.timeout(20)
def test_a_handshake_that_dribbles_is_given_up(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(b"\x16\x03\x03\x40\x00")
                while not ended.wait(0.05):
                    self.request.sendall(b"x")

    with serving(Handler) as port:
        reader = HttpReader(Limits(connect_seconds=0.5, retries=0), frozenset({"localhost"}))
        patience = threading.Timer(10, reader.abort)
        patience.start()
        start = time.monotonic()
        with pytest.raises(StoreError) as caught:
            fetched(reader, RemoteFile("x", lambda: f"https://localhost:{port}/"))
        patience.cancel()
        ended.set()
    assert "limit 'connect_seconds' of 0.5" in caught.value.reason.message
    assert time.monotonic() - start < 5


def test_a_server_is_told_why_it_is_refused(certificate: Path) -> None:
    near, far = socket.socketpair()
    with near, far, ThreadPoolExecutor(1) as thread:
        server = thread.submit(server_context(certificate).wrap_socket, far, server_side=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            Transport(near, client_context(None), "localhost")
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            server.result()
