"""Connections: when they end, and which addresses they may lead to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from pydantic import ValidationError

from oms_gate.errors import ConfigError, StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings, open_store
from oms_gate.stores.connections import Connections, _Guard, _is_internal, _is_public
from oms_gate.stores.http import HttpReader, count_of
from oms_gate.stores.redirects import RemoteFile
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.stores.serving import QuietHandler, fetched, serving

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)

# Some snapshots, read, with what was open after the first and after the last.
_MANY = """
import gc, json, os, sys
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings, open_store

reference, settings = Reference.parse(sys.argv[1]), StoreSettings(**json.loads(sys.argv[2]))
if sys.argv[3] == "closed":
    gc.disable()
opened = []
for _ in range(5):
    snapshot = open_store(reference, settings, Limits()).snapshot(reference)
    for path in snapshot.files:
        assert snapshot.read(path, 10**6)
    if sys.argv[3] == "closed":
        snapshot.close()
    else:
        del snapshot
        gc.collect()
    opened.append(len(os.listdir("/proc/self/fd")))
print(opened[0], opened[-1])
"""


def open_files(reference: str, settings: Mapping[str, Any], end: str) -> tuple[int, int]:
    command = [sys.executable, "-c", _MANY, reference, json.dumps(settings), end]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    first, last = answer.stdout.split()
    return int(first), int(last)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.parametrize("end", ["closed", "forgotten"])
def test_snapshots_of_the_hub_leave_no_connections(hub: HubStandIn, end: str) -> None:
    hub.create("org/m", files={"a": b"1", "w.safetensors": bytes(1000)})
    first, last = open_files("hf://org/m", {"options": {"hf": {"endpoint": hub.endpoint}}}, end)
    assert last <= first


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.parametrize("end", ["closed", "forgotten"])
def test_snapshots_of_s3_leave_no_connections(s3: SeaweedFS, s3_bucket: str, end: str) -> None:
    s3.put(s3_bucket, "m/a", b"1")
    settings = {"options": {"s3": s3.storage_options()}}
    first, last = open_files(f"s3://{s3_bucket}/m", settings, end)
    assert last <= first


@contextmanager
def answering(status: int, headers: Mapping[str, str], body: bytes = b"") -> Iterator[str]:
    """A server with one answer to everything."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # Some clients leave.
                self.wfile.write(b"" if self.command == "HEAD" else body)

        do_HEAD = do_GET

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def refusal(url: str, limits: Limits = LIMITS) -> StoreError:
    reader = HttpReader(limits, frozenset({"127.0.0.1"}))
    with pytest.raises(StoreError) as caught:
        list(reader.chunks(RemoteFile("x", lambda: url), 0, None, memoryview(bytearray(64))))
    return caught.value


@pytest.mark.parametrize(
    "location",
    ["http://[::1/x", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "//", "ftp://h/"],
)
def test_a_redirect_to_no_address_is_refused(location: str) -> None:
    with answering(302, {"Location": location}) as url:
        assert refusal(url).reason.code is ReasonCode.STORE_REDIRECT_REFUSED


@pytest.mark.parametrize("after", ["\xb2", "9" * 5000, "-1", "soon", "0"])
def test_any_time_to_wait_is_borne(after: str) -> None:
    limits = LIMITS.model_copy(update={"retries": 1, "read_seconds": 0.1})
    with answering(503, {"Retry-After": after}) as url:
        assert refusal(url, limits).reason.code is ReasonCode.STORE_UNAVAILABLE


@pytest.mark.parametrize(("length", "size"), [("\xb2", None), ("9" * 5000, None), ("3", 3)])
def test_any_length_is_borne(length: str, size: int | None) -> None:
    assert count_of(length) == size


def test_the_cause_is_named() -> None:
    assert "cannot be resolved" in str(refusal("http://no-such-host.invalid/"))
    assert "was refused" in str(refusal("http://127.0.0.1:9/"))
    with answering(503, {}) as url:
        assert "503" in str(refusal(url))


