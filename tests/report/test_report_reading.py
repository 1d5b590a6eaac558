"""Where verdicts are read from, and what is no verdict."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms_gate.errors import ConfigError
from oms_gate.report.reading import Place, is_log, read_records
from tests.report.corpus_report import write_log
from tests.report.verdicts import NOW, reason, verdict

GOOD = verdict("hf://acme/good")
BAD = verdict("hf://acme/bad", reason())


def names(path: Path) -> list[tuple[str, int]]:
    return [
        (each.verdict.model.name.removeprefix("hf://acme/"), each.place.line)
        for each in read_records(path)
    ]


def test_a_log(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", [(NOW, GOOD), (NOW, BAD)], context={"tenant": "red"})
    start = {**json.loads(log.read_text().splitlines()[0]), "kind": "start", "verdict": None}
    log.write_text(json.dumps(start) + "\n" + log.read_text())
    first, second = read_records(log)
    assert is_log(log)
    assert (first.verdict, second.verdict) == (GOOD, BAD)
    assert (first.operation, first.context, first.time) == ("verify", {"tenant": "red"}, NOW)
    line = json.loads(log.read_text().splitlines()[2])
    assert second.place == Place(str(log), 3, 1, line["hash"])


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
        list(read_records(file))
    assert str(error.value).startswith(f"{file}:{line} ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"kind": "verdict"', '"kind": "other"', "kind"),
        ('"seq": 1', '"seq": -1', "seq"),
        ('"hash": "', '"hash": "<b>', "hash"),
        ('"verdict": {', '"verdict": null, "x": {', "has none"),
        ('"admitted"', '"let in"', "verdict.outcome"),
        ('{"schema"', '["schema"', "JSON"),
        ('T12:00:00+00:00"', 'T12:00:00"', "time"),
    ],
)
def test_a_broken_line_of_a_log_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    log = write_log(tmp_path / "log", [(NOW, GOOD), (NOW, GOOD)])
    first, second = log.read_text().splitlines()
    assert old in second
    log.write_text(f"{first}\n{second.replace(old, new, 1)}\n")
    with pytest.raises(ConfigError, match=f"{log}:2 ") as error:
        list(read_records(log))
    assert told in str(error.value)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    pipe, end = os.pipe()
    os.write(end, LINE.encode())
    os.close(end)
    try:
        with pytest.raises(ConfigError, match="no regular file"):
            list(read_records(Path(f"/dev/fd/{pipe}")))
    finally:
        os.close(pipe)


def test_times_are_in_utc(tmp_path: Path) -> None:
    file = tmp_path / "verdicts"
    file.write_text(
        LINE.replace("12:00:00Z", "14:00:00+02:00") + "\n" + LINE.replace("12:00:00Z", "12:00:00")
    )
    assert [each.time for each in read_records(file)] == [NOW, NOW]
    assert datetime(2026, 9, 15, tzinfo=UTC) + timedelta(hours=12) == NOW
