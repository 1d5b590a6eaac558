"""Which part of a file a client wants (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))", re.ASCII)


class Wanted(NamedTuple):
    """Bytes `start` to `end` (exclusive) of a file."""

    start: int
    end: int
    partial: bool

    def content_range(self, size: int) -> str:
        """The value of the header of that name."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def wanted(method: str, headers: Mapping[str, str], size: int, etag: str) -> Wanted | None:
    """The part that is wanted of a file of so many bytes; None where there are no such bytes.

    Other units, several ranges and a range of another content are wishes that nobody has to grant:
    the whole is given then. Only GET has ranges.
    """
    whole = Wanted(0, size, False)
    match = _RANGE.fullmatch(headers.get("Range", "").replace(" ", ""))
    condition = headers.get("If-Range")
    outdated = condition is not None and condition != etag
    if match is None or outdated or method != "GET":
        return whole
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(size - int(suffix), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return whole
    return Wanted(start, end, True) if start < end else None


def is_outdated(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the client wants another content than this one, or nothing (``If-Match``)."""
    tags = headers.get("If-Match", "*").split(",")
    return all(tag.strip() not in (etag, "*") for tag in tags)


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the client has this content already (``If-None-Match``)."""
    tags = headers.get("If-None-Match", "").split(",")
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in tags)
