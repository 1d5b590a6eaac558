"""Where verdicts are read from, and what is no verdict."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms_gate.errors import ConfigError
from oms_gate.evidence.entries import GENESIS, sealed
from oms_gate.evidence.files import rotated_file
from oms_gate.report import reading
from oms_gate.report.reading import Place, is_log, log_state, read_records
from oms_gate.verdict import Verdict
from tests.evidence.logs import CONTEXT, log_in, verdict_on
from tests.report.corpus_report import write_log
from tests.report.verdicts import NOW, reason, verdict

GOOD = verdict("hf://acme/good")
BAD = verdict("hf://acme/bad", reason())


def names(path: Path) -> list[tuple[str, int]]:
    return [
        (each.verdict.model.name.removeprefix("hf://acme/"), each.place.line)
        for each in read_records(path, log=is_log(path))
    ]


def test_a_log(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [(NOW, GOOD), (NOW, BAD)], {"tenant": "red"})
    first, second = read_records(log, log=True)
    assert is_log(log)
    assert (first.verdict, second.verdict) == (GOOD, BAD)
    assert (first.operation, first.context, first.time) == ("verify", {"tenant": "red"}, NOW)
    line = json.loads(log.read_text().splitlines()[2])
    assert second.place == Place(str(log), 3, 3, line["hash"])
    state = log_state(log, None, archived=False)
    assert state.whole
    assert state.sentences[0] == "3 lines, up to number 3"


def test_a_log_over_many_files(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [(NOW, GOOD), (NOW, BAD)])
    *older, last = log.read_text().splitlines(keepends=True)
    full = rotated_file(log, 2)
    full.write_text("".join(older))
    log.write_text(last)
    assert names(log) == [("good", 2), ("bad", 1)]
    assert [each.place.file for each in read_records(log, log=True)] == [str(full), str(log)]
    assert log_state(log, None, archived=False).whole
    full.unlink()
    assert not log_state(log, None, archived=False).whole
    assert log_state(log, None, archived=True).whole
    log.rename(full)  # and there is none yet that is written
    assert names(log) == [("bad", 1)]


def test_a_line_that_was_not_written_to_its_end(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [(NOW, GOOD), (NOW, BAD)])
    log.write_bytes(log.read_bytes()[:-9])
    assert names(log) == [("good", 2)]
    state = log_state(log, None, archived=False)
    assert not state.whole
    assert "not written to its end" in state.sentences[2]


def test_a_log_that_was_changed(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [(NOW, GOOD)] * 9)
    log.write_text(log.read_text().replace("acme/good", "acme/evil"))
    state = log_state(log, None, archived=False)
    assert not state.whole
    assert len(state.sentences) == 8
    assert state.sentences[2].startswith(f"{log}:2: line 2 of the log was changed")
    assert state.sentences[7] == "and 4 more of this kind"


def test_a_verdict_that_a_later_line_takes_the_place_of_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    previous = GENESIS

    def write(seq: int, found: Verdict | None, **more: object) -> None:
        nonlocal previous
        members: dict[str, object] = {"kind": "start"}
        if found is not None:
            told = json.loads(found.to_json())
            members = {"kind": "verdict", "operation": "pull", "verdict": told, **more}
        line, previous = sealed(members, log="1" * 32, seq=seq, previous=previous, now=NOW)
        with log.open("ab") as stream:
            stream.write(line)

    write(1, None)
    write(2, GOOD)
    write(3, GOOD)
    write(4, BAD, amends=2)
    assert names(log) == [("good", 3), ("bad", 4)]
    write(5, BAD, amends=4)
    assert names(log) == [("good", 3), ("bad", 5)]
    write(6, GOOD, context={"amends": 3})  # It is no more than what a caller said.
    write(7, GOOD, amends=7)  # Nothing takes its own place, or that of what is to come.
    assert names(log) == [("good", 3), ("bad", 5), ("good", 6), ("good", 7)]
    full = rotated_file(log, 4)
    lines = log.read_text().splitlines(keepends=True)
    full.write_text("".join(lines[:4]))
    log.write_text("".join(lines[4:]))
    assert names(log) == [("good", 3), ("bad", 1), ("good", 2), ("good", 3)]


def test_what_the_gate_amends_counts_once(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    first = verdict_on()
    log.write(first, CONTEXT)
    log.write(verdict_on("other"), CONTEXT)
    log.amend(first.with_findings([reason()], []), CONTEXT)
    assert names(tmp_path / "audit.jsonl") == [("other", 3), ("m", 4)]


def test_a_log_counts_as_it_was_when_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What amends a line may be written after it was seen that none does."""
    log = write_log(tmp_path / "log.jsonl", [(NOW, GOOD)])
    looked = reading._amended

    def look(path: Path) -> tuple[int, set[int]]:
        found = looked(path)
        write_log(path, [(NOW, GOOD), (NOW, BAD)])
        return found

    monkeypatch.setattr(reading, "_amended", look)
    assert names(log) == [("good", 2)]