def test_nothing_is_begun_after_the_end() -> None:
    with answering(200, {}, b"abc") as url:
        reader = HttpReader(LIMITS, frozenset({"127.0.0.1"}))
        file = RemoteFile("x", lambda: url)
        assert b"".join(reader.chunks(file, 0, None, memoryview(bytearray(64)))) == b"abc"
        reader.close()
        with pytest.raises(StoreError) as caught:
            list(reader.chunks(file, 0, None, memoryview(bytearray(64))))
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_tls_to_a_proxy_that_tls_goes_through_is_ended_too() -> None:
    """urllib3 has a wrapper for it, which cannot be shut down."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guard = _Guard(frozenset(), LIMITS)
        guard.watch(SimpleNamespace(socket=ours))  # type: ignore[arg-type]
        guard.end()
        assert theirs.recv(1) == b""
        late, other = socket.socketpair()
        with late, other:
            guard.watch(late)
            assert other.recv(1) == b""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_server_that_dribbles_is_too_slow(where: str) -> None:
    """It never pauses for as long as it may."""
    stop = threading.Event()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.flush_headers()
            if where == "body":
                self.end_headers()
            with suppress(OSError):
                while not stop.wait(0.02):
                    self.wfile.write(b"x")

    limits = Limits(read_seconds=0.5, retries=0, minimum_bytes_per_second=1000)
    with serving(Handler) as port:
        reason = refusal(f"http://127.0.0.1:{port}/", limits).reason
        assert reason.code is ReasonCode.STORE_TOO_SLOW
        assert reason.path == "x"
        stop.set()


def test_only_waiting_for_the_server_counts() -> None:
    """Whoever reads may take as long as it likes in between."""
    with answering(200, {}, bytes(200)) as url:
        limits = Limits(read_seconds=0.2, retries=0, minimum_bytes_per_second=1_000_000)
        reader = HttpReader(limits, frozenset({"127.0.0.1"}))
        chunks = reader.chunks(RemoteFile("x", lambda: url), 0, None, memoryview(bytearray(10)))
        assert next(chunks)
        time.sleep(0.3)
        assert sum(map(len, chunks)) == 190


def test_connections_may_end_while_others_begin() -> None:
    """Many threads connect while all is ended again and again."""
    with answering(200, {}, b"abc") as url:
        connections = Connections(LIMITS, frozenset({"127.0.0.1"}))
        failures: list[BaseException] = []

        def ask() -> None:
            for _ in range(20):
                try:
                    connections.request("GET", url, {}).close()
                except (OSError, urllib3.exceptions.HTTPError):
                    pass
                except BaseException as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            connections.abort()
        for thread in threads:
            thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2a00:1450:4001:830::200e", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::1", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::808:808", False),
        ("2002:a9fe:a9fe::1", False),
        ("::a9fe:a9fe", False),
        ("::ffff:169.254.169.254", False),
        ("2001:0:a9fe:a9fe::", False),
        ("fec0::1", False),
        ("fe80::1%eth0", False),
        ("100.64.0.1", False),
        ("::", False),
        ("::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert _is_public(address) is public


@pytest.mark.parametrize(
    ("host", "internal"),
    [
        ("models.example.com", False),
        ("8.8.8.8", False),
        ("0x.example.com", False),
        ("2852039166", True),
        ("0x7f.1", True),
        ("127.1", True),
        ("0177.0.0.0x1", True),
        ("localhost", True),
        ("a.localhost", True),
        ("ip6-localhost", True),
        ("models.example.com.", True),
        ("169.254.169.254.", True),
        ("10.0.0.1", True),
    ],
)
def test_which_names_a_proxy_is_not_asked_for(host: str, internal: bool) -> None:
    assert _is_internal(host) is internal


@pytest.mark.parametrize("host", ["https://host", "host/x", "a b", "host:443", "", "a..b"])
def test_a_private_host_is_a_host(host: str) -> None:
    assert StoreSettings(private_hosts=("Models.lan", "[fd00::1]")).private_hosts == (
        "models.lan",
        "fd00::1",
    )
    with pytest.raises(ValidationError):
        StoreSettings(private_hosts=(host,))


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("nosuchscheme://x", {}, "nosuchscheme"),
        ("gs://bucket/x", {}, "gcsfs"),
        ("hf://org/m", {"endpint": "https://hub.example.com"}, "endpint"),
        ("hf://org/m", {"endpoint": "hub.example.com"}, "no web address"),
        ("s3://bucket/x", {"endpoint_url": "nowhere"}, "nowhere"),
        ("s3://bucket/x", {"profile": "nobody"}, "nobody"),
        ("s3://bucket/x", {"colour": "red"}, "colour"),
        ("s3://bucket/x", {"config_kwargs": {"colour": "red"}}, "colour"),
    ],
)
def test_the_operators_mistakes_are_no_ones_model(
    url: str, options: dict[str, Any], text: str
) -> None:
    reference = Reference.parse(url)
    with pytest.raises(ConfigError) as caught:
        settings = StoreSettings(options={reference.scheme: options})
        open_store(reference, settings, LIMITS).snapshot(reference)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


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
        reason = refusal(f"http://127.0.0.1:{address[1]}/w", limits).reason
    assert reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "too long" in reason.message


@pytest.mark.parametrize(
    ("headers", "body", "reused"),
    [
        ({"Content-Length": "0"}, b"", True),
        ({"Content-Length": "22"}, b"Found. Redirecting to ", True),
        # What is longer, or of any length, is not waited for.
        ({"Content-Length": "5000"}, b"x" * 5000, False),
        ({"Content-Length": str(2**40)}, b"x", False),
        ({"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n", False),
        # Nothing of it counts: it leads on all the same.
        ({"Content-Length": "22", "Connection": "close"}, b"short", False),
    ],
)
def test_a_redirect_leaves_its_connection_to_the_next_request(
    headers: dict[str, str], body: bytes, reused: bool
) -> None:
    seen: set[tuple[str, int]] = set()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/there":
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
                return
            seen.add(self.client_address)
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/there")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as port:
        reader = HttpReader(LIMITS, frozenset({"127.0.0.1", "localhost"}))
        for name in ("a", "b", "c"):
            url = f"http://127.0.0.1:{port}/{name}"
            assert fetched(reader, RemoteFile(name, lambda url=url: url)) == b"ok"  # type: ignore[misc]
        reader.close()
    assert len(seen) == (1 if reused else 3)
