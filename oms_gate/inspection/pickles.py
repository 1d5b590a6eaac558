"""Pickles, by their operations."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pickletools import OpcodeInfo

_PROTOCOL = re.compile(rb"\x80[\0-\x05]")
# So many that are well-formed, one after the other, are no accident where a protocol is named.
_OPERATIONS = 3
# Nor are so many anywhere.
_MANY_OPERATIONS = 10_000
# What names something to call, and what calls it.
_NAMING = {"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_CALLING = {"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}


def names_protocol(head: bytes) -> bool:
    """Whether bytes begin as every pickle of protocol 2 and later does that a program wrote."""
    return _PROTOCOL.match(head) is not None


def is_pickle(head: bytes, cut: bool) -> bool:
    """Whether bytes are a pickle; where they name no protocol first, one that calls something.

    A loader needs no protocol, and many bytes are operations: numbers are no pickle because the
    first few of them are.

    head: the file's first bytes.
    cut: whether the file goes on after them.
    """
    # What is no text may be taken for text with escapes, of which Python warns.
    with warnings.catch_warnings(action="ignore"):
        return _is_pickle(head, cut)


def _is_pickle(head: bytes, cut: bool) -> bool:
    import pickletools

    stream, move = io.BytesIO(head), _stack()
    enough = _OPERATIONS if names_protocol(head) else _MANY_OPERATIONS
    count, names = 0, False
    try:
        for operation, _, _ in pickletools.genops(stream):
            move(operation)
            count += 1
            names = names or operation.name in _NAMING
            if count == enough or (names and operation.name in _CALLING):
                return True
    except ValueError:
        # The last one may only be longer than the head.
        return cut and stream.tell() >= len(head) and (count >= _OPERATIONS or names_protocol(head))
    return False


def _stack() -> Callable[[OpcodeInfo], None]:
    """What follows the stack of a loader; it raises a ValueError where that would fail."""
    from pickletools import markobject

    marks: list[int] = []
    depth = 0

    def move(operation: OpcodeInfo) -> None:
        nonlocal depth
        taken, given = operation.stack_before, operation.stack_after
        if markobject in taken or (operation.name == "POP" and marks and marks[-1] == depth):
            if not marks:
                raise ValueError("no mark")
            depth = marks.pop() - (taken.index(markobject) if markobject in taken else 0)
        else:
            depth -= len(taken)
        if depth < (marks[-1] if marks else 0):
            raise ValueError("too little on the stack")
        if markobject in given:
            marks.append(depth)
        else:
            depth += len(given)

    return move
