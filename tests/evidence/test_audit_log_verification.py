"""Whatever is done to an audit log behind its writers' backs is found, with the line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.errors import ConfigError
from oms_gate.evidence.checkpoints import checkpoint_statement
from oms_gate.evidence.entries import is_sealed, read_entry
from oms_gate.evidence.files import head_file, log_files
from oms_gate.evidence.reading import entries
from oms_gate.evidence.verification import MOST_FAULTS, ExpectedSigner, verify_log
from tests.evidence.logs import (
    CONTEXT,
    GateKey,
    edit,
    lines_of,
    log_in,
    only,
    resealed,
    told,
    verdict_on,
    whole,
    written,
)

Lines = list[bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A log of eleven lines, without its head: a copy, as an auditor has it."""
    folder = tmp_path_factory.mktemp("original")
    return written(folder, 10).read_bytes().splitlines(keepends=True)


def rechained(lines: Lines, start: int) -> Lines:
    """The lines from `start` on (from 0) sealed anew, each after the one before."""
    made = lines[:start]
    for line in lines[start:]:
        previous = json.loads(made[-1])["hash"] if made else "0" * 64
        made.append(resealed(line, previous=previous))
    return made


EDITS: dict[str, tuple[Callable[[Lines], Sequence[bytes]], list[tuple[str, int]]]] = {
    "a letter": (
        lambda x: [*x[:4], x[4].replace(b"acme/m3", b"acme/mX"), *x[5:]],
        [("changed", 5)],
    ),
    "a denial made an admission": (
        lambda x: [*x[:3], x[3].replace(b'"denied"', b'"admitted"'), *x[4:]],
        [("changed", 4)],
    ),
    "the time": (
        lambda x: [*x[:6], x[6].replace(b'"time":"20', b'"time":"19'), *x[7:]],
        [("changed", 7)],
    ),
    "the last line": (
        lambda x: [*x[:10], x[10].replace(b"acme/m9", b"acme/m8")],
        [("changed", 11)],
    ),
    "the first line": (
        lambda x: [x[0].replace(b'"user"', b'"User"'), *x[1:]],
        [("changed", 1)],
    ),
    "its digest": (
        lambda x: [*x[:4], x[4][:-4] + (b"1" if x[4][-4:-3] == b"0" else b"0") + b'"}\n', *x[5:]],
        [("changed", 5), ("changed", 6)],
    ),
    "a line sealed anew": (
        lambda x: [*x[:4], resealed(x[4], context={"namespace": "dev"}), *x[5:]],
        [("changed", 6)],
    ),
    "a line taken out": (lambda x: [*x[:4], *x[5:]], [("missing", 5)]),
    "the first lines taken out": (lambda x: x[3:], [("missing", 1)]),
    "many lines taken out": (lambda x: [*x[:2], *x[8:]], [("missing", 3)]),
    "a line taken out, the rest numbered anew": (
        lambda x: [
            *x[:4],
            *(resealed(line, seq=seq) for seq, line in enumerate(x[5:], 5)),
        ],
        [("changed", line) for line in range(5, 11)],
    ),
    "two lines swapped": (
        lambda x: [*x[:4], x[5], x[4], *x[6:]],
        [("missing", 5), ("misplaced", 6)],
    ),
    "a line moved to the end": (
        lambda x: [*x[:4], *x[5:], x[4]],
        [("missing", 5), ("misplaced", 11)],
    ),
    "a line twice": (lambda x: [*x[:5], x[4], *x[5:]], [("misplaced", 6)]),
    "all of it twice": (lambda x: [*x, *x], [("misplaced", line) for line in range(12, 23)]),
    "a line of no log": (
        lambda x: [*x[:5], b'{"schema":"oms-gate/audit-log/v2"}\n', *x[5:]],
        [("foreign", 6)],
    ),
    "a line of text": (lambda x: [*x[:5], b"hello\n", *x[5:]], [("foreign", 6)]),
    "an empty line": (lambda x: [*x[:5], b"\n", *x[5:]], [("foreign", 6)]),
    "a sealed line that says nothing": (
        lambda x: [*x[:5], resealed(x[5], kind="start"), *x[6:]],
        [("changed", 7)],
    ),
    "no end": (lambda x: [*x[:10], x[10][:-1]], [("torn", 11)]),
    "half a line": (lambda x: [*x[:10], x[10][:50]], [("torn", 11)]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_found_with_the_line(original: Lines, tmp_path: Path, name: str) -> None:
    change, expected = EDITS[name]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(original))
    whole(file)
    edit(file, change)
    assert file.read_bytes() != b"".join(original)
    assert told(verify_log(file)) == expected


def test_of_another_log_not_even_a_whole_line_counts(original: Lines, tmp_path: Path) -> None:
    """Not one that goes on where this one ends, either."""
    other = written(tmp_path, 10).read_bytes().splitlines(keepends=True)
    file = tmp_path / "mixed.jsonl"
    for lines in ([*original[:5], other[5], *original[5:]], [*original, other[0]]):
        file.write_bytes(b"".join(lines))
        assert only(verify_log(file)).kind == "unexpected"
    file.write_bytes(b"".join([*original[:5], *other[5:]]))
    assert told(verify_log(file)) == [("unexpected", line) for line in range(6, 12)]


def test_a_log_of_which_nothing_is_left_is_not_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.touch()
    assert told(verify_log(file)) == [("missing", 0)]


def test_another_log_in_its_place_is_not_the_one(tmp_path: Path) -> None:
    """It is whole, and the gate has signed it as well."""
    key = GateKey(tmp_path)
    file = written(tmp_path, 5, key, checkpoint_lines=2)
    other = tmp_path / "other"
    other.mkdir()
    file.write_bytes(written(other, 9, key, checkpoint_lines=2).read_bytes())
    fault = only(verify_log(file, key.expected))
    assert fault.kind == "unexpected"
    assert "another one is in its place" in fault.message


def test_what_was_cut_off_with_what_is_beside_it_is_told_by_the_next_line(tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 20, key, checkpoint_lines=5)
    edit(file, lambda lines: lines[:12])
    head_file(file).unlink()
    log_in(tmp_path, key, checkpoint_lines=5).write(verdict_on("next"), CONTEXT)
    assert told(verify_log(file, key.expected)) == [("headless", 13)]


def test_a_line_of_a_newer_gate_is_in_its_place(original: Lines, tmp_path: Path) -> None:
    """What it says besides cannot be read; that it was not changed can be seen."""
    newer = resealed(original[4], news={"of": "tomorrow"})
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(rechained([*original[:4], newer, *original[5:]], 5)))
    found = whole(file)
    assert (found.unread, found.verdicts) == (1, 9)
    with pytest.raises(ConfigError, match="with the version that has written it"):
        list(entries(file))


