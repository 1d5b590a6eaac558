"""What is to be seen in one file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import chain, takewhile
from typing import Final

from oms_gate.inspection.armour import armoured, armoured_file
from oms_gate.inspection.credential_files import credential_file
from oms_gate.inspection.credentials import credentials
from oms_gate.inspection.findings import Sighting
from oms_gate.inspection.json_keys import json_web_key
from oms_gate.inspection.key_files import key_file
from oms_gate.inspection.windows import windows
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode

HEAD_BYTES: Final = MIB
"""What is looked at as a whole: most headers of weights, and files that are nothing but a key."""

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
# Of these and of UTF-8, without NULs.
_PLAIN_MARKS = re.compile(rb"\A(?:\xff\xfe|\xfe\xff|\xef\xbb\xbf)")
_SAMPLE_BYTES = 1024
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")


def read_head(chunks: Iterable[bytes | memoryview]) -> bytes:
    """The first `HEAD_BYTES` of a file, or more, or all that it has."""
    head = bytearray()
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)


def search(
    path: str,
    head: bytes,
    rest: Iterable[bytes | memoryview],
    most: Mapping[ReasonCode, int],
    binary_bytes: int,
) -> Iterator[tuple[Sighting, int | None]]:
    """Secrets and trust anchors in a file, each with its line if the file is text.

    Of a line, or of a kind where there are no lines, there is one of each code.

    rest: what comes after the head.
    most: what is sought, and how many of it, as a count.
    binary_bytes: how much of a file is read that is no text.
    """
    text = _is_text(head)
    chunks = chain((head,), rest)
    left = dict(most)
    found = chain(
        _as_a_whole(path, _PLAIN_MARKS.sub(b"", head.replace(b"\0", b"")) if text else head),
        _in_pieces(chunks if text else _first(chunks, binary_bytes), left),
    )
    seen = set()
    while any(left.values()) and (next_found := next(found, None)) is not None:
        sighting, line = next_found
        key = (sighting.code, line if text else sighting.what)
        if left.get(sighting.code, 0) and key not in seen:
            seen.add(key)
            left[sighting.code] -= 1
            yield sighting, line if text else None


def _is_text(head: bytes) -> bool:
    """Whether a file is text: in UTF-8, or what else has no NULs, or in UTF-16 or UTF-32."""
    sample = head[:_SAMPLE_BYTES]
    plain = sample.replace(b"\0", b"")
    if plain == sample or head.startswith(_BYTE_ORDER_MARKS):
        return True
    # Of two or four bytes of a character, all but one are NUL.
    share = len(plain) / len(sample)
    return 0.2 < share < 0.6 and _CONTROL.search(plain) is None


def _as_a_whole(path: str, head: bytes) -> Iterator[tuple[Sighting, int]]:
    for sighting in (
        credential_file(path, head),
        key_file(path, head),
        armoured_file(head),
        json_web_key(head),
    ):
        if sighting is not None:
            yield sighting, 1 + head.count(b"\n", 0, sighting.position)


def _in_pieces(
    chunks: Iterable[bytes | memoryview], left: Mapping[ReasonCode, int]
) -> Iterator[tuple[Sighting, int]]:
    """left: how many are still sought. It may change between two that are found."""

    def sought(sighting: Sighting) -> bool:
        return left.get(sighting.code, 0) > 0

    for window in windows(chunks):
        for view in window.views():
            streams = [armoured(view)]
            if left.get(ReasonCode.PUBLISH_SECRET, 0):
                streams.append(takewhile(sought, credentials(view)))
            found = merge(*streams, key=lambda sighting: sighting.position)
            yield from view.numbered(found, sought)


def _first(chunks: Iterable[bytes | memoryview], count: int) -> Iterator[bytes | memoryview]:
    for chunk in chunks:
        yield chunk[:count]
        count -= len(chunk)
        if count <= 0:
            return
