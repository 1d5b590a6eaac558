"""JSON with one reading only.

Two readers of one signed document must never see different things, so everything on which
readers differ is refused: duplicate keys, other encodings than UTF-8, byte order marks, NaN,
lone surrogates, endless numbers and deep nesting.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from typing import Final, NoReturn, TypeVar

from oms_gate.oms.quoting import quoted

_SEPARATORS: Final = (b",", b"[", b"{")
_LONGEST_NUMBER = 40
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
# An unclosed string runs to the end: looking for its end again and again would take forever.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_KIND: Final[dict[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    type(None): "null",
}

T = TypeVar("T", dict[str, object], list[object], str, bool, int)


class MalformedJson(ValueError):  # noqa: N818 - the document is what is malformed
    """The document cannot be read; the text completes "... is malformed: "."""


def parse(data: bytes, *, depth: int, values: int, limit: str | None = None) -> object:
    """The value of a JSON document (RFC 8259) that has only one reading.

    depth: most levels of lists and objects; counted before anything recurses.
    values: most lists, objects and members of them; counted before anything is decoded, because
        each takes many times the memory of its text. Marks inside strings count as well.
    limit: what the operator may raise to have more values read.

    Raises:
        MalformedJson: it is not JSON, or readers could differ on it.
    """
    if not data.strip():
        raise MalformedJson("it is empty")
    if sum(map(data.count, _SEPARATORS)) > values:
        named = f" ({limit})" if limit else ""
        raise MalformedJson(f"it holds more than {values} values{named}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson("it is not UTF-8 text") from error
    _check_depth(text, depth)
    try:
        value: object = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        fault = error.msg.removesuffix(" at")
        raise MalformedJson(f"it is not JSON ({fault} at character {error.pos})") from error
    except UnicodeEncodeError as error:
        raise MalformedJson("a string in it holds half of a surrogate pair") from error
    return value


class JsonObject:
    """An object of a document, whose members are read by name and by exact type.

    where: what to call it in messages.

    Raises:
        MalformedJson: on construction and by every method, where something is not as asked for.
    """

    __slots__ = ("_members", "_where")

    def __init__(self, value: object, where: str) -> None:
        self._members: dict[str, object] = _typed(value, dict, where)
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def only(self, *names: str) -> None:
        """Refuse any member that is not among `names`."""
        if strange := self._members.keys() - set(names):
            raise MalformedJson(f"{self._where} has the unknown key {quoted(min(strange))}")

    def text(self, name: str) -> str:
        """A string that is not empty."""
        if not (text := self._member(name, str)):
            raise MalformedJson(f"{self._where}.{name} is empty")
        return text

    def optional_text(self, name: str) -> str | None:
        """A string, perhaps empty; None where it is null or absent."""
        return None if self._members.get(name) is None else self._member(name, str)

    def boolean(self, name: str) -> bool:
        """True or false."""
        return self._member(name, bool)

    def integer(self, name: str) -> int:
        """A whole number; ``4.0`` is one too."""
        value = self._members.get(name)
        if type(value) is float and value.is_integer():
            return int(value)
        return self._member(name, int)

    def decimal(self, name: str) -> int:
        """A whole number that is not negative and is written as a string, as Protobuf does."""
        text = self.text(name)
        if not _DECIMAL.fullmatch(text):
            self.fault(name, f"must be a plain decimal number, but is {quoted(text)}")
        return int(text)

    def base64(self, name: str) -> bytes:
        """Bytes in canonical base64: RFC 4648 section 4, padded, with nothing in between."""
        return self._decoded(name, self.text(name))

    def base64s(self, name: str) -> list[bytes]:
        """A list of the same."""
        return [
            self._decoded(f"{name}[{index}]", text) for index, text in enumerate(self.texts(name))
        ]

    def object(self, name: str) -> JsonObject:
        """An object inside this one."""
        return JsonObject(self._member(name, dict), f"{self._where}.{name}")

    def objects(self, name: str) -> list[JsonObject]:
        """A list of objects."""
        return [
            JsonObject(value, f"{self._where}.{name}[{index}]")
            for index, value in enumerate(self._member(name, list))
        ]

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        return [
            _typed(value, str, f"{self._where}.{name}[{index}]")
            for index, value in enumerate(self._member(name, list))
        ]

    def fault(self, name: str, fault: str) -> NoReturn:
        """Say what is wrong with the member `name`."""
        raise MalformedJson(f"{self._where}.{name} {fault}")

    def _decoded(self, name: str, text: str) -> bytes:
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            self.fault(name, "is not base64")
        if base64.b64encode(data).decode("ascii") != text:
            self.fault(name, "is not canonical base64")
        return data

    def _member(self, name: str, kind: type[T]) -> T:
        if name not in self._members:
            raise MalformedJson(f"{self._where}.{name} is missing")
        value = self._members[name]
        if type(value) is kind:
            return value
        return _typed(value, kind, f"{self._where}.{name}")


def _typed(value: object, kind: type[T], where: str) -> T:
    # The exact type: to Python, true is a number.
    if type(value) is not kind:
        raise MalformedJson(f"{where} must be {_KIND[kind]}, but is {_KIND[type(value)]}")
    return value


def _check_depth(text: str, most: int) -> None:
    if text.count("[") + text.count("{") <= most:
        return
    level = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        level += 1 if bracket in "[{" else -1
        if level > most:
            raise MalformedJson(f"it is nested more than {most} levels deep (limits.json_depth)")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedJson(f"the key {quoted(key)} occurs twice in one object")
            seen.add(key)
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise MalformedJson("a number in it has too many digits")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or not math.isfinite(value := float(digits)):
        raise MalformedJson("a number in it has too many digits or is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"it holds {name}, which JSON does not know")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
