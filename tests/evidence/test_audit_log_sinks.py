"""Where else lines of the audit log go: a standard stream, syslog, OpenTelemetry."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from oms_gate.errors import ConfigError, EvidenceError
from oms_gate.evidence.sinks import SYSLOG_BYTES
from oms_gate.evidence.verification import verify_log
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Coverage, FileFact
from tests.evidence.logs import CONTEXT, GateKey, lines_of, log_in, verdict_on, whole

# RFC 5424, 6: priority, version, time, host, program, process, kind, no structured data.
MESSAGE = re.compile(
    r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ oms-gate (\d+) "
    r"(start|verdict) - (\{.*\})"
)


def test_a_stream_gets_each_line_of_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = log_in(tmp_path, stream="stderr")
    log.write(verdict_on(), CONTEXT)
    assert capfd.readouterr().err == (tmp_path / "audit.jsonl").read_text()


def test_without_a_file_each_process_has_a_chain_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = GateKey(tmp_path)
    log = log_in(tmp_path, key, file=None, stream="stdout", checkpoint_lines=3)
    log.write(verdict_on("a"), CONTEXT)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.write(verdict_on("b"), CONTEXT)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    log.write(verdict_on("c"), CONTEXT)
    lines = capfd.readouterr().out.splitlines(keepends=True)
    logs = dict.fromkeys(json.loads(line)["log"] for line in lines)
    assert len(logs) == 2
    for number, name in enumerate(logs):
        file = tmp_path / f"{number}.jsonl"
        file.write_text("".join(line for line in lines if name in line))
    assert whole(tmp_path / "0.jsonl", key).verdicts == 2
    assert whole(tmp_path / "1.jsonl").verdicts == 1


def test_without_a_file_threads_write_in_order(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = log_in(tmp_path, file=None, stream="stdout")

    def write() -> None:
        for _ in range(25):
            log.write(verdict_on(), CONTEXT)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    (tmp_path / "stream.jsonl").write_text(capfd.readouterr().out)
    assert whole(tmp_path / "stream.jsonl").verdicts == 100


@pytest.mark.parametrize("settings", [{"syslog": True}, {"file": None, "stream": "stderr"}])
def test_a_process_that_was_forked_does_not_wait_for_a_thread_that_it_lacks(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """One that was in the middle of a line."""
    with closing(Syslogd("udp", tmp_path)) as receiver:
        if "syslog" in settings:
            settings = {"syslog": {"address": receiver.address}}
        log = log_in(tmp_path, **settings)
        log.write(verdict_on(), CONTEXT)
        held = [vars(sink)["_lock"] for sink in log._sinks if "_lock" in vars(sink)]
        with contextlib.ExitStack() as stack:
            for lock in (log._turn, *held):
                stack.enter_context(lock)
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                log.write(verdict_on(), CONTEXT)
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        log.close()


@pytest.mark.parametrize("stream", [None, io.TextIOWrapper(io.BytesIO())])
def test_a_stream_that_takes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: io.TextIOWrapper | None
) -> None:
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(EvidenceError, match="could not be written to stderr") as caught:
        log_in(tmp_path, stream="stderr").write(verdict_on(), CONTEXT)
    assert caught.value.reason.code is ReasonCode.EVIDENCE_UNWRITTEN


class Syslogd:
    """Receives syslog, over a socket of one kind."""

    def __init__(self, scheme: str, folder: Path) -> None:
        self.scheme = scheme
        family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
        kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
        self.socket = socket.socket(family, kind)
        self.socket.bind(str(folder / "log") if scheme == "unix" else ("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.connection: socket.socket | None = None
        name = self.socket.getsockname()
        self.address = f"unix://{name}" if scheme == "unix" else f"{scheme}://{name[0]}:{name[1]}"
        if scheme == "tcp":
            self.socket.listen()

    def received(self, count: int) -> list[str]:
        """So many messages."""
        if self.scheme != "tcp":
            return [self.socket.recv(1 << 20).decode() for _ in range(count)]
        if self.connection is None:
            self.connection, _ = self.socket.accept()
            self.connection.settimeout(10)
        content = b""
        while content.count(b"\n") < count:
            content += self.connection.recv(1 << 20)
        return content.decode().splitlines()

    def close(self) -> None:
        """Hang up."""
        if self.connection is not None:
            self.connection.close()
        self.socket.close()


@pytest.mark.parametrize("scheme", ["unix", "udp", "tcp"])
def test_syslog_gets_each_line_as_a_message(tmp_path: Path, scheme: str) -> None:
    with closing(Syslogd(scheme, tmp_path)) as receiver:
        syslog = {"address": receiver.address, "facility": "local3"}
        with closing(log_in(tmp_path, syslog=syslog)) as log:
            log.write(verdict_on(), CONTEXT)
            log.write(verdict_on(admitted=False), CONTEXT)
            messages = receiver.received(3)
    found = [MESSAGE.fullmatch(message) for message in messages]
    assert [match and match[4] for match in found] == (
        (tmp_path / "audit.jsonl").read_text().splitlines()
    )
    # Facility 19; notice, and warning where it is denied.
    assert [match and match[1] for match in found] == ["157", "157", "156"]


def test_of_a_long_line_syslog_gets_what_finds_it_again(tmp_path: Path) -> None:
    files = tuple(FileFact(path=f"{n:0200}", size=1, kind="code") for n in range(100))
    verdict = verdict_on(admitted=False).model_copy(
        update={"coverage": Coverage(signed=0, signed_bytes=0, unsigned=files)}
    )
    with (
        closing(Syslogd("udp", tmp_path)) as receiver,
        closing(log_in(tmp_path, syslog={"address": receiver.address})) as log,
    ):
        log.write(verdict, CONTEXT)
        _, message = receiver.received(2)
    match = MESSAGE.fullmatch(message)
    assert match is not None
    said = json.loads(match[4])
    line = lines_of(tmp_path / "audit.jsonl")[1]
    assert len(match[4]) < SYSLOG_BYTES < len(json.dumps(line))
    assert (said["seq"], said["hash"], said["shortened"]) == (2, line["hash"], True)
    assert said["verdict"]["model"] == line["verdict"]["model"]
    assert said["verdict"]["reasons"] == ["signature.missing"]
    assert whole(tmp_path / "audit.jsonl", expected_hash=said["hash"])


@pytest.mark.parametrize("scheme", ["unix", "udp", "tcp"])
def test_without_syslog_the_verdict_is_not_written(tmp_path: Path, scheme: str) -> None:
    with closing(Syslogd(scheme, tmp_path)) as receiver:
        address = receiver.address
    with (
        closing(log_in(tmp_path, syslog={"address": address})) as log,
        pytest.raises(EvidenceError, match="did not take a line") as caught,
    ):
        for _ in range(2):  # Of datagrams, the first one asks whether anybody is there.
            log.write(verdict_on(), CONTEXT)
    assert caught.value.reason.code is ReasonCode.EVIDENCE_UNWRITTEN


def test_syslog_that_has_hung_up_is_called_again(tmp_path: Path) -> None:
    with (
        closing(Syslogd("tcp", tmp_path)) as receiver,
        closing(log_in(tmp_path, syslog={"address": receiver.address})) as log,
    ):
        log.write(verdict_on("a"), CONTEXT)
        receiver.received(2)
        assert receiver.connection is not None
        receiver.connection.close()
        receiver.connection = None
        log.write(verdict_on("b"), CONTEXT)
        (message,) = receiver.received(1)
    assert "acme/b" in message


def test_syslog_that_does_not_listen_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with closing(Syslogd("tcp", tmp_path)) as receiver:
        settings = {"address": receiver.address, "seconds": 0.2}
        with (
            closing(log_in(tmp_path, syslog=settings)) as log,
            pytest.raises(EvidenceError, match="did not take a line"),
        ):
            for _ in range(5000):
                log.write(verdict_on("m" * 3000), CONTEXT)


class _Collector(http.server.BaseHTTPRequestHandler):
    records: list[LogRecord]

    def do_POST(self) -> None:
        sent = ExportLogsServiceRequest()
        sent.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in sent.resource_logs:
            for scope in resource.scope_logs:
                self.records.extend(scope.log_records)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[LogRecord]]:
    """What a collector of OpenTelemetry got."""
    _Collector.records = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield _Collector.records
        server.shutdown()
        thread.join()


def test_opentelemetry_gets_each_line_as_a_record(tmp_path: Path, records: list[LogRecord]) -> None:
    with closing(log_in(tmp_path, otlp=True)) as log:
        log.write(verdict_on(), CONTEXT)
        log.write(verdict_on(admitted=False), CONTEXT)
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [record.body.string_value for record in records] == lines
    assert [record.severity_text for record in records] == ["INFO", "INFO", "WARN"]
    said = {entry.key: entry.value for entry in records[2].attributes}
    assert said["oms_gate.outcome"].string_value == "denied"
    assert said["oms_gate.model"].string_value == "hf://acme/m@1"
    assert said["oms_gate.seq"].int_value == 3
    assert said["oms_gate.hash"].string_value == json.loads(lines[2])["hash"]


def test_without_opentelemetry_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
    with pytest.raises(ConfigError, match=r"install oms-gate\[otel\]"):
        log_in(tmp_path, otlp=True)


def test_what_a_sink_does_not_take_is_in_the_file(tmp_path: Path) -> None:
    """And says so there, as nobody can take a line back."""
    settings = {"address": "tcp://127.0.0.1:9"}
    with pytest.raises(EvidenceError):
        log_in(tmp_path, syslog=settings).write(verdict_on(), CONTEXT)
    assert verify_log(tmp_path / "audit.jsonl").verdicts == 1
