"""docs/threat-model.md: each attack names what stops it and tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "threat-model.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


class Attack(NamedTuple):
    number: int | None
    stopped_by: str
    shown_by: str


def attacks() -> list[Attack]:
    """The rows of both tables, those of the project without a number."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and "::" in line:
            number = int(cells[0]) if cells[0].isdecimal() else None
            found.append(Attack(number, *cells[-2:]))
    return found


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def test_every_attack_is_there_once() -> None:
    numbers = [attack.number for attack in attacks() if attack.number is not None]
    assert numbers == list(range(1, 38))
    assert len(attacks()) > len(numbers)


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: str(attack.number))
def test_it_names_tests_and_modules_that_are_there(attack: Attack) -> None:
    assert TEST.sub("", attack.shown_by).strip() == ""
    named = TEST.findall(attack.shown_by)
    assert named
    for path, name in named:
        assert Path(path).name.startswith("test_")
        assert name.startswith("test_")
        assert name in functions_of(path), f"{path}::{name}"
    places = re.findall(r"`([^`]+)`", attack.stopped_by)
    assert places
    for place in places:
        assert any((base / place).exists() for base in (ROOT / "oms_gate", ROOT)), place


def test_boundaries_name_modules_that_are_there() -> None:
    section = PAGE.read_text().split("## Boundaries")[1].split("## What is assumed")[0]
    folder = ROOT
    places = re.findall(r"`([\w/.]+)`", section)
    assert len(places) > 10
    for place in places:
        if "/" in place and (ROOT / place).exists():
            folder = (ROOT / place).parent
        else:
            assert (folder / place).exists() or (ROOT / "oms_gate" / place).exists(), place
