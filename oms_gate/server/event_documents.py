"""Documents of events: JSON by strangers, until it is known what they say."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from oms_gate.oms.quoting import first_fault
from oms_gate.oms.strict_json import MalformedJson, parse
from oms_gate.verdict import printable

_DEPTH: Final = 32
_VALUES: Final = 200_000
_CHARACTERS: Final = 300


class MalformedEventsError(Exception):
    """What was sent are no events; the text says why."""


def parsed(body: bytes) -> object:
    """The value of a document.

    Raises:
        MalformedEventsError: it has none, or readers could differ on it.
    """
    try:
        return parse(body, depth=_DEPTH, values=_VALUES)
    except MalformedJson as error:
        raise MalformedEventsError(
            f"it is no JSON that can be read: {_short(str(error))}"
        ) from None


def described(error: ValidationError) -> str:
    """What is wrong with a document, in short, without what it holds."""
    return _short(first_fault(error, "the document"))


def _short(text: str) -> str:
    return printable(text[:_CHARACTERS])
