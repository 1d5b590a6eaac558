"""The audit log: its lines are whole and in one chain, whoever writes, and whatever ends one."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oms_gate.errors import EvidenceError
from oms_gate.evidence import log_file
from oms_gate.evidence.entries import GENESIS, Entry
from oms_gate.evidence.files import head_file, log_files
from oms_gate.evidence.head import Head
from oms_gate.evidence.reading import entries
from oms_gate.evidence.verification import verify_log
from oms_gate.file_locks import locked_now, release
from oms_gate.reason_codes import ReasonCode
from tests.commands import ROOT
from tests.evidence.logs import (
    CONTEXT,
    GateKey,
    edit,
    lines_of,
    log_in,
    resealed,
    told,
    verdict_on,
    whole,
    written,
)

WRITERS = 8


def test_a_line_says_what_was_decided_and_what_for(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "audit-log.schema.json").read_text())
    assert schema == Entry.model_json_schema(by_alias=True, mode="serialization")
    start, first, second = lines_of(written(tmp_path, 2))
    for line in (start, first, second):
        jsonschema.validate(line, schema)
    assert (start["kind"], start["seq"], start["previous"]) == ("start", 1, GENESIS)
    assert (first["seq"], first["previous"]) == (2, start["hash"])
    assert second["previous"] == first["hash"]
    assert {line["log"] for line in (start, first, second)} == {start["log"]}
    assert first["operation"] == "pull"
    assert first["context"] == {"namespace": "prod"}
    assert first["verdict"]["model"]["url"] == "hf://acme/m0@1"
    assert first["writer"]["pid"] == os.getpid()
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_strangers_named_cannot_forge_a_line(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write(verdict_on("a\n{}\u202e\u2028\x1b[2J"), {"operation": "verify", "who": "x\n\u202e"})
    content = (tmp_path / "audit.jsonl").read_bytes()
    assert content.count(b"\n") == 2
    assert content.isascii()
    assert b"\x1b" not in content
    whole(tmp_path / "audit.jsonl")


def test_what_a_caller_says_is_written_as_it_can_be_read(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write(verdict_on(), {"operation": "\ud800", "a\u202e": ["\udfff", {"b": 1.5}]})
    (line,) = lines_of(tmp_path / "audit.jsonl")[1:]
    assert line["operation"] == r"\ud800"
    assert line["context"] == {r"a\u202e": [r"\udfff", {"b": 1.5}]}
    whole(tmp_path / "audit.jsonl")
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    odds: list[Any] = [{1, 2}, float("nan"), {"\u202e": 1, r"\u202e": 2}, deep, [0] * 20_000]
    for odd in odds:
        with pytest.raises(EvidenceError, match="cannot be written down"):
            log.write(verdict_on(), {"operation": "verify", "odd": odd})
    assert len(lines_of(tmp_path / "audit.jsonl")) == 2


def test_a_full_file_is_put_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path, 40, rotate_bytes=4096)
    files = log_files(file)
    assert len(files) > 3
    assert all(path.stat().st_size <= 4096 for path in files)
    assert files[0].name == f"audit.{lines_of(files[0])[-1]['seq']:012}.jsonl"
    assert [entry.seq for _, entry in entries(file)] == list(range(1, 42))
    found = whole(file)
    assert (found.files, found.lines, found.verdicts) == (len(files), 41, 40)
    (tmp_path / "audit.other.jsonl").write_text("of somebody else\n")
    assert whole(file).lines == 41


def test_an_older_file_is_not_written_over(tmp_path: Path) -> None:
    """It is that of another log: this one was begun anew without it."""
    for number in range(2, 20):
        (tmp_path / f"audit.{number:012}.jsonl").write_text("old")
    log = log_in(tmp_path, rotate_bytes=4096)
    with pytest.raises(EvidenceError, match="nothing is written over"):
        for _ in range(20):
            log.write(verdict_on(), CONTEXT)
    assert {path.read_text() for path in log_files(tmp_path / "audit.jsonl")[:-1]} == {"old"}


def test_a_line_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    log = log_in(tmp_path, rotate_bytes=4096)
    for number in range(3):
        log.write(verdict_on("m" * 9000 if number == 1 else "m"), CONTEXT)
    assert len(log_files(tmp_path / "audit.jsonl")) == 3
    whole(tmp_path / "audit.jsonl")


def test_checkpoints_are_signed_after_so_many_lines(tmp_path: Path) -> None:
    """The first one at once: a log is never without."""
    key = GateKey(tmp_path)
    file = written(tmp_path, 10, key, checkpoint_lines=4)
    kinds = [line["kind"] for line in lines_of(file)]
    # The start is a line, and so is a checkpoint.
    assert [number for number, kind in enumerate(kinds, 1) if kind == "checkpoint"] == [3, 8, 13]
    found = whole(file, key)
    assert (found.signed_seq, found.last_seq) == (12, 14)
    assert found.signer is not None
    assert found.signer.method == "key"


def test_checkpoints_are_signed_after_so_long(tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    log = log_in(tmp_path, key, checkpoint_seconds=0.2)
    log.write(verdict_on(), CONTEXT)
    time.sleep(0.25)
    log.write(verdict_on(), CONTEXT)
    kinds = [line["kind"] for line in lines_of(tmp_path / "audit.jsonl")]
    assert kinds == ["start", *["verdict", "checkpoint"] * 2]


def test_what_cannot_be_signed_is_written_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = GateKey(tmp_path)
    log = log_in(tmp_path, key, checkpoint_lines=2)
    key.private.unlink()
    log.write(verdict_on(), CONTEXT)
    assert "could not be signed" in caplog.text
    caplog.clear()
    # Not with each line, but when it is due again.
    log.write(verdict_on(), CONTEXT)
    assert caplog.text == ""
    assert [line["kind"] for line in lines_of(tmp_path / "audit.jsonl")] == [
        "start",
        "verdict",
        "verdict",
    ]


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    """They sign it, too, and begin new files, all at once."""
    key = GateKey(tmp_path)
    command = [sys.executable, "-m", "tests.evidence.writers", str(tmp_path), str(WRITERS), "25"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "audit.jsonl"
    found = whole(file, key)
    assert found.verdicts == WRITERS * 25
    assert found.files > 3
    wrote = [(e.writer.pid, e.verdict.model.name) for _, e in entries(file) if e.verdict]
    assert len({pid for pid, _ in wrote}) == WRITERS
    assert len(set(wrote)) == len(wrote)


def test_threads_share_it(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    threads = [
        threading.Thread(target=log.write, args=(verdict_on(f"m{number}"), CONTEXT))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole(tmp_path / "audit.jsonl").verdicts == 16


def test_a_kill_leaves_it_whole(tmp_path: Path) -> None:
    """At random places: each time what was written before can be gone on with."""
    file = tmp_path / "audit.jsonl"
    command = [sys.executable, "-m", "tests.evidence.writers", str(tmp_path), "2", "100000"]
    size = 0
    for _ in range(3):
        with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
            try:
                give_up = time.monotonic() + 30
                while _size(file) < size + 10_000:
                    assert time.monotonic() < give_up
                    time.sleep(0.01)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
        log_in(tmp_path).write(verdict_on("after"), CONTEXT)
        whole(file)
        size = _size(file)


def _size(file: Path) -> int:
    return sum(path.stat().st_size for path in log_files(file) if path.exists())


@pytest.mark.parametrize("kept", [1, 100, -2, -1])
def test_a_line_that_was_not_written_to_its_end_is_taken_away(
    tmp_path: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The writer died within it: nobody was given that verdict."""
    key = GateKey(tmp_path)
    file = written(tmp_path, 3, key)
    torn = b'{"schema":"oms-gate/audit-log/v1","log":"' + b"x" * 200
    with file.open("ab") as stream:
        stream.write(torn[:kept])
    assert told(verify_log(file)) == [("torn", 6)]
    # Who reads what it says is not stopped by it.
    assert [entry.seq for _, entry in entries(file)] == [1, 2, 3, 4, 5]
    log_in(tmp_path, key, checkpoint_lines=1).write(verdict_on("next"), CONTEXT)
    assert [line["kind"] for line in lines_of(file)][5:] == ["recovery", "verdict", "checkpoint"]
    recovery = lines_of(file)[5]["recovery"]
    assert (recovery["fault"], recovery["torn_bytes"]) == ("torn", len(torn[:kept]))
    found = whole(file, key)
    assert (found.recovered, found.verdicts, found.signed_seq) == (1, 4, 7)
    assert "was not written to its end" in caplog.text


