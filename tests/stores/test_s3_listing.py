"""Listings of an S3 server that lies about them, beside one that does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.s3 import S3Store

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)
_ENTRY = "<Contents><Key>{}</Key><Size>1</Size><ETag>&quot;a&quot;</ETag></Contents>"
_PAGE = "<ListBucketResult><IsTruncated>{}</IsTruncated>{}{}</ListBucketResult>"


class Server:
    """Lists `keys`, a page of 1000 for each, and has a byte for each; the last goes on or ends."""

    def __init__(self) -> None:
        self.keys: list[str] = ["m/a", "m/b"]
        self.endless = False
        self.headers = {"ETag": '"a"', "Content-Length": "1"}
        self.error = ""
        self.pages = 0

    def page(self) -> bytes:
        self.pages += 1
        keys = [f"{key}-{self.pages}" for key in self.keys] if self.endless else self.keys
        more = "<NextContinuationToken>x</NextContinuationToken>" if self.endless else ""
        entries = "".join(map(_ENTRY.format, keys))
        return _PAGE.format(str(self.endless).lower(), more, entries).encode()


@contextmanager
def serving(state: Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.endswith("/oms-gate.release.json"):
                self.send_error(404)
                return
            body = state.error.encode() or state.page()
            self.send_response(400 if state.error else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if "Content-Length" not in state.headers:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def snapshot(url: str, **limits: float) -> Snapshot:
    options = {"endpoint_url": url, "key": "a", "secret": "b"}
    store = S3Store(StoreSettings(options={"s3": options}), LIMITS.model_copy(update=limits))
    return store.snapshot(Reference.parse("s3://bucket/m"))


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    state = Server()
    with serving(state) as url:
        yield state, url


def test_pages_without_end_are_not_all_read(server: tuple[Server, str]) -> None:
    state, url = server
    assert set(snapshot(url, files=2).files) == {"a", "b"}
    state.endless, state.pages = True, 0
    with pytest.raises(StoreError) as caught:
        snapshot(url, files=5)
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES
    assert state.pages == 3


def test_pages_without_entries_are_left_when_nobody_waits(server: tuple[Server, str]) -> None:
    state, url = server
    state.endless, state.keys = True, []
    with pytest.raises(StoreError) as caught:
        snapshot(url, listing_seconds=0.5)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    time.sleep(0.2)
    pages = state.pages
    time.sleep(0.3)
    assert state.pages == pages


@pytest.mark.parametrize("keys", [["m/a", "m/a"], ["m/a", "other/b"], ["other"]])
def test_a_listing_is_of_what_was_asked_for(server: tuple[Server, str], keys: list[str]) -> None:
    state, url = server
    assert snapshot(url).files
    state.keys = keys
    with pytest.raises(StoreError) as caught:
        snapshot(url)
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_an_object_without_a_length_is_refused(server: tuple[Server, str]) -> None:
    state, url = server
    del state.headers["Content-Length"]
    with pytest.raises(StoreError) as caught:
        snapshot(url)
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_what_a_store_says_of_its_error_is_kept_short(server: tuple[Server, str]) -> None:
    state, url = server
    text = "\u202e" + "x\n" * 100_000
    state.error = f"<Error><Code>Nope</Code><Message>{text}</Message></Error>"
    with pytest.raises(StoreError) as caught:
        snapshot(url)
    message = caught.value.reason.message
    assert len(message) < 500
    assert "Nope" in message or "x x" in message
    assert message.isprintable()
