"""What each reason code means and what to do about it, as ``docs/reasons.md`` has it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_ROW = re.compile(r"\| `(?P<code>[a-z.-]+)`(?: \(undecided\))? \| (?P<cause>.+) \| (?P<cure>.+) \|")
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\([^)]+\)")


class Cure(NamedTuple):
    """Sentences about a reason code, as plain text."""

    cause: str
    cure: str


@cache
def cures() -> dict[str, Cure]:
    """The cause and the cure of each reason code."""
    rows = _ROW.finditer(_reasons().read_text("utf-8"))
    return {row["code"]: Cure(_plain(row["cause"]), _plain(row["cure"])) for row in rows}


def _reasons() -> Path:
    """In the package once installed, in the documentation of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "reasons.md"
    return installed if installed.exists() else package.parent / "docs" / "reasons.md"


def _plain(text: str) -> str:
    return _LINK.sub(r"\g<text>", text).replace("`", "")
