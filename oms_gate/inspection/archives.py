"""What is in a zip archive: to go by its directory, and by the headers before its files.

Readers go by the directory alone, which is at the end. It may say something else than the headers.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from oms_gate.limits import MIB

ReadRange = Callable[[int, int], bytes]
"""Of a file, the bytes from an offset to another (exclusive)."""

DIRECTORY_BYTES: Final = 8 * MIB
"""The longest directory that is read: of some 80,000 files."""

_BEGIN = re.compile(rb"PK(?:\x03\x04|\x05\x06)")
# With what overlaps: bytes that look like one must not hide the next.
_HEADER = re.compile(rb"PK\x03\x04(?=.{4}(..).{16}(..)(..))", re.DOTALL)
_HEADER_BYTES = 30
_NAME_BYTES = 32
_DEFLATED = b"\x08\0"
_ENTRY = re.compile(rb"PK\x01\x02(?=.{24}(..))", re.DOTALL)
_ENTRY_BYTES = 46
# After it is a comment of 64 KiB at most; before it is a larger one where numbers need that.
_END, _LARGE_END = b"PK\x05\x06", b"PK\x06\x06"
_END_BYTES = 22
_TAIL_BYTES = 64 * 1024 + 1024
_TOO_LARGE = 0xFFFFFFFF


def is_archive(head: bytes) -> bool:
    """Whether a file begins as readers of weights want a zip archive to."""
    return _BEGIN.match(head) is not None


def names(head: bytes, size: int | None, read: ReadRange) -> Iterator[bytes]:
    """How the names of its files end. One may come twice, or be none but look like one.

    size: bytes, where that is known; otherwise it has the directory of its head only.

    Raises:
        ValueError: there is no directory where one should be, or it is too long.
    """
    for header in _HEADER.finditer(head):
        yield _end(head, header.start() + _HEADER_BYTES, header[2])
    if size is None:
        return
    for directory in _directories(size, read):
        for entry in _ENTRY.finditer(directory):
            yield _end(directory, entry.start() + _ENTRY_BYTES, entry[1])


def _end(content: bytes, place: int, length: bytes) -> bytes:
    # To copy names of 64 KiB that overlap would take long.
    end = place + int.from_bytes(length, "little")
    return content[max(place, end - _NAME_BYTES) : end]


def deflated(head: bytes, beginning: bytes, most: int) -> Iterator[bytes]:
    """The first `most` bytes of each compressed file in the head that begins so."""
    for header in _HEADER.finditer(head):
        if header[1] != _DEFLATED:
            continue
        lengths = int.from_bytes(header[2], "little") + int.from_bytes(header[3], "little")
        place = header.start() + _HEADER_BYTES + lengths
        # To look at the beginning costs little.
        if _inflated(head[place : place + len(beginning) + 64], len(beginning)) == beginning:
            yield _inflated(head[place : place + most], most)


def _inflated(content: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, most)
    except zlib.error:
        return b""


def _directories(size: int, read: ReadRange) -> Iterator[bytes]:
    """What readers may take for the directory.

    Some go by its place as it is said; others look for it right before the end.
    """
    base = max(size - _TAIL_BYTES, 0)
    tail = read(base, size)
    place = tail.rfind(_END, 0, max(len(tail) - _END_BYTES + len(_END), 0))
    if place < 0:
        raise ValueError("no end of a directory")
    ends = [(base + place, *struct.unpack_from("<II", tail, place + 12))]
    large = tail.rfind(_LARGE_END, 0, place)
    if 0 <= large <= len(tail) - 56:
        ends.append((base + large, *struct.unpack_from("<QQ", tail, large + 40)))
        if _TOO_LARGE in ends[0]:
            del ends[0]
    if any(length > min(DIRECTORY_BYTES, end) for end, length, _ in ends):
        raise ValueError("its directory is too long")
    starts = chain.from_iterable({(end - n, n), (at, n)} for end, n, at in ends)
    for start, length in set(starts):
        if start < size:
            yield read(start, min(start + length, size))