def test_a_place_without_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for log in (tmp_path / "none" / "log.jsonl", file / "log.jsonl"):
        with pytest.raises(ConfigError, match="cannot be read: N"):
            is_log(log)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD.to_json(), [("good", 1)]),
        (f"\n{GOOD.to_json()}\n{BAD.to_json()}\n", [("good", 2), ("bad", 0)]),
        (f"{GOOD.model_dump_json(by_alias=True)}\n{BAD.model_dump_json(by_alias=True)}", 2),
        (f"[{GOOD.model_dump_json(by_alias=True)}, {BAD.model_dump_json(by_alias=True)}]", 1),
        (f"[\n{GOOD.model_dump_json(by_alias=True)},\n{BAD.model_dump_json(by_alias=True)}\n]", 1),
        ("", []),
    ],
    ids=["document", "documents", "lines", "list", "long list", "nothing"],
)
def test_verdicts(tmp_path: Path, text: str, found: object) -> None:
    file = tmp_path / "verdicts"
    file.write_text(text)
    assert not is_log(file)
    if found == 2:
        found = [("good", 1), ("bad", 2)]
    elif found == 1:
        found = [("good", 1), ("bad", 1)]
    elif isinstance(found, list) and len(found) == 2:
        found[1] = ("bad", 2 + GOOD.to_json().count("\n") + 1)
    assert names(file) == found


LINE = GOOD.model_dump_json(by_alias=True)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (f"{LINE}\nnot JSON\n", 2, "it is not JSON"),
        (f"{LINE}\n{{\n\n", 2, "does not end"),
        (f"{LINE}\n3\n", 2, "Input should be"),
        (LINE.replace("admitted", "let in"), 1, "'outcome'"),
        (LINE.replace("{", '{"outcome": "denied", ', 1), 1, "occurs twice"),
        (LINE.replace("/v1", "/v2", 1), 1, "'schema'"),
        (LINE.replace("2026-09-15T12:00:00Z", "0001-01-01T00:00:00+14:00"), 1, "calendar"),
        ("[" * 100 + "]" * 100, 1, "nested"),
    ],
)
def test_what_is_no_verdict_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, told: str
) -> None:
    file = tmp_path / "verdicts"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        list(read_records(file, log=False))
    assert str(error.value).startswith(f"{file}:{line} ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"kind":"verdict"', '"kind":"other"', "kind"),
        ('"seq":3', '"seq":-1', "seq"),
        ('"admitted"', '"let in"', "verdict.outcome"),
        ('{"schema"', '["schema"', "JSON"),
        ("2026-09-15T12:00:00Z", "0001-01-01T00:00:00+14:00", "calendar"),
    ],
)
def test_a_broken_line_of_a_log_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    log = write_log(tmp_path / "log", [(NOW, GOOD), (NOW, GOOD)])
    *before, last = log.read_text().splitlines(keepends=True)
    assert old in last
    log.write_text("".join([*before, last.replace(old, new, 1)]))
    with pytest.raises(ConfigError, match=f"{log}:3 ") as error:
        list(read_records(log, log=True))
    assert told in str(error.value)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    pipe, end = os.pipe()
    os.write(end, LINE.encode())
    os.close(end)
    try:
        with pytest.raises(ConfigError, match="no regular file"):
            list(read_records(Path(f"/dev/fd/{pipe}"), log=False))
    finally:
        os.close(pipe)


def test_times_are_in_utc(tmp_path: Path) -> None:
    file = tmp_path / "verdicts"
    file.write_text(
        LINE.replace("12:00:00Z", "14:00:00+02:00") + "\n" + LINE.replace("12:00:00Z", "12:00:00")
    )
    assert [each.time for each in read_records(file, log=False)] == [NOW, NOW]
    assert datetime(2026, 9, 15, tzinfo=UTC) + timedelta(hours=12) == NOW
