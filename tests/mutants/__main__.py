"""Does the test suite notice when a defence is broken? ``python -m tests.mutants`` (make mutants).

Each mutant is one line of one defence undone, in a copy of the project and never in the work tree.
The tests that should notice run in that copy; a mutant that they let live is a gap in them. The
same tests run once on the sound copy first, so that none "notices" what was broken before.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.mutants.defences import MUTANTS, PROJECT, Mutant, misplaced

# What the tests read; all else of a checkout is large or does not matter here.
COPIED = (
    "oms_gate",
    "policies",
    "charts",
    "tests",
    "docs",
    "examples",
    "pyproject.toml",
    "README.md",
    ".pre-commit-hooks.yaml",
)
_TESTS_FAILED = 1
_LONGEST_SECONDS = 200
# Modules, or single tests, whose tests together take no longer than that.
_AT_ONCE = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that noticed it, or None, and what pytest said."""

    killer: str | None
    seconds: float
    report: str


def main() -> int:
    """Break each defence and print who noticed; 0 if somebody did each time."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only mutants with this in their name"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if faults := misplaced():
        print("\n".join(faults))
        return 1
    chosen = [m for m in MUTANTS if not options.names or any(n in m.name for n in options.names)]
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="oms-gate-mutants-") as place,
        ThreadPoolExecutor(options.processes) as threads,
    ):
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(options.processes):
            copies.put(_copy(Path(place, str(number))))

        def in_a_copy(work: Callable[[Path], T]) -> T:
            copy = copies.get()
            try:
                return work(copy)
            finally:
                copies.put(copy)

        shares = (tests[start : start + _AT_ONCE] for start in range(0, len(tests), _AT_ONCE))
        controls = [partial(_run, tests=share) for share in shares]
        for control in threads.map(in_a_copy, controls):
            if control.returncode:
                print(f"tests fail without a mutant:\n{control.stdout[-3000:]}{control.stderr}")
                return 1
        survivors = []
        outcomes = threads.map(in_a_copy, [partial(_outcome, mutant=each) for each in chosen])
        for mutant, outcome in zip(chosen, outcomes, strict=True):
            print(
                f"{mutant.path:<22} {mutant.name:<45} {outcome.seconds:5.1f} s  "
                f"{outcome.killer or 'SURVIVED'}",
                flush=True,
            )
            if outcome.killer is None:
                survivors.append(mutant)
                print(outcome.report)
    noticed = len(chosen) - len(survivors)
    print(f"{noticed} of {len(chosen)} mutants noticed in {time.monotonic() - started:.0f} s")
    return 1 if survivors else 0


def _copy(place: Path) -> Path:
    """A copy of the project in which nothing is compiled yet; the corpus stays beside it."""
    copy = place / "project"
    copy.mkdir(parents=True)
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    for name, target in ((".tools", copy), ("shared", place)):
        there = PROJECT / name if target is copy else PROJECT.parent / name
        if there.exists():
            (target / name).symlink_to(there)
    return copy


def _outcome(copy: Path, mutant: Mutant) -> Outcome:
    module = copy / "oms_gate" / mutant.path
    sound = module.read_text()
    started = time.monotonic()
    module.write_text(sound.replace(mutant.old, mutant.new))
    try:
        done = _run(copy, mutant.tests, "-x")
    except subprocess.TimeoutExpired:
        return Outcome("(no end)", time.monotonic() - started, "")
    finally:
        module.write_text(sound)
    seconds = time.monotonic() - started
    failed = re.search(r"^FAILED (?:tests/)?(.+?)(?: - |$)", done.stdout, re.MULTILINE)
    # Any other status than that of failed tests means that they did not even run.
    killer = failed[1] if failed and done.returncode == _TESTS_FAILED else None
    return Outcome(killer, seconds, done.stdout[-2000:] + done.stderr[-2000:])


def _run(copy: Path, tests: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy, on the package in that copy."""
    command = [sys.executable, "-B", "-m", "pytest", "-n", "0", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--tb=no", "-rfE", *options, *(f"tests/{test}" for test in tests)],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
