"""TLS and proxies, as every store that is read over HTTP uses them."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.web import WebStore
from oms_gate.verdict import ReasonCode
from tests.models import new_key
from tests.oms import forge

LIMITS = Limits(read_seconds=2, connect_seconds=2, retries=0)


def snapshot(url: str) -> Snapshot:
    return WebStore(StoreSettings(), LIMITS).snapshot(Reference.parse(url))


def read(of: Snapshot, path: str) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path))


def fetched(reader: HttpReader, file: RemoteFile) -> bytes:
    buffer = memoryview(bytearray(64))
    return b"".join(bytes(chunk) for chunk in reader.chunks(file, 0, None, buffer))


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and redirects what is asked for below /to-plain-http/."""

    def do_GET(self) -> None:
        if self.path.startswith("/to-plain-http"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/x")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy for plain http, which counts."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            answer = direct.open(self.path)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: object, context: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "x.gguf").write_bytes(b"weights")
    return tmp_path / "www"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, in one file."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem_of(key))
    return path


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


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
    assert "TLS" in caught.value.reason.message
    assert "No such file" in caught.value.reason.message


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


def test_the_proxy_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    handler = type("CountingProxy", (Proxy,), {"seen": seen})
    with serving(partial(Files, directory=str(folder))) as port, serving(handler) as proxy:
        url = f"http://127.0.0.1:{port}/x.gguf"
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        assert read(snapshot(url), "x.gguf") == b"weights"
        assert url in seen
        seen.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert read(snapshot(url), "x.gguf") == b"weights"
        assert seen == []


class RedirectingProxy(BaseHTTPRequestHandler):
    """Answers for every host; the one called redirecting.test sends clients to `location`."""

    seen: list[str]
    location: str

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.path.startswith("http://redirecting.test/"):
            self.send_response(302)
            self.send_header("Location", self.location)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"" if self.path.startswith("http://redirecting.test/") else b"weights")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("models.test", False),
        ("8.8.8.8", False),
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("224.0.0.1", True),
        ("[::1]", True),
        ("[::ffff:10.0.0.1]", True),
        ("[fd00::1]", True),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_proxy_is_not_asked_for_a_private_address(
    monkeypatch: pytest.MonkeyPatch, host: str, refused: bool, trusted: bool
) -> None:
    """It stands where such an address may lead somewhere."""
    seen: list[str] = []
    location = f"http://{host}/w"
    handler = type("ThisProxy", (RedirectingProxy,), {"seen": seen, "location": location})
    hosts = frozenset({"redirecting.test", *([host.strip("[]")] * trusted)})
    with serving(handler) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        reader = HttpReader(LIMITS, hosts)
        file = RemoteFile("w", lambda: "http://redirecting.test/w")
        if refused and not trusted:
            with pytest.raises(StoreError) as caught:
                fetched(reader, file)
            assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED
            assert seen == ["http://redirecting.test/w"]
        else:
            assert fetched(reader, file) == b"weights"
            assert seen == ["http://redirecting.test/w", location]


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


@pytest.mark.timeout(20)
def test_a_host_that_does_not_take_the_connection_is_given_up() -> None:
    """Its queue is full, and what comes after that waits for an answer."""
    limits = Limits(connect_seconds=0.3, retries=0)
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        file = RemoteFile("w", lambda: f"http://127.0.0.1:{address[1]}/w")
        with pytest.raises(StoreError) as caught:
            list(
                HttpReader(limits, frozenset({"127.0.0.1"})).chunks(
                    file, 0, None, memoryview(bytearray(64))
                )
            )
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "too long" in caught.value.reason.message


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


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_transfer_ends_at_once_on_a_connection_that_the_server_is_to_close(
    scheme: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection has let go of its socket by then, with the headers."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = server_context(certificate) if scheme == "https" else None
    ended = threading.Event()
    with serving(type("This", (Stalling,), {"ended": ended}), context) as port:
        reader = HttpReader(Limits(read_seconds=20, retries=0), frozenset({"localhost"}))
        threading.Timer(0.3, reader.abort).start()
        start = time.monotonic()
        with pytest.raises(StoreError) as caught:
            fetched(reader, RemoteFile("x", lambda: f"{scheme}://localhost:{port}/"))
        assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
        assert 0.2 < time.monotonic() - start < 5
        ended.set()
