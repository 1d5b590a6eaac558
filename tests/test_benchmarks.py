"""The benchmarks run, and their tables come out; what they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import model
from benchmarks.__main__ import DOCUMENT, SECTIONS
from benchmarks.report import Figure, Spread, Table, replaced
from benchmarks.servers.nginx import PROGRAM
from benchmarks.trial import Candidate, run
from oms_gate.signing.keys import generate_key, write_key_pair


@pytest.mark.parametrize(
    ("call", "options"),
    [
        ("raw.read", []),
        ("ours.check", ["key"]),
        ("peers.reference_client", ["key"]),
    ],
)
def test_a_trial(tmp_path: Path, call: str, options: list[str]) -> None:
    key, public = generate_key("P-256"), tmp_path / "key.pub"
    write_key_pair(tmp_path / "key", public, key, None)
    source = model.make(tmp_path / "model", key, count=3, size=70_000).source
    assert source.bytes == 210_000
    trial = run(Candidate(call, call, source, source, dict.fromkeys(options, str(public))))
    assert trial.seconds > 0
    assert trial.cpu_seconds > 0
    assert trial.peak_bytes > 10_000_000


def test_a_candidate_that_fails(tmp_path: Path) -> None:
    source = model.make(tmp_path / "model", generate_key("P-256"), count=1, size=10).source
    (tmp_path / "model/model-00000.safetensors").unlink()
    with pytest.raises(RuntimeError, match=r"a reader .* failed:(?s:.*)FileNotFoundError"):
        run(Candidate("a reader", "raw.read", source, source))


@pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed: run `make nginx`")
def test_a_section(tmp_path: Path) -> None:
    options = ["--only", "tls", "--megabytes", "8", "--rounds", "1"]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options, "--memory", tmp_path, "--disk", tmp_path],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "`python -m benchmarks --only tls --rounds 1 --megabytes 8` on " in result.stdout
    assert result.stdout.count("\n| `Gate.check` | ") == 2
    assert result.stdout.count("\n| `check`: rate, of the raw transfer's | ") == 2


def test_a_table() -> None:
    assert Table(("", "MB/s"), [["raw", "3"], ["gate", "2"]]).markdown() == (
        "|  | MB/s |\n| --- | ---: |\n| raw | 3 |\n| gate | 2 |\n"
    )


def test_spread_and_aims() -> None:
    assert Spread.of([3, 1, 2]).text(1) == "2.0 (1.0 to 3.0)"
    assert Spread.of([2, 2, 2.001]).text(1) == "2.0"
    assert Figure("a", [0.4, 0.6, 0.5], at_least=0.5).row()[1:] == [
        "0.50 (0.40 to 0.60)",
        "at least 0.5",
        "yes",
    ]
    assert Figure("a", [1.2], at_most=1.15).row() == ["a", "1.20", "at most 1.15", "no"]
    assert Figure("a", [1.2]).row() == ["a", "1.20", "", ""]


def test_every_section_has_its_place_in_the_document() -> None:
    document = DOCUMENT.read_text()
    for section in SECTIONS:
        document = replaced(document, section, f"new {section}\n")
    for section in SECTIONS:
        assert f"<!-- {section} -->\nnew {section}\n<!-- end of {section} -->\n" in document
    with pytest.raises(ValueError, match="0 places for 'another'"):
        replaced(document, "another", "")
