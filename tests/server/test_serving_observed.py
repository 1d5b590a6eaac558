"""What operators see of a service: its logs, metrics and traces; and whom it lets in over TLS."""

from __future__ import annotations

import http.server
import json
import logging
import shutil
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from oms_gate.reason_codes import ReasonCode
from oms_gate.server import logs
from tests.peers.authority import Authority
from tests.server.running import Running, until

pytestmark = pytest.mark.xdist_group("serving-observed")

TRACE = "0af7651916cd43dd8448eb211c80319c"


OTHERS = 'oms_gate_requests_total{method="other",route="none",status="405"}'


class Collector(http.server.ThreadingHTTPServer):
    """Receives traces by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[Span] = []

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _Receiver(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, collector: Collector
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("observed")
    issued = authority.issue("gate", hosts=["127.0.0.1"])
    pair = folder / "tls.crt", folder / "tls.key"
    shutil.copy(issued.certificate, pair[0])
    shutil.copy(issued.key, pair[1])
    with Running(
        folder,
        *("--workers", "1", "--host", "127.0.0.1"),
        *("--tls-cert", str(pair[0]), "--tls-key", str(pair[1])),
        *("--client-ca", str(authority.certificate)),
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        },
        log_format="json",
        drain_seconds=1,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate)


def ask(
    service: Running, tls: ssl.SSLContext, path: str, **headers: str
) -> tuple[int, dict[str, str]]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"https://127.0.0.1:{service.port}{path}", headers=names)
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers)


def answered(service: Running, path: str) -> dict[str, Any]:
    """What was logged last of a request for this path."""
    found: list[dict[str, Any]] = until(
        lambda: [event for event in service.events("answered") if event.get("path") == path]
    )
    return found[-1]


def test_a_request_is_logged_once_without_its_secrets(
    service: Running, tls: ssl.SSLContext
) -> None:
    status, headers = ask(
        service,
        tls,
        "/acme/hf_abcdefghijkl/resolve?token=topsecret",
        Authorization="Bearer hf_mnopqrstuvwx",
        Cookie="session=topsecret",
        User_Agent="me \u202e\u2066".encode().decode("latin-1"),
    )
    assert status == 200
    event = answered(service, "/acme/hf_***/resolve")
    assert event["request_id"] == headers["X-Request-Id"]
    assert event["method"] == "GET"
    assert event["route"] == "everything"
    assert event["status"] == 200
    assert event["bytes"] > 20
    assert 0 <= event["seconds"] < 5
    assert event["address"] == "127.0.0.1"
    assert event["agent"] == r"me \u202e\u2066"
    assert event["time"].endswith("Z")
    for secret in ("topsecret", "hf_a", "hf_m", "\u202e", "token="):
        assert secret not in service.log


@pytest.mark.parametrize(
    ("given", "kept"),
    [("job-42.step_7", True), ("short", False), ("x" * 200, False), ("a b c d e f", False)],
)
def test_the_id_of_a_request_is_the_clients_own_if_it_can_be(
    service: Running, tls: ssl.SSLContext, given: str, kept: bool
) -> None:
    _, headers = ask(service, tls, "/x", X_Request_Id=given)
    assert (headers["X-Request-Id"] == given) is kept
    assert len(headers["X-Request-Id"]) >= 8
    assert headers["Server"] == "oms-gate"


def test_what_libraries_log_is_escaped_and_known_by_its_request(
    service: Running, tls: ssl.SSLContext
) -> None:
    ask(service, tls, "/log", X_Request_Id="request-1")
    (event,) = [found for found in service.log.splitlines() if "somebody.else" in found]
    found = json.loads(event)
    assert found["request_id"] == "request-1"
    assert found["level"] == "warning"
    assert found["event"] == (
        r"GET https://cdn.example/x?*** with {'authorization': '*** ***'}\nforged \u202eline"
    )


def test_decisions_are_logged_counted_and_traced(
    service: Running, tls: ssl.SSLContext, collector: Collector
) -> None:
    ask(service, tls, "/decide?x=topsecret", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    event = answered(service, "/decide")
    assert (event["verdict"], event["reason"]) == ("denied", ReasonCode.SIGNATURE_MISSING)
    assert event["client"] == r"team-a\u202e"
    (decided,) = service.events("decided")
    assert decided["model"] == "hf://acme/model@0123"
    assert decided["message"] == "acme/model is not signed"
    assert decided["request_id"] == event["request_id"]
    for line, value in (
        ('oms_gate_decisions_total{outcome="denied",source="api"}', 1),
        ('oms_gate_denials_total{reason="signature.missing"}', 1),
        ('oms_gate_decision_seconds_sum{source="api"}', 1),
        ('oms_gate_cache_lookups_total{result="hit",what="decision"}', 1),
        ("oms_gate_hashed_bytes_total", 4096),
        ('oms_gate_upstream_failures_total{reason="store.unavailable"}', 1),
        ('oms_gate_requests_total{method="GET",route="/decide",status="403"}', 1),
        ('oms_gate_request_seconds_count{route="/decide"}', 1),
        ("oms_gate_requests_running", 0),
    ):
        assert service.metric(line) == value, line
    assert service.metric("oms_gate_served_bytes_total") > 100
    assert "acme" not in service.health("/metrics")[1]
    (request,) = until(lambda: collector.named("GET /decide"))
    assert request.trace_id.hex() == TRACE
    (status,) = [found.value for found in request.attributes if found.key.endswith("status_code")]
    assert status.int_value == 403
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    (decision,) = until(lambda: collector.named("decide"))
    assert (decision.trace_id, decision.parent_span_id) == (request.trace_id, request.span_id)
    steps = [*collector.named("snapshot"), *collector.named("bundle")]
    took = [(step.end_time_unix_nano - step.start_time_unix_nano) / 1e9 for step in steps]
    assert took == [0.25, 0.5]
    assert {step.parent_span_id for step in steps} == {decision.span_id}
    came, failed = sorted(collector.named("fetch"), key=lambda span: str(span.attributes))
    assert {span.parent_span_id for span in (came, failed)} == {request.span_id}
    assert (came.end_time_unix_nano - came.start_time_unix_nano) / 1e9 == 0.5
    assert [came.status.code, failed.status.code] == [0, Status.STATUS_CODE_ERROR]
    assert "a.json" in str(came)
    assert "store.unavailable" in str(failed)
    assert "topsecret" not in str(collector.spans)


def test_a_trace_of_a_defect_has_none_of_its_words(
    service: Running, tls: ssl.SSLContext, collector: Collector
) -> None:
    assert ask(service, tls, "/fail")[0] == 500
    (span,) = until(lambda: collector.named("GET /fail"))
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert "hf_" not in str(span)
    assert "KeyError" not in str(span)


def test_methods_that_nobody_knows_are_counted_as_one(
    service: Running, tls: ssl.SSLContext
) -> None:
    for name in (b"PROPFIND", b"PURGE"):
        with (
            socket.create_connection(("127.0.0.1", service.port)) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(name + b" /x HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 405 ")
    until(lambda: service.metric(OTHERS) == 2)
    assert "PROPFIND" not in service.health("/metrics")[1]


def test_clients_without_a_certificate_are_let_in_and_those_with_another_are_not(
    service: Running, authority: Authority, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    assert ask(service, tls, "/x")[0] == 200
    for trusted, issuer in ((True, authority), (False, Authority(tmp_path))):
        context = ssl.create_default_context(cafile=authority.certificate)
        client = issuer.issue("client")
        context.load_cert_chain(client.certificate, client.key)
        if trusted:
            assert ask(service, context, "/x")[0] == 200
        else:
            with pytest.raises(OSError):
                ask(service, context, "/x")


def test_a_new_certificate_is_shown_as_soon_as_it_is_there(
    service: Running, authority: Authority, tls: ssl.SSLContext
) -> None:
    def shown() -> bytes | None:
        with (
            socket.create_connection(("127.0.0.1", service.port)) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            return secure.getpeercert(binary_form=True)

    before = shown()
    issued = authority.issue("gate-anew", hosts=["127.0.0.1"])
    folder = service.config.parent
    for source, name in ((issued.certificate, "tls.crt"), (issued.key, "tls.key")):
        (folder / "new").write_bytes(source.read_bytes())
        (folder / "new").rename(folder / name)
    until(lambda: shown() != before)


def formatted(message: str, log_format: str = "text", **fields: Any) -> str:
    written = logs._as_json if log_format == "json" else logs._as_text
    record = logging.LogRecord("a", logging.INFO, "", 0, message, (), None)
    record.created = 0
    setattr(record, logs.FIELDS, fields)
    return logs.OneLine(written).format(record)


def test_lines_of_text() -> None:
    line = formatted("did it", path="/a b", count=3, seconds=0.25, none=None, empty="", odd='x"=')
    assert line == (
        '1970-01-01T00:00:00.000Z INFO a: did it path="/a b" count=3 seconds=0.250 empty="" '
        'odd="x\\"="'
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "secret",
    [
        "hf_ABCDEFGH",
        "Bearer abcdef.ghi",
        "{'Authorization': 'abcdef'}",
        "cookie: abcdef",
        "x-webhook-secret=abcdef",
        "https://host/path?X-Amz-Credential=abcdef&X-Amz-Signature=abcdef more",
        "hf_ABCDEFGH\u202e\x1b\n\u2028",
    ],
)
def test_no_secret_and_no_second_line_gets_through(secret: str, log_format: str) -> None:
    for line in (formatted(secret, log_format), formatted("x", log_format, field=secret)):
        assert "bcdef" not in line.lower()
        assert line.isprintable()


def test_to_mask_takes_linear_time() -> None:
    for text in ("?" * 200_000, "hf_" * 100_000, "bearer " * 50_000, "authorization:" * 30_000):
        logs.masked(text)
