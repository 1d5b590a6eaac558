"""The record of recent verdicts: bounded, shared, and of no weight for what is decided."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oms_gate import __version__
from oms_gate.errors import ConfigError
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.recorded import VerdictFilter
from oms_gate.server.verdicts import Verdicts
from oms_gate.service_settings import ApiSettings
from oms_gate.verdict import Model, Reason, Verdict


def verdict(name: str = "acme/model", *messages: str) -> Verdict:
    """A denial with these messages, or an undecided one of a model that is not there."""
    code = ReasonCode.PUBLISHER_UNKNOWN if messages else ReasonCode.STORE_NOT_FOUND
    return Verdict(
        outcome="denied",
        undecided=code.undecided,
        model=Model(url=f"hf://{name}", name=f"hf://{name}"),
        reasons=tuple(Reason(code=code, message=text) for text in messages or ("gone",)),
        checked_at=datetime.now(UTC),
        gate_version=__version__,
    )


def record(file: Path, **options: Any) -> Verdicts:
    given = {"most": 100, "most_bytes": 10**6, "wait_seconds": 10}
    return Verdicts(file, **given | options)


def urls(verdicts: Verdicts, **options: Any) -> list[str]:
    found = verdicts.recent(VerdictFilter(), **{"most": 1000} | options)
    return [entry.verdict.url.removeprefix("hf://acme/") for entry in found]


def test_what_is_recorded_is_found_whole(tmp_path: Path) -> None:
    verdicts = record(tmp_path / "state" / "v.db")
    made = verdict("acme/model", "no rule", "for \u202e it")
    name = verdicts.record(made, source="api", tenant="red")
    found = verdicts.get(name)
    assert found is not None
    assert (found.verdict, found.source, found.tenant) == (made, "api", "red")
    assert len(name) == 32
    assert verdicts.record(made, source="api", tenant="red") != name
    (entry, _) = verdicts.recent(VerdictFilter(), most=10)
    assert entry.verdict.reasons == made.reasons
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()] == [0]


def test_each_client_has_room_of_its_own(tmp_path: Path) -> None:
    verdicts = record(tmp_path / "v.db", most=3)
    verdicts.record(verdict("acme/gateway"), source="gateway")
    verdicts.record(verdict("acme/blue"), source="api", tenant="blue")
    for number in range(6):
        verdicts.record(verdict(f"acme/{number}"), source="api", tenant="red")
    assert urls(verdicts) == ["5", "4", "3", "blue", "gateway"]


def test_large_verdicts_are_fewer(tmp_path: Path) -> None:
    verdicts = record(tmp_path / "v.db", most_bytes=5000)
    for number in range(6):
        verdicts.record(verdict(f"acme/{number}", "x" * 2000), source="api", tenant="red")
    assert urls(verdicts) == ["5", "4"]
    name = verdicts.record(verdict("acme/huge", "x" * 9000), source="api", tenant="red")
    assert urls(verdicts) == ["huge"]
    assert verdicts.get(name) is not None


def test_threads_and_processes_share_it(tmp_path: Path) -> None:
    file = tmp_path / "v.db"
    verdicts = record(file)
    program = (
        "import sys; sys.path[:0] = [sys.argv[2]]\n"
        "from pathlib import Path\n"
        "from tests.server.test_verdict_record import record, verdict\n"
        "made = record(Path(sys.argv[1]))\n"
        "for number in range(20): made.record(verdict(f'acme/p{number}'), source='gateway')\n"
    )
    root = str(Path(__file__).parents[2])
    with ThreadPoolExecutor(4) as pool:
        other = pool.submit(
            subprocess.run, [sys.executable, "-c", program, str(file), root], check=True
        )
        for one in [
            pool.submit(verdicts.record, verdict(f"acme/t{number}"), source="event")
            for number in range(40)
        ]:
            one.result()
        other.result()
    assert len(urls(verdicts)) == 60
    assert {url[0] for url in urls(verdicts)} == {"p", "t"}


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    name = record(tmp_path / "v.db").record(verdict(), source="gateway")
    assert record(tmp_path / "v.db").get(name) is not None


def test_a_running_check_is_no_verdict_and_is_given_up_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = record(tmp_path / "v.db")
    verdicts.begin("a" * 32, "hf://acme/slow", source="api", tenant="red")
    found = verdicts.get("a" * 32, tenant="red")
    assert found is not None
    assert found.verdict is None
    assert urls(verdicts) == []
    assert verdicts.get("a" * 32, tenant="blue") is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25)
    assert verdicts.get("a" * 32) is not None
    verdicts.renew("a" * 32, "hf://acme/slow")
    monkeypatch.setattr(time, "time", lambda: now + 50)
    assert verdicts.get("a" * 32) is not None
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert verdicts.get("a" * 32) is None
    verdicts.record(verdict("acme/slow"), source="api", tenant="red", name="a" * 32)
    verdicts.begin("a" * 32, "hf://acme/slow", source="api", tenant="red")
    assert urls(verdicts) == ["slow"]


def test_what_cannot_be_recorded_is_logged_and_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "v.db"
    verdicts = record(file, wait_seconds=0.05)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING):
        assert len(verdicts.record(verdict("acme/a\u202eb"), source="gateway")) == 32
    holder.close()
    assert "cannot be recorded" in caplog.text
    assert caplog.text.replace("\n", "").isprintable()
    file.unlink()
    verdicts.record(verdict(), source="gateway")
    assert not file.exists()


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    text, other, bare, newer, folder = (tmp_path / name for name in ("t", "o", "b", "n", "f"))
    text.write_text("not a database, and long enough to be looked at " * 100)
    for path, pragma in ((other, "application_id = 7"), (newer, "user_version = 9")):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE verdicts (x)")
            connection.execute(f"PRAGMA {pragma}")
        connection.close()
    with sqlite3.connect(bare) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()
    folder.mkdir()
    open_to_all = tmp_path / "w"
    open_to_all.touch()
    open_to_all.chmod(0o666)
    for path in (text, other, bare, newer, folder, open_to_all, text / "below"):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ConfigError, match=r"the record of verdicts, .*(move it|name another)"):
            record(path)
        assert (path.read_bytes() if path.is_file() else None) == before


def test_a_verdict_of_another_version_is_none(tmp_path: Path) -> None:
    file = tmp_path / "v.db"
    verdicts = record(file)
    name = verdicts.record(verdict("acme/old"), source="gateway")
    verdicts.record(verdict("acme/new"), source="gateway")
    with sqlite3.connect(file) as connection:
        old = json.dumps({"outcome": "perhaps"})
        connection.execute(
            "UPDATE verdicts SET document = ?, summary = ? WHERE id = ?", (old.encode(), old, name)
        )
    connection.close()
    assert verdicts.get(name) is None
    assert urls(verdicts) == ["new"]


def test_its_file_is_where_the_operator_says(home: Path, tmp_path: Path) -> None:
    assert ApiSettings().record_file == home / "state" / "oms-gate" / "verdicts.db"
    settings = ApiSettings(record=tmp_path / "own.db")
    assert Verdicts.from_settings(settings).file == tmp_path / "own.db"
