"""How text that strangers wrote appears inside messages: short, on one line, nothing invisible."""

from __future__ import annotations

from oms_gate.verdict import printable

_LONGEST = 120
_LONGEST_ERROR = 300


def quoted(text: str) -> str:
    """`text` in quotes, at most 120 characters of it, with everything unprintable escaped."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def one_line(error: BaseException) -> str:
    """What a library says about its failure, on one line of at most 300 characters."""
    return printable(" ".join(str(error).split())[:_LONGEST_ERROR]) or type(error).__name__
