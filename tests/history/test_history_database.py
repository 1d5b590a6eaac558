"""The file with the memory: private, made whole, and refused where it is not what it should be."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oms_gate import AdmissionDenied
from oms_gate.errors import HistoryError
from oms_gate.history import Release, database
from oms_gate.history.database import APPLICATION_ID, MIGRATIONS
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.delivery.pulling import mount, small_volume
from tests.history.remembering import (
    NOW,
    admit,
    codes,
    gate_of,
    history_in,
    key_signer,
    memory,
    observed,
    release,
    settings,
)


@pytest.fixture(scope="module")
def _content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    history = history_in(tmp_path_factory.mktemp("memory"))
    for number in range(20):
        admit(history, observed(f"s{number}", model=f"hf://acme/m{number}"))
    return history.file.read_bytes()


@pytest.fixture
def file(tmp_path: Path, _content: bytes) -> Path:
    """A memory in which something is."""
    path = tmp_path / "history.db"
    path.write_bytes(_content)
    path.chmod(0o600)
    return path


def unreadable(file: Path, **limits: Any) -> str:
    """What is said of a file that cannot be used, whatever it is used for."""
    history = history_in(file.parent, **limits)
    found = observed("new", model="hf://acme/m1")
    uses: list[Callable[[], object]] = [
        lambda: history.recall(found),
        history.releases,
        history.pins,
        history.generation,
        lambda: history.withdraw("hf://acme/m1"),
    ]
    messages = set()
    for use in uses:
        with pytest.raises(HistoryError) as error:
            use()
        assert error.value.reason.code is ReasonCode.HISTORY_UNREADABLE
        messages.add(error.value.reason.message)
    assert all(str(file) in message for message in messages)
    return "; ".join(messages)


def test_file_and_folder_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        history = history_in(tmp_path / "a" / "memory")
        admit(history, observed())
        with closing(sqlite3.connect(history.file)) as reader:  # Keeps the log from going away.
            reader.execute("SELECT * FROM pins").fetchall()
            admit(history, observed())
            beside = list(history.file.parent.iterdir())
            assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}
    finally:
        os.umask(old)
    assert stat.S_IMODE(history.file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in beside) == [
        "history.db",
        "history.db-shm",
        "history.db-wal",
    ]


def test_what_every_user_can_change_is_not_believed(file: Path) -> None:
    file.chmod(0o622)
    assert "chmod 600" in unreadable(file)
    file.chmod(0o644)
    assert history_in(file.parent).pins()


def damage_emptied(file: Path) -> None:
    file.write_bytes(b"")


def damage_garbage(file: Path) -> None:
    file.write_bytes(b"not a database at all" * 500)


def damage_truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def damage_page(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-4096:] = os.urandom(4096)
    file.write_bytes(content)


def damage_row(file: Path) -> None:
    change(file, "UPDATE pins SET facts = '{}'", "UPDATE releases SET facts = 'x'")


def damage_schema(file: Path) -> None:
    change(file, "DROP TABLE pins", "DROP TABLE releases", "DROP TABLE changes")


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_emptied, "is empty, or the database of another program"),
        (damage_garbage, "is no SQLite database"),
        (damage_truncated, "is damaged"),
        (damage_page, "is damaged"),
        (damage_schema, "no such table"),
    ],
)
def test_what_is_damaged_is_told_and_never_made_anew(
    damage: Callable[[Path], None], says: str, file: Path
) -> None:
    damage(file)
    before = file.read_bytes()
    message = unreadable(file)
    assert says in message
    assert re.search("restore it from a backup", message)
    assert file.read_bytes() == before


def test_rows_that_nobody_wrote_are_told(file: Path) -> None:
    damage_row(file)
    history = history_in(file.parent)
    for use in (
        history.pins,
        history.releases,
        lambda: history.recall(observed(model="hf://acme/m1")),
    ):
        with pytest.raises(HistoryError, match="holds what no oms-gate has written"):
            use()


def test_a_check_is_denied_without_its_memory(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1))
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(model).admitted
        damage_garbage(memory(gate).file)
        denied = gate.check(model)
        assert (codes(denied), denied.undecided) == ([ReasonCode.HISTORY_UNREADABLE], True)
        assert codes(gate.deliver(model, tmp_path / "to")) == [ReasonCode.HISTORY_UNREADABLE]
        assert not (tmp_path / "to").exists()
        with pytest.raises(AdmissionDenied, match=r"history\.unreadable"):
            gate.admit(model)


@pytest.mark.parametrize("way", ["check", "deliver"])
def test_nothing_is_admitted_that_cannot_be_recorded(way: str, tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1))
    configured = settings(tmp_path, limits={"history_seconds": 0.05})
    with gate_of(configured) as gate:
        assert gate.check(model).admitted
        with closing(sqlite3.connect(memory(gate).file, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            verdict = gate.check(model) if way == "check" else gate.deliver(model, tmp_path / "to")
        assert codes(verdict) == [ReasonCode.HISTORY_UNREADABLE]
        assert "locked for more than 0.05 seconds" in verdict.reasons[0].message
        assert "history_seconds" in verdict.reasons[0].message
        assert verdict.timings["history"] < 4
        assert not (tmp_path / "to").exists()
        assert gate.check(model).admitted


def test_a_database_that_is_locked_whole_is_waited_for_no_longer(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("UPDATE changes SET count = count + 1")
        assert "locked for more than 0.05 seconds" in unreadable(file, history_seconds=0.05)


def test_the_database_of_another_program_is_left_alone(file: Path) -> None:
    file.unlink()
    change(file, "CREATE TABLE pins (model)")
    before = file.read_bytes()
    assert "the database of another program" in unreadable(file)
    assert file.read_bytes() == before


def test_a_newer_version_is_refused(file: Path) -> None:
    change(file, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "was written by a newer oms-gate" in unreadable(file)


def test_an_older_version_is_migrated(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = history_in(file.parent).releases()
    further = ("CREATE TABLE further (x)", "UPDATE changes SET count = 7")
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, further))
    history = history_in(file.parent)
    assert history.generation() == 7
    assert history.releases() == before
    change(file, "SELECT x FROM further", "UPDATE changes SET count = 8")
    # Once is enough.
    assert history_in(file.parent).generation() == 8


def test_a_migration_that_fails_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = ("UPDATE changes SET count = 7", "CREATE TABLE pins (x)")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*MIGRATIONS, further))
        assert "already exists" in unreadable(file)
    assert history_in(file.parent).generation() == 0


def test_a_file_that_is_gone_and_left_its_log(file: Path) -> None:
    file.with_name("history.db-wal").write_bytes(b"")
    file.unlink()
    assert "is gone" in unreadable(file)
    assert not file.exists()


def test_a_log_of_who_has_just_made_the_file_is_no_log_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "history.db"
    exists = Path.exists
    with ExitStack() as reading:

        def made_meanwhile(path: Path) -> bool:
            found = exists(path)
            if path == file and not found:
                monkeypatch.undo()
                history_in(tmp_path).generation()
                reader = reading.enter_context(closing(sqlite3.connect(file)))
                reader.execute("SELECT * FROM pins").fetchall()  # Its log is there now.
            return found

        monkeypatch.setattr(Path, "exists", made_meanwhile)
        assert history_in(tmp_path).pins() == []
        assert file.with_name("history.db-wal").exists()


def test_what_is_no_file_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    assert "is no file" in unreadable(tmp_path / "history.db")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    with pytest.raises(HistoryError, match="let the gate's user write it"):
        history_in(tmp_path / "in the way" / "memory").pins()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 256 KiB."""
    with small_volume(tmp_path / "volume", "256k") as place:
        yield place


