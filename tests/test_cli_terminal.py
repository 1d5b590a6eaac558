"""What is shown on terminals that are narrow: whole words, and no more than fits."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from oms_gate.cli import render
from oms_gate.streaming.hashing import Progress
from tests.commands import oms_gate
from tests.test_cli_sign import at_a_terminal

COMMANDS: tuple[list[str], ...] = (
    [],
    ["verify"],
    ["pull"],
    ["sign"],
    ["diff"],
    ["resign"],
    ["keygen"],
    ["inspect"],
    ["demo"],
    ["config"],
    ["config", "check"],
    ["config", "data"],
    ["policy"],
    ["policy", "init"],
    ["policy", "check"],
    ["policy", "test"],
    ["policy", "build"],
    ["policy", "explain"],
    ["trust"],
    ["trust", "add"],
    ["trust", "list"],
    ["trust", "remove"],
    ["history"],
    ["report"],
    ["cache"],
    ["cache", "list"],
    ["cache", "verify"],
    ["cache", "prune"],
    ["run"],
)
# Options, variables of the environment, and what options take.
NAMES = re.compile(r"--[a-z-]+|\b[A-Z]+(?:_[A-Z0-9]+)+|<[^>]+>")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_cuts_no_name(command: list[str]) -> None:
    wide = oms_gate(*command, "--help", COLUMNS="300").stdout
    narrow = oms_gate(*command, "--help", COLUMNS="80").stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert set(NAMES.findall(wide)) <= set(NAMES.findall(narrow))


def test_an_error_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "/nowhere/" + "x" * 60
    status, output = at_a_terminal([], "verify", long, "--public-key", long)
    assert status == 2
    lines = output.splitlines()
    assert max(len(line) for line in lines if long not in line) <= 40
    whole = oms_gate("verify", long, "--public-key", long).stderr
    assert len(whole.splitlines()) == 1
    assert " ".join(lines).split() == whole.split()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (30, ["45.7/123.5 GB"]),
        (40, ["45.7/123.5 GB"]),
        (48, ["45.7/123.5 GB", "-:--:--"]),
        (80, ["hf://org/a-model-of-some-length", "45.7/123.5 GB", "-:--:--"]),
        (120, ["hf://org/a-model-of-some-length", "━" * 14, "45.7/123.5 GB", "-:--:--"]),
    ],
)
def test_progress_shows_what_fits(
    monkeypatch: pytest.MonkeyPatch, width: int, shown: list[str]
) -> None:
    def console(**_: object) -> Console:
        return Console(file=screen, force_terminal=True, width=width, color_system=None)

    screen = io.StringIO()
    monkeypatch.setattr(render, "new_console", console)
    monkeypatch.setattr(render, "_BAR_AFTER_SECONDS", -1)
    with render.progress_bar("hf://org/a-model-of-some-length") as show:
        show(Progress(45_678_901_234, 123_456_789_012, files_done=1, files_total=2))
    lines = [
        line for line in re.split(r"\x1b\[[^A-Za-z]*[A-Za-z]|[\r\n]", screen.getvalue()) if line
    ]
    assert max(map(len, lines)) <= width
    for text in shown:
        assert text in lines[-1]


@pytest.mark.parametrize(("total", "shown"), [(3, "1/3"), (None, "1/?")])
def test_what_is_counted_is_shown_as_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, total: int | None, shown: str
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, color_system=None)
    monkeypatch.setattr(render, "new_console", lambda **_: console)
    with render.counting_bar("models[1].txt", total) as done:
        done()
    assert "models[1].txt" in screen.getvalue()
    assert shown in screen.getvalue()
