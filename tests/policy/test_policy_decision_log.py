"""Decision logs: written by many at once, whole, and read from wherever they come."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import Limits
from oms_gate.policy.decision import parse_decision
from oms_gate.policy.decision_log import LoggedEngine, append_event, event, read_events
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from tests.policy.hostile_server import answer, serve
from tests.policy.samples import document

ANSWER = {
    "allow": False,
    "deny": [{"code": "coverage.unsigned", "msg": "no", "path": "a"}, {"code": "own", "msg": "x"}],
    "warn": [{"code": "publisher.unknown", "msg": "y"}],
    "annotations": {"team": "red"},
    "require": "bytes",
}


def test_a_decision_is_read_as_it_was_made() -> None:
    decision = parse_decision(ANSWER)
    assert parse_decision(decision.to_answer()) == decision


def test_an_engine_that_logs(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    engine = LoggedEngine(WasmEngine.bundled({"oms_gate": {"publishers": []}}, Limits()), file)
    decided = [engine.decide(document()), engine.decide({})]
    engine.close()
    logged = list(read_events(file))
    assert [found.decision_id for found in logged] == [made.decision_id for made in decided]
    assert len({found.decision_id for found in logged}) == 2
    assert logged[0].input == json.loads(json.dumps(document()))
    assert parse_decision(logged[0].result).deny == decided[0].deny
    assert logged[0].path == "oms_gate/admission/decision"
    assert datetime.fromisoformat(logged[0].timestamp).tzinfo == UTC
    line = json.loads(file.read_text().splitlines()[0])
    assert line["bundles"]["oms_gate"]["revision"] == engine.revision
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_failure_is_logged_too(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    with serve(answer(b"{}")) as server:
        engine = LoggedEngine(ServerEngine(server.url), file)
        with pytest.raises(PolicyError):
            engine.decide(document())
        engine.close()
    line = json.loads(file.read_text())
    assert line["error"]["code"] == ReasonCode.POLICY_UNDEFINED
    assert [found.result for found in read_events(file)] == [None]


def test_what_cannot_be_logged_is_not_decided(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "decisions.jsonl"
    engine = LoggedEngine(WasmEngine.bundled({"oms_gate": {"publishers": []}}, Limits()), file)
    with pytest.raises(PolicyError) as caught:
        engine.decide(document())
    engine.close()
    assert caught.value.reason.code is ReasonCode.POLICY_UNLOGGED
    assert caught.value.reason.code.undecided
    assert "decision_log" in caught.value.reason.message


def _event(number: int) -> dict[str, object]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return event({"n": number}, parse_decision(ANSWER), revision="r", decision_id="i", now=now)


def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    append_event(file, _event(1))
    before = file.read_bytes()
    program = (
        "import json, resource, signal, sys; from pathlib import Path; "
        "from oms_gate.policy.decision_log import append_event; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2); "
        "append_event(Path(sys.argv[1]), {'input': {}, 'x': 'y' * 1000})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, file, str(len(before) + 100)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "policy" in run.stderr
    assert "File too large" in run.stderr
    assert file.read_bytes() == before


def test_many_processes_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:  # pragma: no cover - in the child
            for number in range(50):
                append_event(file, {**_event(child * 50 + number), "pad": "x" * 20_000})
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert sorted(found.input["n"] for found in read_events(file)) == list(range(200))


def test_logs_in_a_folder_packed_or_not(tmp_path: Path) -> None:
    line = json.dumps(_event(1)) + "\n"
    console = json.dumps({"level": "info", "msg": "Received request."}) + "\n"
    other = json.dumps({**_event(3), "path": "system/authz/allow"}) + "\n"
    (tmp_path / "a.jsonl").write_text(line + "\nhttp: an error\n" + console + other)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps([_event(2), _event(4)]).encode()))
    (tmp_path / "notes.txt").write_text("nothing")
    assert [found.input["n"] for found in read_events(tmp_path)] == [1, 2, 4]
    assert next(found.place for found in read_events(tmp_path)) == f"{tmp_path}/a.jsonl:1"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"input": {}, "timestamp": "x"}\n{', "a.jsonl:2 is not JSON"),
        ("a.jsonl", b"[1]", "a.jsonl:1 is not an object"),
        ("a.jsonl", b'{"decision_id": "x", "timestamp": "x"}', "system.log.mask"),
        ("a.jsonl", b"[" * 100_000, "is not JSON"),
        ("a.gz", gzip.compress(b"x" * 1000)[:-9], "a.gz cannot be read"),
        ("a.txt", b"", "holds no decision log"),
        ("a.log", b'{"level": "info", "msg": "Received request."}\n', "holds no decision of the"),
    ],
    ids=["cut", "a list", "no input", "deep", "cut gzip", "another name", "no decisions logged"],
)
def test_what_is_no_decision_log(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(words)):
        list(read_events(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_events(tmp_path / "absent"))
