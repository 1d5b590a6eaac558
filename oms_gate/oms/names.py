"""Which names a signed file may have.

A name is a path relative to the model's root, in the form that every store and every system
reads alike (OMS v1.0, resource names). Names come from strangers and become paths, so whatever
could leave the root, or be another file elsewhere, is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from oms_gate.oms.quoting import quoted

SINGLE_FILE: Final = "."
"""What the reference implementation calls the only file of a model that is one file."""

NAME_BYTES: Final = 1024
"""Longest name, in bytes of UTF-8: the longest key of S3, well below the longest POSIX path."""

SEGMENT_BYTES: Final = 255
"""Longest part between two slashes, in bytes of UTF-8, as on the usual file systems."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")


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
    segments = name.split("/")
    for segment in ("", ".", ".."):
        if segment in segments:
            return f"has the segment {quoted(segment)}"
    if size > SEGMENT_BYTES and any(len(part.encode()) > SEGMENT_BYTES for part in segments):
        return f"has a segment longer than {SEGMENT_BYTES} bytes"
    return None


def ancestors(name: str) -> Iterator[str]:
    """The folders above `name`, from the nearest."""
    while (slash := name.rfind("/")) > 0:
        name = name[:slash]
        yield name


def clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Two different `names` that cannot lie side by side on every file system.

    They differ by letter case or Unicode normalization alone, or one is a folder of the other.
    """
    by_key: dict[str, str] = {}
    for name in names:
        if (other := by_key.setdefault(_folded(name), name)) != name:
            return other, name
    for key, name in by_key.items():
        for folder in ancestors(key):
            if folder in by_key:
                return by_key[folder], name
    return None


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