def test_a_full_disk(volume: Path) -> None:
    history = history_in(volume)
    admit(history, observed())
    with (
        (volume / "filler").open("wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(HistoryError) as error:
        for number in range(100):
            admit(history, observed(f"s{number}", root_digest="0" * 4096))
    assert error.value.reason.code is ReasonCode.HISTORY_UNREADABLE
    (volume / "filler").unlink()
    found = len(history.releases())
    admit(history, observed("more"))
    assert len(history.releases()) == found + 1


def test_a_read_only_file_system(volume: Path) -> None:
    history = history_in(volume)
    admit(history, observed())
    mount("-o", "remount,ro", volume)
    assert "let the gate's user write it and its folder" in unreadable(history.file)


NAMES = [
    "hf://acme/m' OR '1'='1",
    'hf://acme/m"; DROP TABLE pins; --',
    "file:///models/%s ?1 :model [x] `y` \u202e \U0001f600",
    "file:///" + "long/" * 20_000,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_strangers_are_names(name: str, tmp_path: Path) -> None:
    history = history_in(tmp_path / "a %20? #folder")
    admit(history, observed(model="hf://acme/m"))
    admit(history, observed(model=name, asked="'; --"))
    assert [found.model for found in history.releases(name)] == [name]
    assert [found.asked for found in history.releases(name, "'; --")] == ["'; --"]
    assert len(history.withdraw(name)) == 1
    assert [pin.model for pin in history.pins()] == ["hf://acme/m"]


def test_what_is_exported_is_what_is_there(file: Path) -> None:
    history = history_in(file.parent)
    admit(history, observed(signer=key_signer("x\u202e"), signed_at=0.1 + 0.2, asked="v1"))
    releases = history.releases()
    assert len(releases) == 21
    lines = [found.model_dump_json() for found in releases]
    assert [Release.model_validate_json(line) for line in lines] == releases
    assert all("\n" not in line for line in lines)


def test_it_is_a_database_that_says_what_it_is(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        values = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "journal_mode")
        ]
    assert values == [APPLICATION_ID, len(MIGRATIONS), "wal"]
    assert [path.name for path in file.parent.iterdir()] == ["history.db"]


def test_how_often_and_when(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    for hours in range(3):
        admit(history, observed(), NOW + timedelta(hours=hours))
    (found,) = history.releases()
    assert (found.count, found.last_seen - found.first_seen) == (3, 7200)
    assert history.recall(observed("s2")).first_seen == NOW.timestamp()
