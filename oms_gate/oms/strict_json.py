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
from functools import partial
from typing import Final, NoReturn, TypeVar

from oms_gate.oms.quoting import quoted

_LONGEST_NUMBER = 40
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
# Each value but the first comes after one of these.
_OPENING: Final = b"[{,"
_UNMARKED: Final = bytes(set(range(256)) - set(_OPENING + b':]}"'))
# An unclosed string runs to the end: looking for its end again and again would take forever.
_STRING = re.compile(rb'"[^"]*+"?')
_HALF_PAIR = re.compile(
    rb"\\u[Dd](?:[89ABab]..(?!\\u[Dd][C-Fc-f])|(?<!\\u[Dd][89ABab]..\\u[Dd])[C-Fc-f])", re.DOTALL
)
_KIND: Final[dict[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    type(None): "null",
}

Members = dict[str, object]

T = TypeVar("T", dict[str, object], list[object], str, bool, int)


class MalformedJson(ValueError):  # noqa: N818 - the document is what is malformed
    """The document cannot be read; the text completes "... is malformed: "."""


def parse(data: bytes, *, depth: int, values: int, limit: str | None = None) -> object:
    """The value of a JSON document (RFC 8259) that has only one reading.

    depth: most levels of lists and objects; counted before anything recurses.
    values: most lists, objects and members of them; counted before anything is decoded,
        because each takes many times the memory of its text.
    limit: what the operator may raise to have more values read.

    Raises:
        MalformedJson: it is not JSON, or readers could differ on it.
    """
    if not data.strip():
        raise MalformedJson("it is empty")
    marks = _marks(data)
    if sum(marks.count(mark) for mark in _OPENING) > values:
        named = f" ({limit})" if limit else ""
        raise MalformedJson(f"it holds more than {values} values{named}")
    _check_depth(marks, depth)
    try:
        return _decoded(data.decode("utf-8"), marks.count(b":"))
    except UnicodeDecodeError as error:
        raise MalformedJson("it is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        fault = error.msg.removesuffix(" at")
        raise MalformedJson(f"it is not JSON ({fault} at character {error.pos})") from error


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
        if not self._members.keys() <= set(names):
            strange = next(name for name in self._members if name not in names)
            raise MalformedJson(f"{self._where} has the unknown key {quoted(strange)}")

    def text(self, name: str) -> str:
        """A string that is not empty."""
        text = self._members.get(name)
        if type(text) is not str or not text:
            self._member(name, str)  # says so where it is no string at all
            self.fault(name, "is empty")
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

    def members(self, name: str) -> Members:
        """An object inside this one, whatever is in it."""
        return self._member(name, dict)

    def count(self, name: str) -> int:
        """How many values a list has."""
        return len(self._member(name, list))

    def objects(self, name: str) -> Iterator[JsonObject]:
        """The objects of a list, made one by one: manifests are long."""
        return (
            JsonObject(value, f"{self._where}.{name}[{index}]")
            for index, value in enumerate(self._member(name, list))
        )

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


def _marks(data: bytes) -> bytes:
    """The brackets, commas and colons of a document that are outside of its strings."""
    # Any backslash that is left then begins an escape.
    written = data.replace(rb"\\", b"--")
    if _HALF_PAIR.search(written):
        raise MalformedJson("a string in it holds half of a surrogate pair")
    # Without escapes each quote begins or ends a string, and "" is a string without marks.
    marks = written.replace(rb"\"", b"").translate(None, _UNMARKED).replace(b'""', b"")
    return _STRING.sub(b"", marks)


def _check_depth(marks: bytes, most: int) -> None:
    level = 0
    for bracket in marks.translate(None, b",:"):
        level += 1 if bracket in b"[{" else -1
        if level > most:
            raise MalformedJson(f"it is nested more than {most} levels deep (limits.json_depth)")


def _decoded(text: str, colons: int) -> object:
    members = 0

    def count(found: dict[str, object]) -> dict[str, object]:
        nonlocal members
        members += len(found)
        return found

    value: object = _decoder(object_hook=count).decode(text)
    if members != colons:
        # Each member has a colon, so some took the place of others. Reading again tells which.
        _decoder(object_pairs_hook=_refuse_twins).decode(text)
    return value


def _refuse_twins(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise MalformedJson(f"the key {quoted(key)} occurs twice in one object")
        seen.add(key)


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


_decoder = partial(
    json.JSONDecoder, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
