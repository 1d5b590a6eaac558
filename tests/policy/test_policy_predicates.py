"""Predicates in the input: nothing that forges output, and every time as a number."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.policy.predicates import LONGEST_POINTER, MOST_TIMES, shown, times_in
from oms_gate.verdict import printable

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
AT = "2026-09-01T12:00:00Z"
SECONDS = datetime.fromisoformat(AT).timestamp()


def test_strings_and_keys_are_escaped() -> None:
    assert shown({"a\u202e": ["\x1b[2J", {"\u2066": "\u00e9"}], "n": 1.5, "t": True}) == {
        "a\\u202e": ["\\x1b[2J", {"\\u2066": "\u00e9"}],
        "n": 1.5,
        "t": True,
    }


def test_keys_that_look_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="look the same"):
        shown({"a": [{"b\u202e": 1, "b\\u202e": 2}]})


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_nothing_unprintable_is_left(predicate: dict[str, Any]) -> None:
    try:
        found = shown(predicate)
    except ValueError:
        return
    text = json.dumps(found, ensure_ascii=False)
    assert printable(text) == text
    assert shown(found) == found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (AT, SECONDS),
        ("2026-09-01t12:00:00z", SECONDS),
        ("2026-09-01T12:00:00.123456789Z", SECONDS + 0.123456),
        ("2026-09-01T14:00:00+02:00", SECONDS),
        ("2026-09-01T12:00:00", None),
        ("2026-09-01", None),
        ("2026-09-31T12:00:00Z", None),
        ("2026-12-31T23:59:60Z", None),
        (f" {AT}", None),
        (f"{AT}\n", None),
        ("\u0662026-09-01T12:00:00Z", None),
        ("1788264000", None),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, seconds: float | None) -> None:
    assert times_in({"t": text}) == ({} if seconds is None else {"/t": pytest.approx(seconds)})


def test_times_are_told_by_their_json_pointers() -> None:
    predicate: Any = {"a/b": [{"~": AT}, AT], "": AT, "n": 1, "c": {"d": {"e": AT}}}
    assert times_in(predicate) == dict.fromkeys(["/a~1b/0/~0", "/a~1b/1", "/", "/c/d/e"], SECONDS)


def test_times_are_counted() -> None:
    assert len(times_in({"a": [AT] * MOST_TIMES})) == MOST_TIMES
    with pytest.raises(ValueError, match="more than"):
        times_in({"a": [AT] * (MOST_TIMES + 1)})


def test_pointers_are_short() -> None:
    """Each repeats the keys above it, so that long ones would be many times the predicate."""
    assert times_in({"k" * (LONGEST_POINTER - 3): [AT]})
    for key in ("k" * (LONGEST_POINTER - 2), "/" * LONGEST_POINTER, "k" * 1_000_000):
        with pytest.raises(ValueError, match="characters"):
            times_in({key: [AT]})
    assert times_in({"k" * 1_000_000: ["no time"]}) == {}