def test_a_log_that_is_being_written_is_whole(tmp_path: Path) -> None:
    """At each moment, with new files begun."""
    log = log_in(tmp_path, rotate_bytes=8192)
    log.write(verdict_on(), CONTEXT)
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            log.write(verdict_on(), CONTEXT)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        lines = [0]
        while lines[-1] < 100:
            lines.append(whole(tmp_path / "audit.jsonl").lines)
    finally:
        ended.set()
        writer.join()
    assert lines == sorted(lines)


def test_the_last_lines_are_missed_by_their_head(tmp_path: Path) -> None:
    file = written(tmp_path, 5)
    edit(file, lambda lines: lines[:4])
    fault = only(verify_log(file))
    assert (fault.kind, fault.line) == ("missing", 4)
    assert fault.message == "lines 5 to 6 of the log are missing at the end"
    file.unlink()
    file.touch()
    head_file(file).unlink()
    with pytest.raises(ConfigError, match="there is no audit log"):
        verify_log(tmp_path / "nowhere.jsonl")


def test_the_last_lines_are_missed_by_a_digest_that_was_kept(tmp_path: Path) -> None:
    """As by one that syslog has: of a copy there is no head."""
    file = written(tmp_path, 5)
    kept = [line["hash"] for line in lines_of(file)]
    head_file(file).unlink()
    for digest in kept:
        assert whole(file, expected_hash=digest).last_hash == kept[-1]
    edit(file, lambda lines: lines[:4])
    assert whole(file, expected_hash=kept[3])
    assert only(verify_log(file, expected_hash=kept[4])).kind == "unexpected"


