"""TLS as every store that is read over HTTP uses it."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.tls import Transport, client_context
from tests.oms import forge
from tests.stores.serving import (
    LIMITS,
    Files,
    QuietHandler,
    certify_localhost,
    fetched,
    pem_of,
    read,
    server_context,
    serving,
    snapshot,
)


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


class Breaking(QuietHandler):
    """Closes the connection in the middle of a body, without a word of TLS."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(bytes(500_000))
        socket.close(self.request.detach())


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


class Speaking(QuietHandler):
    """Speaks TLS itself, to choose what of it goes over the line, and when."""

    certificate: Path

    def setup(self) -> None:
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        context = server_context(self.certificate)
        context.num_tickets = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.step(self.tls.do_handshake)

    def step(self, call: Callable[[], object]) -> object:
        """Do something as soon as what it needs has come."""
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self.request.sendall(self._outgoing.read())
                if not (received := self.request.recv(65536)):
                    return b""
                self._incoming.write(received)
            else:
                self.request.sendall(self._outgoing.read())
                return result

    def record(self, content: bytes) -> bytes:
        """One record."""
        self.tls.write(content)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """The last one."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()


class Dribbling(Speaking):
    """Sends a record of its answer byte by byte."""

    ended: threading.Event

    def handle(self) -> None:
        self.step(self.tls.read)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        self.request.sendall(self.record(head))
        for byte in self.record(bytes(16_000)):
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
    assert fetched(HttpReader(LIMITS, frozenset({"localhost"})), file) == b"weights"
    with pytest.raises(StoreError) as caught:
        fetched(HttpReader(LIMITS, frozenset({"models.test"})), file)
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED


class Stalling(QuietHandler):
    """Sends a part of what it announced, and closes the connection after it: it is HTTP/1.0."""

    ended: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(bytes(1000))
        self.ended.wait(20)


class Tunnel(QuietHandler):
    """A proxy that hands on what goes to and fro, and understands nothing of it."""

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as server:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=self._hand_on, args=(server, self.request))
            back.start()
            self._hand_on(self.request, server)
            back.join()

    def _hand_on(self, from_: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while content := from_.recv(65536):
                to.sendall(content)
        for end in from_, to:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "way", ["http", "https", "https through a proxy", "https through a proxy with TLS"]
)
def test_a_transfer_ends_at_once_on_a_connection_that_the_server_is_to_close(
    way: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection has let go of its socket by then, with the headers."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    scheme, *proxied = way.split(maxsplit=1)
    context = server_context(certificate) if scheme == "https" else None
    around = server_context(certificate) if way.endswith("TLS") else None
    ended = threading.Event()
    handler = type("This", (Stalling,), {"ended": ended})
    with serving(handler, context) as port, serving(Tunnel, around) as proxy:
        if proxied:
            how = "https" if around else "http"
            monkeypatch.setenv("HTTPS_PROXY", f"{how}://localhost:{proxy}")
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


@pytest.mark.timeout(30)
@pytest.mark.parametrize("proxied", [False, True])
def test_a_handshake_ends_at_once(monkeypatch: pytest.MonkeyPatch, proxied: bool) -> None:
    """With a server that takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, serving(Tunnel) as proxy:
        port = silent.getsockname()[1]
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", f"http://localhost:{proxy}")
        reader = HttpReader(Limits(connect_seconds=15, retries=0), frozenset({"localhost"}))
        threading.Timer(0.5, reader.abort).start()
        start = time.monotonic()
        with pytest.raises(StoreError):
            fetched(reader, RemoteFile("x", lambda: f"https://localhost:{port}/"))
        assert time.monotonic() - start < 5