def test_a_line_whose_writer_died_before_it_said_so_counts(tmp_path: Path) -> None:
    file = written(tmp_path, 2)
    before = head_file(file).read_bytes()
    log_in(tmp_path).write(verdict_on("last"), CONTEXT)
    head_file(file).write_bytes(before)
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert [line["kind"] for line in lines_of(file)] == ["start", *["verdict"] * 4]
    whole(file)


def test_a_writer_that_died_between_two_files_loses_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, 5)
    file.rename(tmp_path / f"audit.{6:012}.jsonl")
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert whole(file).verdicts == 6
    file.rename(tmp_path / f"audit.{7:012}.jsonl")
    file.touch()  # The first line of it did not get there.
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert whole(file).verdicts == 7


@pytest.mark.parametrize("head", [None, b"", b"\0" * 512, b'{"log":"'], ids=repr)
def test_without_a_head_it_goes_on_and_says_so(
    tmp_path: Path, head: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell any more whether the end was cut off."""
    file = written(tmp_path, 3)
    head_file(file).unlink()
    if head is not None:
        head_file(file).write_bytes(head)
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert "what is beside it is not there" in caplog.text
    assert lines_of(file)[4]["recovery"]["fault"] == "headless"
    found = verify_log(file)
    assert (told(found), found.verdicts) == ([("headless", 5)], 4)


def test_a_writer_that_died_in_the_first_line_has_not_begun(tmp_path: Path) -> None:
    file = written(tmp_path, 1)
    start = file.read_bytes().splitlines(keepends=True)[0]
    head = Head(log="0" * 32, seq=0, hash=GENESIS, size=0, signed_at=0)
    for left in (b"", start[:20], start):
        file.write_bytes(left)
        log_id = json.loads(start)["log"] if left == start else head.log
        head_file(file).write_bytes(head.model_copy(update={"log": log_id}).to_bytes())
        log_in(tmp_path).write(verdict_on("next"), CONTEXT)
        assert [line["kind"] for line in lines_of(file)] == ["start", "verdict"]
        whole(file)


def test_a_first_writer_that_died_before_it_said_so_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beside the log was there before its first line, so nothing was cut off."""
    write = log_file._write_head

    def dying(lock: int, head: Head) -> None:
        if head.seq:
            raise OSError(errno.EIO, "died")
        write(lock, head)

    with monkeypatch.context() as patch:
        patch.setattr(log_file, "_write_head", dying)
        with pytest.raises(EvidenceError, match="died"):
            log_in(tmp_path).write(verdict_on("first"), CONTEXT)
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    file = tmp_path / "audit.jsonl"
    assert [line["kind"] for line in lines_of(file)] == ["start", "verdict", "verdict"]
    whole(file)


def test_without_a_head_nothing_is_added_to_what_is_no_log(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for content in (b"root:x:0:0\n", b"no end", b'{"seq":1}\n'):
        file.write_bytes(content)
        with pytest.raises(EvidenceError, match="is none that the gate has written") as caught:
            log_in(tmp_path).write(verdict_on(), CONTEXT)
        assert caught.value.reason.code is ReasonCode.EVIDENCE_UNWRITTEN
        assert file.read_bytes() == content


@pytest.mark.parametrize("left", [0, 2])
def test_lines_that_are_gone_are_told_by_the_next_one(
    tmp_path: Path, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, 4)
    edit(file, lambda lines: lines[:left])
    with caplog.at_level(logging.ERROR):
        log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert "are not there any more" in caplog.text
    assert told(verify_log(file, archived=True))[-1][0] == "missing"
    recovery = lines_of(file)[left]
    assert recovery["recovery"]["fault"] == "missing"
    assert (recovery["seq"], recovery["recovery"]["found_seq"]) == (6, left)


def test_another_last_line_is_told_by_the_next_one(tmp_path: Path) -> None:
    file, other = written(tmp_path, 3), tmp_path / "other"
    other.mkdir()
    forged = written(other, 3).read_bytes().splitlines(keepends=True)
    edit(file, lambda lines: [*lines[:-1], lines[-1].replace(b"acme/m2", b"acme/m99")])
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert [line["kind"] for line in lines_of(file)][-2:] == ["recovery", "verdict"]
    edit(file, lambda lines: [*lines, forged[-1]])
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert {kind for kind, _ in told(verify_log(file))} == {"changed", "unexpected", "missing"}


def test_a_last_line_that_was_sealed_anew_is_told_by_the_next_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, 3)
    edit(file, lambda lines: [*lines[:-1], resealed(lines[-1], context={"namespace": "forged"})])
    log_in(tmp_path).write(verdict_on("next"), CONTEXT)
    assert lines_of(file)[-2]["recovery"]["fault"] == "changed"
    assert "its last line is another" in caplog.text
    # The chain goes on from what was written.
    assert told(verify_log(file)) == [("changed", 5), ("changed", 5)]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    file = written(tmp_path, 3)
    size = file.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
    try:
        with pytest.raises(EvidenceError, match=r"cannot be written \(File too large\)") as caught:
            log_in(tmp_path).write(verdict_on(), CONTEXT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.reason.code is ReasonCode.EVIDENCE_UNWRITTEN
    assert file.stat().st_size == size
    log_in(tmp_path).write(verdict_on(), CONTEXT)
    assert [line["kind"] for line in lines_of(file)] == ["start", *["verdict"] * 4]
    whole(file)


def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    """Nobody waits at a pipe, and a link would be renamed in place of the log."""
    pipe, link = tmp_path / "pipe.jsonl", tmp_path / "link.jsonl"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "elsewhere.jsonl")
    for odd in (pipe, link):
        with pytest.raises(EvidenceError, match="audit log"):
            log_in(tmp_path, file=odd).write(verdict_on(), CONTEXT)
    assert not (tmp_path / "elsewhere.jsonl").exists()


def test_a_line_that_nobody_could_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "LINE_BYTES", 3000)
    file = written(tmp_path, 1)
    with pytest.raises(EvidenceError, match="more than its readers take"):
        log_in(tmp_path).write(verdict_on("m" * 3000), CONTEXT)
    whole(file)