def test_a_log_that_was_made_anew_is_not_what_the_gate_has_signed(tmp_path: Path) -> None:
    """The chain is perfect. Without the key there is no checkpoint over it."""
    key = GateKey(tmp_path)
    file = written(tmp_path, 10, key, checkpoint_lines=5)
    lines = file.read_bytes().splitlines(keepends=True)
    assert [n for n, line in enumerate(lines, 1) if b'"kind":"checkpoint"' in line] == [3, 9]
    whole(file, key)
    head_file(file).unlink()
    for changed in (2, 4, 5, 6, 7, 8):
        kept = [
            *lines[: changed - 1],
            resealed(lines[changed - 1], context={"namespace": "forged"}),
            *lines[changed:],
        ]
        file.write_bytes(b"".join(rechained(kept, changed - 1)))
        whole(file)
        found = verify_log(file, key.expected)
        # By the first checkpoint the lines before it are still known to be the gate's.
        left = [] if changed > 3 else [("unsigned", 13)]
        assert told(found) == [("changed", line) for line in (3, 9) if line > changed] + left
        assert found.signed_seq == (0 if changed < 3 else 2)


def test_a_line_that_is_taken_out_of_a_chain_made_anew_is_missed_by_the_gate(
    tmp_path: Path,
) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 10, key, checkpoint_lines=5)
    head_file(file).unlink()
    lines = file.read_bytes().splitlines(keepends=True)
    kept = [*lines[:4], *(resealed(line, seq=seq) for seq, line in enumerate(lines[5:], 5))]
    file.write_bytes(b"".join(rechained(kept, 4)))
    whole(file)
    assert told(verify_log(file, key.expected)) == [("changed", 8)]


def test_of_checkpoints_taken_out_nothing_is_left_that_is_signed(tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 5, key, checkpoint_lines=3)
    head_file(file).unlink()
    edit(
        file,
        lambda lines: rechained(
            [
                resealed(line, seq=seq)
                for seq, line in enumerate((x for x in lines if b'"checkpoint"' not in x), 1)
            ],
            0,
        ),
    )
    whole(file)
    assert only(verify_log(file, key.expected)).kind == "unsigned"


def test_a_checkpoint_counts_only_by_the_gate(tmp_path: Path) -> None:
    """Neither by a stranger, nor by somebody who is trusted and is not the gate."""
    key, stranger = GateKey(tmp_path), GateKey(tmp_path, "stranger")
    file = written(tmp_path, 3, stranger, checkpoint_lines=2)
    whole(file, stranger)
    assert {kind for kind, _ in told(verify_log(file, key.expected))} == {"unsigned"}
    expected = stranger.expected
    another = ExpectedSigner(expected.trust, lambda _: False, expected.at)
    assert "who is not the gate" in verify_log(file, another).faults[0].message


@pytest.mark.parametrize(
    "statement",
    [
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"predicate": {"log": "x"}},
        {"predicate": {"log": 1, "seq": 2}},
        {"predicate": {"log": "x", "seq": True}},
        {"subject": []},
    ],
    ids=str,
)
def test_something_else_that_the_gate_has_signed_is_no_checkpoint(
    tmp_path: Path, statement: dict[str, object]
) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 2)
    head = json.loads(head_file(file).read_text())
    made = checkpoint_statement(head["log"], head["seq"], head["hash"])
    log = log_in(tmp_path, key)
    bundle = key.signer.sign(made | statement)
    log._append({"kind": "checkpoint", "checkpoint": json.loads(bundle)}, ())
    assert told(verify_log(file, key.expected)) == [("unsigned", 4), ("unsigned", 4)]
    log._append({"kind": "checkpoint", "checkpoint": json.loads(key.signer.sign(made))}, ())
    assert told(verify_log(file, key.expected)) == [("unsigned", 4)]


