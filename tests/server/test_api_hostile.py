"""Hostile clients of the API: nothing that they send is an error of the server's, or more."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers.hub import HubStandIn
from tests.server.asking import TOKENS, Server, publish, serving, settings

JSON = {"Content-Type": "application/json"}
POST = "POST /v1/verdicts HTTP/1.1\r\nContent-Type: application/json"


def refused(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"].isprintable()
    assert all(mistake["where"].isprintable() for mistake in problem["errors"])
    return str(problem["detail"])


BODIES: Sequence[tuple[bytes, int, str]] = [
    (b"", 400, "empty"),
    (b"{", 400, "JSON"),
    (b"[]", 422, "the request"),
    (b'"hf://acme/x"', 422, "the request"),
    (b"{}", 422, "reference"),
    (b"\xff\xfe{}", 400, "UTF-8"),
    (b'{"reference": "hf://acme/x", "reference": "hf://acme/y"}', 400, "twice"),
    (b'{"reference": "hf://acme/x", "wait_seconds": NaN}', 400, "NaN"),
    (b'{"reference": "hf://acme/x", "wait_seconds": 1e999}', 400, "large"),
    (b'{"reference": "hf://acme/x", "wait_seconds": -1}', 422, "wait_seconds"),
    (b'{"reference": "hf://acme/x", "wait_seconds": "1"}', 422, "wait_seconds"),
    (b'{"reference": "hf://acme/\\ud800"}', 400, "surrogate"),
    (b'{"reference": "hf://acme/x", "context": {"\\udfff": 1}}', 400, "surrogate"),
    (b'{"reference": "hf://acme/x", "contxt": {}}', 422, "contxt"),
    (b'{"reference": "hf://acme/x", "\\u202econtext": {}}', 422, "\\u202e"),
    (b'{"reference": ["hf://acme/x"]}', 422, "reference"),
    (b'{"reference": "hf://acme/x", "assurance": "none"}', 422, "assurance"),
    (b'{"reference": "hf://acme/x", "context": []}', 422, "context"),
    (b'{"reference": "hf://acme/x", "context": {"operation": "root"}}', 422, "operation"),
    (b'{"reference": "hf://acme/x", "context": {"operation": ["load"]}}', 422, "operation"),
    (b'{"reference": "hf://acme/x", "context": {"operation": null}}', 422, "operation"),
    (b'{"reference": "hf://acme/x", "context": {"client": "ops"}}', 422, "client"),
    (b'{"reference": "hf://acme/x", "context": ' + b"[" * 100_000, 413, "bytes"),
    (b'{"reference": "hf://acme/x", "context": {"a": ' + b"[" * 500, 400, "levels"),
    (b'{"reference": "hf://acme/x", "context": {"a": [' + b"1," * 9000, 400, "values"),
    (b'{"reference": "' + b"x" * 3000 + b'"}', 422, "reference"),
]


@pytest.mark.parametrize(("body", "status", "word"), BODIES, ids=map(str, range(len(BODIES))))
def test_what_is_no_question_is_refused_with_a_sentence(
    api: Server, body: bytes, status: int, word: str
) -> None:
    detail = refused(api.send("POST", "/v1/verdicts", "red", data=body, headers=JSON), status)
    assert word in detail


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        ("/etc/passwd", 403),
        ("model", 403),
        ("~root/model", 403),
        ("file:///etc", 403),
        ("file:/etc", 403),
        ("local:///etc", 403),
        ("memory://x", 403),
        ("http://127.0.0.1:9/x", 403),
        ("https://169.254.169.254/latest/meta-data", 403),
        ("dir://x", 403),
        ("simplecache::file:///etc/passwd", 422),
        ("hf://acme/x::file:///etc/passwd", 422),
        ("hf://acme/../../etc", 422),
        ("hf://acme/x@..%2f..%2fapi", 422),
        ("hf://acme/x?token=1", 422),
        ("hf://user:secret@acme/x", 422),
        ("hf://acme/x\n", 422),
        ("hf://acme/\\..\\x", 422),
        ("hf://", 422),
        ("s3://", 422),
        (" hf://acme/x", 403),
        ("HF://acme/x", 403),
    ],
)
def test_a_reference_leads_nowhere_but_to_an_allowed_store(
    api: Server, hub: HubStandIn, reference: str, status: int
) -> None:
    detail = refused(api.ask(reference), status)
    assert "secret" not in detail
    assert hub.requests == []
    assert refused(api.ask(reference, assurance="bytes"), status)


def test_a_store_that_the_operator_does_not_name_is_not_asked(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/model")
    with serving(settings(public_key, schemes=["s3"]), tmp_path) as api:
        assert "s3://" in refused(api.ask("hf://acme/model"), 403)
        assert hub.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": ""},
        JSON | {"Content-Encoding": "gzip"},
        JSON | {"Content-Encoding": "identity, deflate"},
    ],
)
def test_what_a_form_of_another_site_can_send_is_no_question(
    api: Server, headers: dict[str, str]
) -> None:
    body = b'{"reference": "hf://acme/x"}'
    refused(api.send("POST", "/v1/verdicts", "red", data=body, headers=headers), 415)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/verdicts"),
        ("DELETE", f"/v1/verdicts/{'0' * 32}"),
        ("POST", f"/v1/verdicts/{'0' * 32}"),
        ("PATCH", "/v1/verdicts"),
    ],
)
def test_a_method_without_meaning_is_refused(api: Server, method: str, path: str) -> None:
    answer = api.send(method, path, "red")
    refused(answer, 405)
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "query",
    [
        "outcome=maybe",
        "outcome=",
        "outcome=denied&outcome=admitted",
        "reason=nonsense",
        "source=web",
        "since=yesterday",
        "since=1700000000",
        "since=2026-11-28T00:00:00",
        "since=2026-13-41T00:00:00Z",
        "cursor=../../etc/passwd",
        f"cursor={'0' * 32}",
        "limit=1000000",
        "model=",
        f"model={'a' * 201}",
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(api: Server, query: str) -> None:
    refused(api.get(f"/v1/verdicts?{query}"), 422)


@pytest.mark.parametrize(
    "query",
    [
        "model=%27%3B+DROP+TABLE+verdicts%3B--",
        "model=%00%FF%FE",
        "model=" + "*a" * 100,
        "model=%25_",
        "tenant=%27+OR+1%3D1--",
        "since=0001-01-01T00:00:00%2B14:00",
        "since=9999-12-31T23:59:59-14:00",
    ],
)
def test_a_hostile_query_finds_nothing_more(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, query: str
) -> None:
    publish(hub, key, "acme/blues")
    api.ask("hf://acme/blues", "blue")
    answer = api.get(f"/v1/verdicts?{query}")
    assert answer.status_code == 200
    assert "acme/blues" not in answer.text
    assert api.get("/v1/verdicts", "blue").json()["verdicts"]


@pytest.mark.parametrize(
    "name", ["x", "%00", "..%2f..%2fetc", "0" * 33, "A" * 32, "%ED%A0%80", "' OR 1=1--", "%"]
)
def test_an_id_that_is_none_is_not_found(api: Server, name: str) -> None:
    assert api.get(f"/v1/verdicts/{name}").status_code == 404
    assert api.get(f"/verdicts/{name}").status_code == 404


def test_headers_of_clients_are_no_part_of_a_verdict(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    publish(hub, key, "acme/unsigned", unsigned=True)
    spoofed = {
        "X-OMS-Gate-Verdict": "admitted-spoof",
        "X-Forwarded-User": "ops-spoof",
        "User-Agent": "agent-spoof",
    }
    question = {"reference": "hf://acme/unsigned"}
    answer = api.send("POST", "/v1/verdicts", "red", json=question, headers=spoofed)
    assert answer.json()["verdict"]["outcome"] == "denied"
    assert "spoof" not in answer.text
    assert "spoof" not in str(answer.headers)
    assert not any("spoof" in str(request.headers) for request in hub.requests)
    assert not any(TOKENS["red"] in str(request.headers) for request in hub.requests)


def raw(server: Server, head: str, body: bytes = b"") -> bytes:
    """What the server says to a request as it is written here."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        text = f"{head}\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKENS['red']}"
        connection.sendall(text.encode("latin-1") + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
    return said


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("GET /v1/verdicts?model=\xed\xa0\x80\xff HTTP/1.1", b""),
        ("GET /v1/verdicts/\xff\xfe HTTP/1.1", b""),
        ("GET /?model=\xff HTTP/1.1", b""),
        ("POST /v1/verdicts HTTP/1.1\r\nContent-Type: \xff\xfe", b""),
        (
            f"{POST}\r\nTransfer-Encoding: chunked",
            b"zz\r\n{}\r\n0\r\n\r\n",
        ),
        (
            f"{POST}\r\nContent-Length: 100",
            b"{",
        ),
        (f"{POST}\r\nContent-Length: -1", b""),
    ],
    ids=["query", "path", "page", "type", "chunks", "short", "length"],
)
def test_what_is_hardly_http_is_no_defect(api: Server, head: str, body: bytes) -> None:
    said = raw(api, head, body)
    assert b" 500 " not in said.split(b"\r\n")[0]
    assert api.get("/v1/verdicts").status_code == 200


def test_a_request_that_does_not_arrive_is_given_up(
    public_key: Path, hub: HubStandIn, tmp_path: Path
) -> None:
    with serving(settings(public_key, request_seconds=0.1), tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/verdicts HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer "
                + TOKENS["red"].encode()
                + b"\r\n\r\n{"
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_numbers_and_texts_of_any_kind_are_context(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    publish(hub, key, "acme/context")
    context: dict[str, Any] = {
        "\u202e": ["\x00", 2**100, 1.5e300, None, True, {"": {}}],
        "namespace": 7,
        "namespace_labels": ["x"],
    }
    answer = api.ask("hf://acme/context", context=json.loads(json.dumps(context)))
    assert answer.status_code == 200
