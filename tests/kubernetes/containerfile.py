"""The Containerfile, read into its instructions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    """One instruction; continued lines are one."""

    word: str
    arguments: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, which begins with its FROM."""
    text = (ROOT / "Containerfile").read_text()
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    made: list[list[Instruction]] = []
    for line in filter(str.strip, lines):
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            made.append([])
        made[-1].append(Instruction(word, re.sub(r"\s+", " ", arguments.strip())))
    return made


def arguments(stage: list[Instruction], word: str) -> list[str]:
    """The arguments of the instructions of one kind, in order."""
    return [instruction.arguments for instruction in stage if instruction.word == word]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets in a stage."""
    words = " ".join(arguments(stage, "ENV")).split()
    return dict(word.split("=", 1) for word in words)