def test_a_checkpoint_of_another_log_does_not_count(tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 2)
    head = json.loads(head_file(file).read_text())
    for made in (
        checkpoint_statement("0" * 32, head["seq"], head["hash"]),
        checkpoint_statement(head["log"], head["seq"], "0" * 64),
        checkpoint_statement(head["log"], head["seq"] + 5, head["hash"]),
    ):
        bundle = json.loads(key.signer.sign(made))
        log_in(tmp_path, key)._append({"kind": "checkpoint", "checkpoint": bundle}, ())
    assert told(verify_log(file, key.expected))[:3] == [
        ("changed", 4),
        ("changed", 5),
        ("changed", 6),
    ]


def test_a_checkpoint_that_came_late_adds_nothing(tmp_path: Path) -> None:
    """Its writer was slow to sign, and another has signed more meanwhile."""
    key = GateKey(tmp_path)
    file = written(tmp_path, 2)
    early = json.loads(head_file(file).read_text())
    log = log_in(tmp_path, key, checkpoint_lines=1)
    log.write(verdict_on(), CONTEXT)
    assert whole(file, key).signed_seq == 4
    made = checkpoint_statement(early["log"], early["seq"], early["hash"])
    log._append({"kind": "checkpoint", "checkpoint": json.loads(key.signer.sign(made))}, ())
    assert whole(file, key).signed_seq == 4


def test_older_files_may_be_elsewhere_if_that_is_said(tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    file = written(tmp_path, 40, key, rotate_bytes=8192, checkpoint_lines=7)
    first, *_ = log_files(file)
    first.unlink()
    assert only(verify_log(file, key.expected)).kind == "missing"
    found = whole(file, key, archived=True)
    assert found.signed_seq > 0
    assert found.first_time == next(entry.time for _, entry in entries(file))


def test_a_file_in_the_middle_that_is_gone_is_missed(tmp_path: Path) -> None:
    file = written(tmp_path, 40, rotate_bytes=8192)
    log_files(file)[1].unlink()
    assert only(verify_log(file)).kind == "missing"


def test_so_many_faults_are_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"x\n" * (MOST_FAULTS + 7))
    found = verify_log(file)
    assert (len(found.faults), found.more_faults) == (MOST_FAULTS, 7)


def test_what_is_no_line_is_told_to_readers(tmp_path: Path) -> None:
    file = written(tmp_path, 2)
    edit(file, lambda lines: [*lines, b"{}\n"])
    with pytest.raises(ConfigError, match=r"audit\.jsonl:4 is no line of an audit log that this"):
        list(entries(file))
    folder, pipe = tmp_path / "folder.jsonl", tmp_path / "pipe.jsonl"
    folder.mkdir()
    os.mkfifo(pipe)
    os.mkfifo(tmp_path / f"audit.{1:012}.jsonl")
    for odd in (folder, pipe, file):
        with pytest.raises(ConfigError, match="is no regular file"):
            list(entries(odd))


def test_the_name_of_a_strange_member_is_told_in_short(original: Lines) -> None:
    with pytest.raises(ValueError, match=r"^k+: Extra inputs") as told:
        read_entry(original[1].replace(b"{", b'{"%b":1,' % (b"k" * 100_000), 1))
    assert len(str(told.value)) < 200


@settings(max_examples=150)
@given(data=st.data())
def test_no_change_of_a_byte_goes_unseen(original: Lines, tmp_path_factory, data) -> None:  # type: ignore[no-untyped-def]
    content = bytearray(b"".join(original))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file = tmp_path_factory.mktemp("log") / "audit.jsonl"
    file.write_bytes(content)
    assert verify_log(file).faults


@given(st.binary(max_size=300))
def test_what_is_not_sealed_is_not_taken_for_it(line: bytes) -> None:
    assert not is_sealed(line)
