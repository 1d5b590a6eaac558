"""Many processes with one memory: one first signer, nothing lost, and nothing broken by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.commands import ROOT
from tests.history.remembering import admit, history_in, key_signer, observed

WRITERS = 8
ROUNDS = 5


@contextmanager
def writers(file: Path, rounds: int) -> Iterator[subprocess.Popen[str]]:
    """Processes that write together: a group, which ends with the context."""
    command = [sys.executable, "-m", "tests.history.processes", str(file), str(WRITERS)]
    process = subprocess.Popen(
        [*command, str(rounds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_of_many_first_signers_one_is_pinned_and_nothing_is_lost(tmp_path: Path) -> None:
    """They make the database together, too."""
    history = history_in(tmp_path / "memory")
    with writers(history.file, ROUNDS) as process:
        said = dict(line.split() for line in process.communicate("\n")[0].splitlines())
        assert process.returncode == 0
    assert sorted(said.values()) == ["denied"] * (WRITERS - 1) + ["pinned"]
    (winner,) = (number for number, outcome in said.items() if outcome == "pinned")
    pins = [pin for pin in history.pins() if pin.model == "hf://acme/m"]
    assert [pin.signer for pin in pins] == [key_signer(winner)]
    assert [found.statement for found in history.releases("hf://acme/m")] == [f"by {winner}"]
    assert len(history.releases()) == 1 + WRITERS * ROUNDS
    assert [path.name for path in history.file.parent.iterdir()] == ["history.db"]


def test_a_kill_in_the_middle_leaves_it_whole(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    with writers(history.file, 10_000) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not history.file.exists() or len(history.releases()) < 3 * WRITERS:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = history_in(tmp_path)
    before = again.releases()
    assert len(before) >= 3 * WRITERS
    for number in range(WRITERS):
        kept = {found.statement for found in before if found.model == f"hf://acme/m{number}"}
        # Of each, all up to the last one.
        assert kept == {f"s{turn}" for turn in range(len(kept))}
    admit(again, observed("after", model="hf://acme/after"))
    assert len(again.releases()) == len(before) + 1


def test_a_process_that_was_forked_has_it_as_well(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    admit(history, observed())
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            admit(history, observed("s2"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    admit(history, observed("s3"))
    assert {found.statement for found in history.releases()} == {"s1", "s2", "s3"}
