"""How text that strangers wrote appears inside messages: short, on one line, nothing invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_gate.verdict import printable

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST = 120
_LONGEST_ERROR = 300


def quoted(text: str) -> str:
    """`text` in quotes, at most 120 characters of it, with everything unprintable escaped."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def one_line(error: BaseException) -> str:
    """What a library says about its failure, on one line of at most 300 characters."""
    return printable(" ".join(str(error).split())[:_LONGEST_ERROR]) or type(error).__name__


def first_fault(error: ValidationError, whole: str) -> str:
    """The first of what is wrong with a document: where and what, without what it holds.

    whole: what to call all of it.
    """
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A strange member may have a name of any length.
    place = ".".join(map(str, first["loc"]))[:_LONGEST] or whole
    return printable(f"{place}: {first['msg']}")
