"""The tests of a policy, run by OPA, and what of the policy they leave out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oms_gate.authoring.packs import refuse_whole_pack
from oms_gate.errors import ConfigError
from oms_gate.policy.compiler import is_test
from oms_gate.policy.program import IGNORE_HIDDEN, find_opa, run_program
from oms_gate.policy.shipped import shipped
from oms_gate.verdict import printable

_COMMAND: Final = ("test", "--format=json", IGNORE_HIDDEN, "--bundle", ".")


@dataclass(frozen=True)
class FailedTest:
    """A test that failed: its name, and where it is.

    error: what went wrong, where it was no more than that its condition does not hold.
    """

    name: str
    file: str
    line: int
    error: str | None = None


@dataclass(frozen=True)
class Tested:
    """What came of the tests.

    passed, skipped: tests, as counts.
    coverage: percent of the author's own lines that tests evaluate; None where a test failed, or
        where there are no such lines. What came with the gate has tests elsewhere.
    not_covered: by file, the first and the last line of what no test evaluates.
    """

    passed: int
    skipped: int
    failed: tuple[FailedTest, ...]
    coverage: float | None = None
    not_covered: dict[str, list[tuple[int, int]]] | None = None


def run_tests(folder: Path) -> Tested:
    """Run the tests below a folder.

    Raises:
        ConfigError: there is no ``opa``, or it cannot read or compile what is there.
        UsageError: the folder is that of a pack.
    """
    refuse_whole_pack(folder)
    opa = find_opa()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name that of the policy's .rego files")
    results = _run(opa, folder)
    failed = tuple(_failures(results))
    skipped = sum(1 for result in results if result.get("skip"))
    passed = len(results) - len(failed) - skipped
    if failed or not passed:
        return Tested(passed, skipped, failed)
    files = _run(opa, folder, "--coverage")["files"]
    return Tested(passed, skipped, failed, *_coverage(folder, files))


def _run(opa: str, folder: Path, *options: str) -> Any:
    done = run_program(opa, [*_COMMAND, *options], folder)
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = printable(" ".join((done.stderr or done.stdout).decode("utf-8", "replace").split()))
        raise ConfigError(f"OPA cannot run the tests in {folder}: {said}") from None


def _failures(results: list[dict[str, Any]]) -> Iterator[FailedTest]:
    for result in results:
        error = result.get("error")
        if result.get("fail") or error:
            place = result["location"]
            name = f"{result['package'].removeprefix('data.')}.{result['name']}"
            said = error.get("message") if isinstance(error, dict) else error
            yield FailedTest(name, place["file"], place["row"], said and printable(str(said)))


def _coverage(
    folder: Path, files: dict[str, Any]
) -> tuple[float | None, dict[str, list[tuple[int, int]]]]:
    """Of all but tests, and what is as it came with the gate."""
    covered = left_out = 0
    ranges: dict[str, list[tuple[int, int]]] = {}
    for name, found in sorted(files.items()):
        if is_test(name) or _is_shipped(folder, name):
            continue
        lines = {
            key: {
                row
                for part in found.get(key) or ()
                for row in range(part["start"]["row"], part["end"]["row"] + 1)
            }
            for key in ("covered", "not_covered")
        }
        missed = lines["not_covered"] - lines["covered"]
        covered += len(lines["covered"])
        left_out += len(missed)
        if missed:
            ranges[name] = _ranges(sorted(missed))
    total = covered + left_out
    return (round(100 * covered / total, 1) if total else None), ranges


def _is_shipped(folder: Path, name: str) -> bool:
    there = shipped("lib").parent / name
    return there.is_file() and there.read_bytes() == (folder / name).read_bytes()


def _ranges(rows: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and row == found[-1][1] + 1:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return found
