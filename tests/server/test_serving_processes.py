"""A service in operation: its processes, its signals, its ports, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_gate.server import workers
from oms_gate.server.task import Report, Task
from tests.commands import oms_gate
from tests.server.running import GATE, ROOT, Running, received, until

pytestmark = pytest.mark.xdist_group("serving-processes")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(
        tmp_path_factory.mktemp("processes"),
        "--workers",
        "2",
        log_format="json",
        restarts=3,
        drain_seconds=1,
    ) as running:
        until(lambda: running.metric('oms_gate_workers{state="ready"}') == 2)
        yield running


ANSWERED = 'oms_gate_requests_total{method="GET",route="/process",status="200"}'


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: gate\r\n\r\n".encode()


def answering(service: Running) -> int:
    return int(service.get("/process")[1])


def test_processes_share_the_port_and_count_together(service: Running) -> None:
    before = service.metric(ANSWERED)
    seen: set[int] = set()
    asked = 0
    while len(seen) < 2:
        seen.add(answering(service))
        asked += 1
    assert seen == service.processes()
    until(lambda: service.metric(ANSWERED) == before + asked)
    assert service.health("/healthz") == (200, "ok\n")
    assert service.health("/readyz") == (200, "ok\n")
    assert service.metric('oms_gate_build_info{version="0.1.0"}') == 1


def test_a_process_that_is_killed_is_begun_anew(service: Running) -> None:
    victim = min(service.processes())
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in service.processes() and len(service.processes()) == 2)
    # Meanwhile the other one answers.
    assert service.get("/process")[0] == 200
    until(lambda: service.metric('oms_gate_workers{state="ready"}') == 2)
    assert service.metric("oms_gate_worker_restarts_total") == 1
    assert f"process {victim} ended with status -9" in service.log


def test_a_configuration_that_is_broken_changes_nothing_and_is_told(service: Running) -> None:
    sound = service.config.read_text()
    try:
        service.config.write_text("publishers: [oops]")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: service.metric("oms_gate_configuration_stale") == 1)
        until(lambda: service.log.count("cannot be used as it is now") == 2)
        assert service.health("/readyz")[0] == 200
        assert service.get("/process")[0] == 200
    finally:
        service.config.write_text(sound.replace('"restarts": 3', '"restarts": 4'))
    service.process.send_signal(signal.SIGHUP)
    until(lambda: service.metric("oms_gate_configuration_stale") == 0)
    until(lambda: service.log.count("restart to use it") == 2)


def test_no_request_should_come_while_nothing_can_be_kept(service: Running) -> None:
    hidden = service.cache.with_name("hidden")
    service.cache.rename(hidden)
    try:
        _, said = until(lambda: (found := service.health("/readyz"))[0] == 503 and found)
        assert f"the cache {service.cache} cannot be written to" in said
    finally:
        hidden.rename(service.cache)
    until(lambda: service.health("/readyz")[0] == 200)


def test_what_is_being_answered_when_it_ends_is_answered_unless_it_takes_too_long(
    tmp_path: Path,
) -> None:
    with Running(tmp_path, "--workers", "1", log_format="json", drain_seconds=2) as service:
        with (
            service.connected() as idle,
            service.connected() as going,
            service.connected() as slow,
            service.connected() as silent,
        ):
            idle.sendall(request("/process"))
            going.sendall(request("/stream/6/0.1"))
            slow.sendall(request("/stream/1000/0.1"))
            assert {found.recv(10) for found in (idle, going, slow)} == {b"HTTP/1.1 2"}
            started = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            until(lambda: service.health("/readyz") == (503, "the service is ending\n"))
            with pytest.raises(ConnectionRefusedError):
                until(lambda: service.connected().close())
            assert received(going).endswith(b"x" * 6 * 1024)
            for connection in (idle, silent):
                received(connection)
            assert time.monotonic() - started < 1.9
            assert len(received(slow)) < 100_000
        assert service.process.wait(5) == 0
        assert [event["path"] for event in service.events("aborted")] == ["/stream/1000/0.1"]
        assert len(service.events("stopped")) == 1
        assert "Traceback" not in service.log


def test_a_process_ends_when_nobody_looks_after_it(tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps(GATE | {"service": {"drain_seconds": 1}}))
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        task = Task(
            *(str(config), str(tmp_path), "oms-gate-test", "text"),
            listener=listener.fileno(),
            reports=theirs.fileno(),
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.trial_worker", task.to_json()],
            pass_fds=(task.listener, task.reports),
            cwd=ROOT,
        )
        theirs.close()
        try:
            with ours.makefile("rb") as reports:
                assert Report.from_line(reports.readline()) == Report()
            ours.shutdown(socket.SHUT_RDWR)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()


def test_a_service_whose_processes_end_again_and_again_ends(tmp_path: Path) -> None:
    with Running(tmp_path, "--workers", "1", restarts=0) as service:
        (process,) = service.processes()
        os.kill(process, signal.SIGKILL)
        assert service.process.wait(10) == 3
        assert "more often than service.restarts in gate.yaml allows" in service.log


def test_what_cannot_begin_is_said_once(tmp_path: Path) -> None:
    service = Running(tmp_path, "--workers", "1", environment={"TRIAL_FAILS": "1"})
    assert service.process.wait(20) == 2
    service.stop()
    assert service.log.count("oms-gate: this part cannot begin") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "{taken}"), "port {taken}: Address already in use; choose another one"),
        (("--port", "0", "--health-port", "{taken}"), "port {taken}"),
        (("--host", "192.0.2.1"), "cannot listen at 192.0.2.1"),
        (("--tls-cert", "x.pem"), "belong together"),
        (("--client-ca", "x.pem"), "needs --tls-cert"),
        (("--tls-cert", "x.pem", "--tls-key", "x.pem"), "x.pem"),
        (("--own-certificate", "x"), "is for --webhook"),
        (("--webhook", "--workers", "2"), "--workers is not for --webhook"),
    ],
)
def test_mistakes_are_told_before_anything_begins(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "gate.yaml").write_text(json.dumps(GATE))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"taken": str(taken.getsockname()[1])}
        done = oms_gate(
            "serve",
            *("-c", tmp_path / "gate.yaml", "--cache", tmp_path / "cache"),
            *(option.format(**names) for option in options),
        )
    assert done.returncode == 2
    assert said.format(**names) in done.stderr
    assert "Traceback" not in done.stderr


def test_as_many_processes_as_there_are_cores(tmp_path: Path, monkeypatch: Any) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(workers, "_QUOTA", quota)
    allowed = len(os.sched_getaffinity(0))
    for said, count in (("max 100000", allowed), ("50000 100000", 1), ("900000 100000", allowed)):
        quota.write_text(said)
        assert workers.cores() == count


def test_the_gateway_needs_no_kubernetes(service: Running) -> None:
    modules = json.loads(service.get("/modules")[1])
    assert {"kubernetes", "opentelemetry"}.isdisjoint(modules)
