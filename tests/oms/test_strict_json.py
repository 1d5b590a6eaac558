"""JSON that two readers could read differently is refused; all other JSON is read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.oms.strict_json import JsonObject, MalformedJson, parse

DEPTH = 32
VALUES = 100_000_000
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc\u00e4\u4e2d"), inner),
    max_leaves=20,
)


@given(PLAIN, st.booleans())
def test_sound_json_is_read_as_python_reads_it(value: object, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse(data, depth=200, values=VALUES) == value


@given(st.binary() | st.text('{}[]",:\\u0123d8e+-.aN \ufeff').map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = parse(data, depth=DEPTH, values=VALUES)
    except MalformedJson:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize(
    ("sound", "attack", "says"),
    [
        (b'{"a": 1, "b": 2}', b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"a": {"b": 1}}', b'{"a": {"b": 1, "b": 1}}', "'b' occurs twice"),
        (b'{"a": 1}', b'{"a": 1, "\\u0061": 2}', "'a' occurs twice"),
        (b"{}", b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "x"}', '{"a": "x"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "x"}', '{"a": "x"}'.encode("utf-16-le"), "not JSON"),
        (b'{"a": "\xc3\xa4"}', b'{"a": "\xe4"}', "not UTF-8"),
        (b'{"a": "\\ud83d\\ude00"}', b'{"a": "\\ud83d"}', "surrogate"),
        (b'{"\\ud83d\\ude00": 1}', b'{"\\ude00": 1}', "surrogate"),
        (b'{"a": "x"}', b'{"a": "\xed\xa0\xbd"}', "not UTF-8"),
        (b'{"a": 1}', b'{"a": NaN}', "NaN"),
        (b'{"a": 1}', b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e300}', b'{"a": 1e400}', "too large"),
        (b'{"a": ' + b"9" * 40 + b"}", b'{"a": ' + b"9" * 41 + b"}", "too many digits"),
        (b'{"a": 0.' + b"9" * 30 + b"}", b'{"a": 0.' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": 10}', b'{"a": 010}', "not JSON"),
        (b'{"a": "\\t"}', b'{"a": "\t"}', "not JSON"),
        (b'{"a": 1}', b'{"a": 1,}', "not JSON"),
        (b"{}", b"{}{}", "not JSON"),
        (b"{}", b"{} // done", "not JSON"),
        (b"{}", b"", "it is empty"),
        (b"{}", b" \r\n", "it is empty"),
        (b'{"a": "x"}', b'{"a": "x', r"starting at character 6\)"),
        (b"[" * DEPTH + b"]" * DEPTH, b"[" * 33 + b"]" * 33, "json_depth"),
        (b"[" * DEPTH + b"]" * DEPTH, b'{"a":' * 100_000, "json_depth"),
        (b'["\\"[[", ' + b"[" * 31 + b"]" * 32, b'["\\\\", ' + b"[" * 32 + b"]" * 33, "json_depth"),
        (b'["' + b"[" * 99 + b'"]', b'["", ' + b"[" * 99 + b'"]', "json_depth"),
    ],
)
def test_a_second_reading_is_refused(sound: bytes, attack: bytes, says: str) -> None:
    parse(sound, depth=DEPTH, values=VALUES)
    with pytest.raises(MalformedJson, match=says):
        parse(attack, depth=DEPTH, values=VALUES)


def test_hostile_text_takes_no_longer_than_its_length() -> None:
    started = time.perf_counter()
    for attack in (b"[[" * 20 + b'"' + b'\\"' * 2_000_000, b'"' * 4_000_000, b"[" * 4_000_000):
        with pytest.raises(MalformedJson):
            parse(attack, depth=DEPTH, values=VALUES)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("unit", [b"[]", b'{"":0}', b"1.5", b'""', b"[[]]", b'{"":{}}'])
def test_values_are_counted_before_they_are_decoded(unit: bytes) -> None:
    few = b"[" + b",".join([unit] * 100) + b"]"
    count = sum(map(few.count, (b",", b"[", b"{")))
    parse(few, depth=DEPTH, values=count)
    with pytest.raises(MalformedJson, match=rf"more than {count - 1} values \(limits\.some\)$"):
        parse(few, depth=DEPTH, values=count - 1, limit="limits.some")
    # Not even JSON, so nothing was decoded.
    with pytest.raises(MalformedJson, match=r"more than 99 values$"):
        parse(few + b"\xff", depth=DEPTH, values=99)


OBJECT: dict[str, Any] = {
    "text": "x",
    "empty": "",
    "true": True,
    "four": 4,
    "also four": 4.0,
    "half": 0.5,
    "null": None,
    "decimal": "10",
    "base64": "AAE=",
    "object": {"inner": {}},
    "objects": [{}, {}],
    "texts": ["a", "b"],
    "base64s": ["AAE=", ""],
}


def test_members_are_read_by_type() -> None:
    document = JsonObject(OBJECT, "the document")
    assert document.text("text") == "x"
    assert document.optional_text("text") == "x"
    assert document.optional_text("empty") == ""
    assert document.optional_text("null") is None
    assert document.optional_text("absent") is None
    assert document.boolean("true") is True
    assert document.integer("four") == document.integer("also four") == 4
    assert document.decimal("decimal") == 10
    assert document.base64("base64") == b"\0\1"
    assert document.base64s("base64s") == [b"\0\1", b""]
    assert "inner" in document.object("object")
    assert len(list(document.objects("objects"))) == document.count("objects") == 2
    assert document.texts("texts") == ["a", "b"]
    document.only(*OBJECT)


@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("text", "empty"),
        ("text", "null"),
        ("text", "four"),
        ("text", "absent"),
        ("optional_text", "four"),
        ("boolean", "four"),
        ("boolean", "text"),
        ("integer", "true"),
        ("integer", "half"),
        ("integer", "decimal"),
        ("integer", "absent"),
        ("decimal", "four"),
        ("decimal", "text"),
        ("base64", "text"),
        ("base64s", "texts"),
        ("object", "objects"),
        ("objects", "object"),
        ("objects", "texts"),
        ("count", "text"),
        ("count", "absent"),
        ("texts", "objects"),
        ("texts", "text"),
    ],
)
def test_members_of_another_type_are_refused(method: str, member: str) -> None:
    document = JsonObject(OBJECT, "the document")
    with pytest.raises(MalformedJson, match=r"the document\.") as caught:
        found = getattr(document, method)(member)
        list(found)  # Some are made one by one.
    assert member in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["01", "+1", "-1", " 1", "1 ", "1_0", "1.0", "1e3", "\u0661", "0x1", "1" * 20, "1\n"],
)
def test_decimals_are_written_in_one_way(text: str) -> None:
    assert JsonObject({"n": "9" * 19}, "it").decimal("n") == int("9" * 19)
    with pytest.raises(MalformedJson):
        JsonObject({"n": text}, "it").decimal("n")


@pytest.mark.parametrize(
    "text",
    [
        "AAE",
        "AAF=",
        "AAE= ",
        " AAE=",
        "AA\nE=",
        "AAE==",
        "AA=E",
        "A-8=",
        "A_8=",
        "A!8=",
        "ÄAE=",
        "=",
    ],
)
def test_base64_is_written_in_one_way(text: str) -> None:
    assert JsonObject({"b": "AAE="}, "it").base64("b") == b"\0\1"
    with pytest.raises(MalformedJson):
        JsonObject({"b": text}, "it").base64("b")


def test_unknown_members_and_other_values_than_objects_are_refused() -> None:
    with pytest.raises(MalformedJson, match="unknown key 'empty'"):
        JsonObject(OBJECT, "the document").only("text")
    values: list[object] = [[], "x", None, 1, 1.5, True]
    for value in values:
        with pytest.raises(MalformedJson, match="the document must be an object"):
            JsonObject(value, "the document")
