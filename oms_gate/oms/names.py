"""Which names a signed file may have.

A name is a path relative to the model's root, in the form that every store and every system
reads alike (OMS v1.0, resource names). Names come from strangers and become paths, so whatever
could leave the root, or be another file elsewhere, is refused.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from oms_gate.oms.quoting import quoted

SINGLE_FILE: Final = "."
"""What the reference implementation calls the only file of a model that is one file."""

NAME_BYTES: Final = 1024
"""Longest name, in bytes of UTF-8: the longest key of S3, well below the longest POSIX path."""

SEGMENT_BYTES: Final = 255
"""Longest part between two slashes, in bytes of UTF-8, as on the usual file systems."""

MARKS: Final = 30
"""Most combining marks in a row, as a count: what Unicode's Stream-Safe Text Format has (UAX #15).
To put many into their order takes the square of their number, and no script needs them."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
# Marks are among these.
_NO_LETTERS = re.compile(r"[^\x00-\x7f\w]+")
# By category: some have no combining class of their own, but what they stand for has.
_MARKS = re.compile(rf"(?:M[nce]){{{MARKS + 1}}}")


def flaw(name: str) -> str | None:
    """What is wrong with `name` as a relative POSIX path, to complete "the name ..."."""
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    if not name:
        return "is empty"
    if size > NAME_BYTES:
        return f"is longer than {NAME_BYTES} bytes"
    if _CONTROL.search(name):
        return "holds a control character"
    if "\\" in name:
        return "holds a backslash"
    if name[0] == "/":
        return "is absolute"
    if name[-1] == "/":
        return "ends with a slash"
    if _DRIVE.match(name):
        return "begins with a drive letter"
    if size > len(name) and any(map(_is_pile, _NO_LETTERS.findall(name))):
        return f"has more than {MARKS} combining marks in a row"
    segments = name.split("/")
    for segment in ("", ".", ".."):
        if segment in segments:
            return f"has the segment {quoted(segment)}"
    if size > SEGMENT_BYTES and any(len(part.encode()) > SEGMENT_BYTES for part in segments):
        return f"has a segment longer than {SEGMENT_BYTES} bytes"
    return None


class Subtrees:
    """Paths, each of which stands for itself and for all that is below it.

    To ask takes no longer for a path of many folders: how deep they are, strangers decide.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._tops: list[str] = []
        for key in sorted(map(_tree_order, paths)):
            if not self._tops or not key.startswith(self._tops[-1]):
                self._tops.append(key)

    def __contains__(self, path: str) -> bool:
        key = _tree_order(path)
        index = bisect_right(self._tops, key)
        return index > 0 and key.startswith(self._tops[index - 1])


def clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Two different `names` that cannot lie side by side on every file system.

    They differ by letter case or Unicode normalization alone, or one is a folder of the other.
    """
    by_key: dict[str, str] = {}
    for name in names:
        if (other := by_key.setdefault(_tree_order(_folded(name)), name)) != name:
            return other, name
    for folder, key in pairwise(sorted(by_key)):
        if key.startswith(folder):
            return by_key[folder], by_key[key]
    return None


def _is_pile(text: str) -> bool:
    if len(text) <= MARKS:
        return False
    return _MARKS.search("".join(map(unicodedata.category, text))) is not None


def _tree_order(path: str) -> str:
    """`path` written so that a folder's text begins, and sorts right before, all that is in it."""
    return path.replace("/", "\0") + "\0"


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    # A canonical caseless match (Unicode 3.13, D145); what was decomposed stays so when folded.
    return unicodedata.normalize("NFD", name).casefold()