def test_a_process_that_was_forked_does_not_keep_the_log(tmp_path: Path) -> None:
    """It has the lock of the thread that was writing, which is not in it."""
    file = written(tmp_path, 1)
    log = log_in(tmp_path, wait_seconds=1)
    descriptor = locked_now(head_file(file))
    assert descriptor is not None
    wait, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_on)
        os.read(wait, 1)
        os._exit(0)
    try:
        release(descriptor)
        log.write(verdict_on(), CONTEXT)
    finally:
        os.close(go_on)
        os.close(wait)
        os.waitpid(child, 0)
    whole(file)


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "log"
    whole(written(folder, 1))
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(EvidenceError, match="Not a directory"):
        log_in(tmp_path / "file").write(verdict_on(), CONTEXT)


def test_a_writer_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    import fcntl

    file = written(tmp_path, 1)
    with head_file(file).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EvidenceError, match=r"more than 0\.1 seconds .evidence\.audit_log"):
            log_in(tmp_path, wait_seconds=0.1).write(verdict_on(), CONTEXT)
    log_in(tmp_path, wait_seconds=0.1).write(verdict_on(), CONTEXT)


def test_a_forked_process_writes_into_the_same_chain(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write(verdict_on("parent"), CONTEXT)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.write(verdict_on("child"), CONTEXT)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    log.write(verdict_on("parent"), CONTEXT)
    pids = [line["writer"]["pid"] for line in lines_of(tmp_path / "audit.jsonl")]
    assert pids == [os.getpid(), os.getpid(), child, os.getpid()]
    whole(tmp_path / "audit.jsonl")
