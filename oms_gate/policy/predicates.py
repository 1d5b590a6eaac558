"""Predicates of attestations, as policies see them: escaped, and with their times as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from oms_gate.verdict import printable

MOST_TIMES: Final = 10_000
"""Most times in one predicate, as a count; a vulnerability scan has two for each finding."""

LONGEST_POINTER: Final = 1024
"""Longest JSON pointer to a time, in characters: each repeats the keys above it."""

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,20})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def shown(predicate: Mapping[str, object]) -> dict[str, JsonValue]:
    """A predicate with its strings and keys escaped, as names are in a verdict.

    Raises:
        ValueError: two keys of one object are the same when they are escaped.
    """
    members = {printable(key): _shown(value) for key, value in predicate.items()}
    if len(members) < len(predicate):
        raise ValueError("two keys of one object in its predicate look the same")
    return members


def _shown(value: object) -> JsonValue:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return shown(value)
    if isinstance(value, list):
        return [_shown(member) for member in value]
    assert value is None or isinstance(value, (bool, int, float))
    return value


def times_in(predicate: Mapping[str, JsonValue]) -> dict[str, float]:
    """Every time in a predicate (a string as of RFC 3339) in Unix seconds, by its JSON pointer.

    Raises:
        ValueError: there are too many, or one has too long a pointer.
    """
    times: dict[str, float] = {}
    for pointer, time in _times(predicate, ""):
        if len(pointer) > LONGEST_POINTER:
            raise ValueError(
                f"a time in its predicate is below keys of more than {LONGEST_POINTER} characters"
            )
        times[pointer] = time
        if len(times) > MOST_TIMES:
            raise ValueError(f"its predicate holds more than {MOST_TIMES} times")
    return times


def _times(value: object, pointer: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, str):
        if (time := _seconds(value)) is not None:
            yield pointer, time
        return
    members: Iterator[tuple[object, object]] = iter(())
    if isinstance(value, Mapping):
        members = iter(value.items())
    elif isinstance(value, list):
        members = iter(enumerate(value))
    # No longer than it takes to see that it is too long.
    above = pointer[: LONGEST_POINTER + 1]
    for key, member in members:
        yield from _times(member, f"{above}/{_escaped(str(key))}")


def _escaped(key: str) -> str:
    """A part of a JSON pointer (RFC 6901, section 3)."""
    return key[: LONGEST_POINTER + 1].replace("~", "~0").replace("/", "~1")


def _seconds(text: str) -> float | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (OverflowError, ValueError):  # No such day, or a leap second.
        return None
