"""No file is made such that to look into it takes forever."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import product
from time import process_time

import pytest

from oms_gate import inspection
from oms_gate.inspection.armour import armoured
from oms_gate.inspection.credentials import credentials
from oms_gate.inspection.windows import Window
from oms_gate.reason_codes import ReasonCode
from tests.inspection.looking import drawn, hub_token, look, private_pem

_SIZE = 16 * 1024
# What is linear takes a fraction of that, and what is quadratic a multiple.
_SURELY_SHORT_SECONDS = 0.01


AnyPattern = re.Pattern[bytes] | re.Pattern[str]


def patterns() -> Iterator[tuple[str, AnyPattern]]:
    """Each pattern of the room, with the module that has it."""

    def within(value: object) -> Iterator[AnyPattern]:
        if isinstance(value, re.Pattern):
            yield value
        elif isinstance(value, dict | list | tuple):
            for part in value.values() if isinstance(value, dict) else value:
                yield from within(part)
        elif is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield from within(getattr(value, field.name))

    for module in pkgutil.iter_modules(inspection.__path__, "oms_gate.inspection."):
        seen: set[object] = set()
        for value in vars(importlib.import_module(module.name)).values():
            for pattern in within(value):
                if pattern.pattern not in seen:
                    seen.add(pattern.pattern)
                    yield module.name.rpartition(".")[2], pattern


def takes_longer_than_linear(work: Callable[[int], object], size: int) -> bool:
    def seconds(count: int) -> float:
        begin = process_time()
        work(count)
        return process_time() - begin

    # From small to large, as what takes the cube of the time would not end.
    return any(
        seconds(4 * count) > _SURELY_SHORT_SECONDS
        and min(seconds(4 * count) for _ in range(3)) > 10 * max(seconds(count) for _ in range(3))
        for count in (size // 64, size // 8, size)
    )


def hostile(pattern: AnyPattern) -> Iterator[str]:
    """What a pattern is made of, to say it roughly, and what may be between such things."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin1")
    parts = {"\n", " ", "a", "0", "\\", *re.findall(r"[A-Za-z_]{3,}|[^\w\s\\]", text)}
    separators = ["", "\n", " ", ":", "/", '"', "://", "=", "a"]
    yield from map("".join, product(sorted(parts), separators))


def look_everywhere(pattern: AnyPattern, text: str) -> None:
    searched = text if isinstance(pattern.pattern, str) else text.encode()
    for _ in pattern.finditer(searched):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("module", sorted({module for module, _ in patterns()}))
def test_no_pattern_takes_longer_than_linear_time(module: str) -> None:
    for name, pattern in patterns():
        for unit in hostile(pattern) if name == module else ():
            work = partial(lambda one, text, size: look_everywhere(one, text * size), pattern, unit)
            assert not takes_longer_than_linear(work, _SIZE // 4 // len(unit)), (pattern, unit)


@pytest.mark.parametrize("path", [".aws/credentials", ".pypirc", ".kube/config"])
def test_nothing_but_line_breaks(path: str) -> None:
    """As credentials may come after any number of them."""
    assert not takes_longer_than_linear(lambda size: look({path: b"\n" * size}), 64 * 1024)


class Counting(bytes):
    """Remembers how many bytes were looked at to count something."""

    looked_at = 0

    def count(self, sub: bytes | int, start: int = 0, end: int | None = None, /) -> int:  # type: ignore[override]
        end = len(self) if end is None else end
        self.looked_at += max(end - start, 0)
        return super().count(sub, start, end)


@pytest.mark.parametrize("find", [armoured, credentials])
def test_lines_are_counted_once(find: Callable[[Window], Iterator[object]]) -> None:
    many = b"".join(hub_token(seed) + b"\n" + private_pem() for seed in range(200))
    content = Counting(many)
    view = Window(content, 0, len(content), 1)
    found = list(view.numbered(find(view), lambda _: True))  # type: ignore[arg-type]
    assert len(found) == 200
    assert [line for _, line in found] == sorted({line for _, line in found})
    assert content.looked_at <= len(content)


def test_what_is_not_wanted_is_not_counted() -> None:
    content = Counting(b"".join(hub_token(seed) + b"\n" for seed in range(50)))
    view = Window(content, 0, len(content), 1)
    assert list(view.numbered(credentials(view), lambda _: False)) == []
    assert content.looked_at == 0


def test_of_each_line_one_is_found_in_no_time() -> None:
    """However many there are: the rest of a line is not looked at for more of the kind."""
    line = b" ".join(hub_token(seed) for seed in range(300))
    view = Window(content := line + b"\n" + hub_token(), 0, len(content), 1)
    assert [sighting.position for sighting in credentials(view)] == [2, len(line) + 3]


@pytest.mark.parametrize("between", [b"\n", b" "])
def test_many_findings_take_no_longer_than_linear_time(between: bytes) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    ids = between.join(b"AK" + b"IA" + drawn(16, alphabet, seed).encode() for seed in range(3000))

    def work(size: int) -> None:
        found = look({"a.txt": ((ids + between) * (size // len(ids) + 1))[:size]}).reasons
        assert {reason.code for reason in found} == {ReasonCode.PUBLISH_SECRET}

    assert not takes_longer_than_linear(work, 256 * 1024)


def test_beginnings_of_arrays_take_no_longer_than_linear_time() -> None:
    for path, before in (("a.npy", b""), ("a.npz", b"PK\3\4")):
        unit = before + b"\x93NUMPY\1aaa{'|x"
        work = partial(lambda name, text, size: look({name: text * size}), path, unit)
        assert not takes_longer_than_linear(work, 128 * 1024 // len(unit)), path


def test_entries_of_an_archive_take_no_longer_than_linear_time() -> None:
    """Although the names of all of them are 64 KiB long, and each is in the others."""
    end = b"PK\5\6" + bytes(8) + b"\xff\xff\x10\0" + bytes(6)
    for unit in (
        b"PK\3\4" + bytes(4) + b"\x08\0" + bytes(16) + b"\xff\xff",
        b"PK\1\2" + bytes(24) + b"\xff\xff",
    ):
        work = partial(lambda one, size: look({"a.zip": b"PK\3\4" + one * size + end}), unit)
        assert not takes_longer_than_linear(work, 4096), unit


def test_operations_of_a_pickle_take_no_longer_than_linear_time() -> None:
    for unit in (b"(", b"N0", b"]\x94", b"(d", b"I1\n0"):
        work = partial(lambda text, size: look({"a.bin": text * size}), unit)
        assert not takes_longer_than_linear(work, 64 * 1024), unit