@pytest.mark.timeout(30)
def test_an_end_does_not_wait_for_the_authorities(
    tls: int, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be on a file system that does not answer."""
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pipe))
    reader = HttpReader(LIMITS, frozenset({"localhost"}))
    file = RemoteFile("x", lambda: f"https://localhost:{tls}/x.gguf")
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(fetched, reader, file)
        # Opening it waits for who reads.
        with pipe.open("wb") as writer:
            ending = threads.submit(reader.abort)
            ended = not wait([ending], timeout=5).not_done
            writer.write(certificate.read_bytes())
        with pytest.raises(StoreError):
            reading.result()
    assert ended


def test_connections_are_as_safe_as_the_librarys(certificate: Path) -> None:
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


GOOD, EVIL = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body for body in (b"good", b"evil"))


class Generous(Speaking):
    """Gives more than it is asked for; what is left of that, when it is asked again."""

    way: str
    connections: list[object]

    def handle(self) -> None:
        self.connections.append(self.request)
        left = b""
        while self.step(partial(self.tls.read, 65536)):
            now, later = self._answer()
            self.request.sendall(left or now)
            left = later

    def _answer(self) -> tuple[bytes, bytes]:
        """What to send now, and what when asked again."""
        if self.way == "in one record":
            return self.record(GOOD + EVIL * 300), b""
        good = self.record(GOOD)
        match self.way:
            case "in another record":
                return good + self.record(EVIL), b""
            case "in part of a record":
                evil = self.record(EVIL)
                return good + evil[:9], evil[9:]
            case "in part of an answer":
                return good + self.record(EVIL[:-4]), self.record(EVIL[-4:])
            case "goodbye":
                return good + self.goodbye(), b""
        return good, b""


WAYS = ["in one record", "in another record", "in part of a record", "in part of an answer"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("way", ["as asked", *WAYS, "goodbye"])
def test_what_nobody_asked_for_answers_nothing(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A connection is used again, but not one on which more came than was asked for."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    connections: list[object] = []
    members = {"certificate": certificate, "way": way, "connections": connections}
    with serving(type("This", (Generous,), members)) as port:
        reader = HttpReader(LIMITS, frozenset({"localhost"}))
        file = RemoteFile("x", lambda: f"https://localhost:{port}/")
        assert [fetched(reader, file) for _ in range(3)] == 3 * [b"good"]
        reader.close()
    assert len(connections) == (1 if way == "as asked" else 3)


def test_the_protocol_is_agreed_on(certificate: Path) -> None:
    """By every connection, though it is set once."""
    with connected(certificate, 5) as (client, server):
        assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == "http/1.1"


def test_the_authorities_of_the_system(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL's own variable names other ones."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with connected(certificate, 5, client_context(None)) as (client, _):
        assert client.getpeercert()


@contextmanager
def connected(
    certificate: Path, timeout: float, context: ssl.SSLContext | None = None
) -> Iterator[tuple[Transport, ssl.SSLSocket]]:
    """Two ends of a connection; the client trusts the certificate, or what its context does."""
    near, far = socket.socketpair()
    near.settimeout(timeout)
    serving_context = server_context(certificate)
    # No tickets, which would be unasked bytes too.
    serving_context.num_tickets = 0
    serving_context.set_alpn_protocols(["http/1.1"])
    with near, far, ThreadPoolExecutor(1) as thread:
        server = thread.submit(serving_context.wrap_socket, far, server_side=True)
        client = Transport(near, context or client_context(str(certificate)), "localhost")
        with server.result() as other:
            yield client, other


def test_what_comes_is_read_as_from_a_socket(certificate: Path) -> None:
    """In order, a record at a time, and with what is left of one seen to be there."""
    with connected(certificate, 5) as (client, server):
        server.sendall(b"0123456789")
        server.sendall(b"next")
        buffer = bytearray(100)
        assert client.recv_into(memoryview(buffer)[:4]) == 4
        assert client.recv_into(buffer, 2) == 2
        assert buffer[:2] == b"45"
        assert client.has_unread
        assert client.recv_into(buffer) == 4
        assert buffer[:4] == b"6789"
        assert client.recv_into(buffer) == 4
        assert not client.has_unread
        server.shutdown(socket.SHUT_WR)
        assert client.recv_into(buffer) == 0


def test_who_wants_much_is_given_all_that_came(certificate: Path) -> None:
    with connected(certificate, 5) as (client, server):
        content = os.urandom(100_000)
        server.sendall(content)
        buffer = bytearray(90_000)
        assert client.recv_into(buffer) == 90_000
        assert buffer == content[:90_000]
        # Nor is the last kept back because no other is there, or none is to come.
        assert client.recv_into(buffer) == 10_000
        assert buffer[:10_000] == content[90_000:]
        server.sendall(b"end")
        server.shutdown(socket.SHUT_WR)
        assert client.recv_into(buffer) == 3
        assert client.recv_into(buffer) == 0


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


@pytest.mark.timeout(20)
@pytest.mark.parametrize("flood", [False, True])
def test_a_handshake_without_end_is_given_up(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, flood: bool
) -> None:
    """Be it for bytes that come one by one, or for requests to begin anew, as fast as can be."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    ended = threading.Event()
    start, more = b"\x16\x03\x03\x40\x00", b"x"
    if flood:
        start, more = b"", b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 1000

    class Handler(QuietHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(start)
                while not ended.wait(0 if flood else 0.05):
                    self.request.sendall(more)

    with serving(Handler) as port:
        reader = HttpReader(Limits(connect_seconds=0.5, retries=0), frozenset({"localhost"}))
        patience = threading.Timer(5, reader.abort)
        patience.start()
        with pytest.raises(StoreError) as caught:
            fetched(reader, RemoteFile("x", lambda: f"https://localhost:{port}/"))
        patience.cancel()
        ended.set()
    assert "limit 'connect_seconds' of 0.5" in caught.value.reason.message


def test_a_server_is_told_why_it_is_refused(certificate: Path) -> None:
    near, far = socket.socketpair()
    far.settimeout(5)
    with near, far, ThreadPoolExecutor(1) as thread:
        server = thread.submit(server_context(certificate).wrap_socket, far, server_side=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            Transport(near, client_context(None), "localhost")
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            server.result()
