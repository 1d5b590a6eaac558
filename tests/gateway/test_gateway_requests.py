"""Hostile clients: slow ones, those that vanish, and requests of every shape."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from oms_gate.config import GateConfig
from oms_gate.gateway import ranges
from oms_gate.gateway.paths import Asked, parse
from oms_gate.limits import MIB
from tests import models
from tests.gateway.resuming import eventually, receive
from tests.gateway.running import Running, running
from tests.peers.content import Repeated
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"
RIGHT = models.safetensors(300)
PATH = f"/acme/m/resolve/main/{WEIGHTS}"


@pytest.fixture
def published(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> None:
    files = {WEIGHTS: RIGHT, "a b/\u00e9;x?.json": b"{}", "resolve/main/x": b"x"}
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})


def raw(gateway: Running, request: bytes) -> bytes:
    """All that a connection answers to these bytes, until it is closed."""
    with connected(gateway) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


def connected(gateway: Running) -> socket.socket:
    parts = urlsplit(gateway.endpoint)
    return socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({"Range": "bytes=0-0"}, 206, RIGHT[:1]),
        ({"Range": "bytes=299-"}, 206, RIGHT[299:]),
        ({"Range": "bytes=0-"}, 206, RIGHT),
        ({"Range": "bytes=0-9999999999999999999"}, 206, RIGHT),
        ({"Range": "bytes=-1"}, 206, RIGHT[-1:]),
        ({"Range": "bytes=-9999999999999999999"}, 206, RIGHT),
        ({"Range": "bytes=300-"}, 416, None),
        ({"Range": "bytes=9999999999999999999-"}, 416, None),
        ({"Range": "bytes=-0"}, 416, None),
        ({"Range": "bytes=0-0,2-3"}, 200, RIGHT),
        ({"Range": "bytes=0-9,0-9,0-9,0-9"}, 200, RIGHT),
        ({"Range": "bytes=5-2"}, 200, RIGHT),
        ({"Range": "bytes=--5"}, 200, RIGHT),
        ({"Range": "bytes=-5-"}, 200, RIGHT),
        ({"Range": "bytes=\u0661-\u0662"}, 200, RIGHT),
        ({"Range": "bytes=" + "9" * 5000 + "-"}, 200, RIGHT),
        ({"Range": "items=0-5"}, 200, RIGHT),
        ({"Range": "bytes"}, 200, RIGHT),
        ({"Range": "bytes=0-0", "If-Range": '"another"'}, 200, RIGHT),
        ({"Range": "bytes=0-0", "If-Range": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200, RIGHT),
        ({"If-Match": '"another"'}, 412, None),
        ({"If-Match": '"another"', "Range": "bytes=0-0"}, 412, None),
        ({"If-Match": "*"}, 200, RIGHT),
        ({"If-None-Match": "*"}, 304, b""),
    ],
)  # fmt: skip
def test_a_range_is_exact_or_not_granted(
    gateway: Running, headers: dict[str, str], status: int, expected: bytes | None
) -> None:
    sent = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    answer = gateway.ask(PATH, headers=sent)
    assert answer.status == status
    if expected is not None:
        assert answer.content == expected
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(RIGHT)}"


@pytest.mark.usefixtures("published")
def test_conditions_know_the_entity_tag(gateway: Running) -> None:
    tag = gateway.ask(PATH, "HEAD").headers["ETag"]
    part = {"Range": "bytes=1-2"}
    assert gateway.ask(PATH, headers=part | {"If-Range": tag}).content == RIGHT[1:3]
    assert gateway.ask(PATH, headers=part | {"If-Range": f"W/{tag}"}).content == RIGHT
    assert gateway.ask(PATH, headers=part | {"If-Match": f'"x", {tag}'}).status == 206
    assert gateway.ask(PATH, headers={"If-Match": f"W/{tag}"}).status == 412
    assert gateway.ask(PATH, headers={"If-None-Match": f'"x", W/{tag}'}).status == 304
    # Only GET has ranges.
    head = gateway.ask(PATH, "HEAD", headers=part)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(RIGHT)))


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "path",
    [
        "/acme/m/resolve/main/../main/model.safetensors",
        "/acme/m/resolve/main/%2e%2e/model.safetensors",
        "/acme/m/resolve/main/%2E%2E%2Fmodel.safetensors",
        "/acme/m/resolve/main/./model.safetensors",
        "/acme/m/resolve/main//model.safetensors",
        "/acme/m/resolve/main/model.safetensors/",
        "/acme/m/resolve/main/model.safetensors%00",
        "/acme/m/resolve/main/%5c..%5cmodel.safetensors",
        "/acme/m/resolve/main/..%5cmodel.safetensors",
        "/acme/m/resolve/main/model.safetensors;x",
        "/acme/m/resolve/main/Model.safetensors",
        "/acme/m/resolve/main/model.safetensors%20",
        "/acme/m/resolve/main/%ff",
        "/acme/m/resolve/main/%ed%a0%80",
        "/acme/m/resolve/main/a%20b/e%CC%81;x%3F.json",
        "/acme/m/resolve/main/",
        "/acme/m/resolve/main",
        "/acme/../m/resolve/main/model.safetensors",
        "/acme%2fm/resolve/main/model.safetensors",
        "//acme/m/resolve/main/model.safetensors",
        "/acme/m/x/resolve/main/model.safetensors",
        "/acme/m/resolve/../model.safetensors",
        "/acme/m/resolve/..%2f..%2fevil/model.safetensors",
        "/api/models/acme/m/..%2fother",
        "/api/models/../../acme/m",
        "/api/models/acme/m/tree/main/..",
        "/etc/passwd",
        "/",
        "*",
    ],
)
def test_no_other_way_leads_to_a_file(gateway: Running, path: str) -> None:
    for method in ("GET", "HEAD"):
        head, _, body = raw(
            gateway, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        ).partition(b"\r\n\r\n")
        assert head.split()[1] in (b"400", b"404")
        assert RIGHT[:20] not in body


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/acme/m/resolve/main/a%20b/%C3%A9;x%3F.json", b"{}"),
        ("/acme/m/resolve/main/a%20b%2F%C3%A9;x%3F.json?download=true", b"{}"),
        ("/acme/m/resolve/main/resolve/main/x", b"x"),
        (f"{PATH}?x=../..", RIGHT),
    ],
)
def test_names_of_any_kind_are_served(gateway: Running, path: str, expected: bytes) -> None:
    answer = gateway.ask(path)
    assert (answer.status, answer.content) == (200, expected)


@pytest.mark.usefixtures("published")
def test_old_and_hasty_clients_are_served(gateway: Running) -> None:
    old = raw(gateway, f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
    assert old.startswith(b"HTTP/1.0 200")
    assert old.endswith(b"\r\n\r\n" + RIGHT)
    one = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"
    last = one.replace("Host", "Range: bytes=0-0\r\nConnection: close\r\nHost")
    several = raw(gateway, (one + one + last).encode())
    assert several.count(b"HTTP/1.1 200 OK") == 2
    assert several.count(b"\r\n\r\n" + RIGHT) == 2
    assert several.endswith(b"\r\n\r\n" + RIGHT[:1])


# What clients leave behind.


@pytest.fixture
def large(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Repeated:
    weights = Repeated(b"weights", 40 * MIB)
    files = {WEIGHTS: weights}
    hub.create("acme/m", files={WEIGHTS: weights, "model.sig": models.signature(files, key)})
    return weights


@pytest.fixture
def strict(hub: HubStandIn, settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    """A gateway that waits for no slow client."""
    limits = {"read_seconds": 0.5, "connect_seconds": 1, "minimum_bytes_per_second": 10 * MIB}
    with running(GateConfig.model_validate({**settings, "limits": limits}), tmp_path) as gateway:
        yield gateway


def test_a_client_that_takes_nothing_is_let_go(strict: Running, large: Repeated) -> None:
    eventually(lambda: receive(strict.endpoint, PATH).whole)
    with connected(strict) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(1.8)
        received = 0
        with suppress(ConnectionError):
            while block := connection.recv(1 << 20):
                received += len(block)
    assert received < large.size
    assert receive(strict.endpoint, PATH).whole


def test_clients_that_vanish_leave_nothing_behind(gateway: Running, large: Repeated) -> None:
    eventually(lambda: receive(gateway.endpoint, PATH).whole)
    receive(gateway.endpoint, PATH, most=1)
    descriptors, threads = _descriptors(), threading.active_count()
    for _ in range(15):
        with connected(gateway) as connection:
            connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(1)
    eventually(lambda: _descriptors() <= descriptors)
    # Those of a pool stay, as far as it goes.
    assert threading.active_count() <= threads + 15
    assert receive(gateway.endpoint, PATH).whole


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


# Paths and ranges of any kind.

_PARTS = st.sampled_from(
    [
        *("api", "models", "datasets", "spaces", "resolve", "main", "acme", "m", "tree", "refs"),
        *("pr", "1", "revision", "paths-info", "commits", "", ".", "..", "%2e%2e", "%2F", "a%20b"),
        *("%00", "%5C", "\\", "%ff", "%ED%A0%80", "%C3%A9", "\u202e", "%", "%%", "a;b", "a?b", "~"),
    ]
) | st.text(max_size=3)


_BEGINNINGS = st.sampled_from(
    ["/", "", "/acme/m/resolve/main/", "/acme/m/resolve/", "/api/models/acme/m/tree/"]
)


@given(st.tuples(_BEGINNINGS, st.lists(_PARTS, max_size=9).map("/".join)).map("".join))
@example("/acme/m/resolve/main/..%2fx")
@example("/acme/m/resolve/main/a%00b")
@example("/acme/m/resolve/..%2f..%2fx/y")
@example("/acme/m/resolve/%2fx/y")
@example("/acme/m..x/resolve/main/x")
def test_a_path_names_something_inside_a_repository_or_nothing(path: str) -> None:
    asked = parse(path)
    if asked is None:
        return
    assert all(part not in ("", ".", "..") for part in asked.path.split("/") if asked.path)
    for text in (asked.path, asked.revision or "", asked.repository.name):
        assert not text.startswith("/")
        assert not set(text) & {"\0", "\\", "\r", "\n"}
    assert ".." not in (asked.revision or "")
    owner, _, name = asked.repository.name.rpartition("/")
    for part in (owner, name) if owner else (name,):
        assert part.isascii()
        assert part[0].isalnum()
        assert ".." not in part
    assert parse(_quoted(asked)) == asked


def _quoted(asked: Asked) -> str:
    """The path with which this is asked for, as clients write it (RFC 3986)."""

    def quote(text: str, safe: str = "") -> str:
        plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~" + safe
        return "".join(
            chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in text.encode()
        )

    kind, name = asked.repository
    revision = quote(asked.revision or "")
    rest = f"/{quote(asked.path, '/')}" if asked.path else ""
    if asked.what == "resolve":
        prefix = "" if kind == "models" else f"/{kind}"
        return f"{prefix}/{name}/resolve/{revision}{rest or '/'}"
    what = "" if asked.what == "info" else f"/{asked.what}"
    at = f"/{revision}" if asked.revision else ""
    return f"/api/{kind}/{name}{what}{at}{rest}"


@given(
    st.sampled_from(["bytes=", "Bytes=", "items=", "bytes", ""]),
    st.sampled_from(["", "0", "1", "5", "9", "10", "99", "9" * 19, "9" * 40, "x"]),
    st.sampled_from(["-", "", "--"]),
    st.sampled_from(["", "0", "1", "5", "9", "10", "99", "9" * 19, ",0-0", " "]),
    st.sampled_from([0, 1, 5, 10]),
)
def test_a_range_is_as_rfc_9110_says_or_not_granted(
    unit: str, first: str, dash: str, last: str, size: int
) -> None:
    """Section 14.1.2, and 14.2: whoever does not grant a range gives the whole."""
    part = ranges.wanted("GET", {"Range": unit + first + dash + last}, size, '"t"')
    if part is not None and not part.partial:
        assert (part.start, part.end) == (0, size)
        return
    # Granted or refused, so it is one range of bytes.
    assert unit == "bytes="
    assert dash == "-"
    last = last.strip()
    if first:
        expected = range(size)[int(first) : min(int(last) + 1, size) if last else size]
    else:
        expected = range(size)[size - min(int(last), size) :]
    if part is None:
        assert not expected
    else:
        assert range(part.start, part.end) == expected
        assert part.content_range(size) == f"bytes {expected[0]}-{expected[-1]}/{size}"
