"""Names from strangers: plain relative paths pass, everything else is refused."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.oms.names import NAME_BYTES, ancestors, clash, flaw

SEGMENT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"),
    min_size=1,
    max_size=20,
).filter(lambda segment: segment not in (".", ".."))


@pytest.mark.parametrize(
    ("sound", "attack", "says"),
    [
        ("outside", "../outside", "'..'"),
        ("a/b", "a/../b", "'..'"),
        ("a/b", "a/..", "'..'"),
        ("a", "./a", "'.'"),
        ("a/b", "a/./b", "'.'"),
        (".a", ".", "'.'"),
        ("a/b", "a//b", "''"),
        ("a", "a/", "ends with a slash"),
        ("a", "/a", "absolute"),
        ("etc/passwd", "/etc/passwd", "absolute"),
        ("a/b", "a\\b", "backslash"),
        ("ab", "a\0b", "control"),
        ("a b", "a\nb", "control"),
        ("ab", "a\x7fb", "control"),
        ("ab", "a\x85b", "control"),
        ("cc:/a", "c:/a", "drive"),
        ("cc:a", "C:a", "drive"),
        ("ab:1", "a:1", "drive"),
        ("a", "", "empty"),
        ("\U0001f600", "\ud83d", "surrogate"),
        ("a" * 255, "a" * 256, "255"),
        ("ä" * 127, "ä" * 128, "255"),
        ("a/" * 511 + "aa", "a/" * 512 + "a", str(NAME_BYTES)),
    ],
)
def test_only_plain_relative_paths_have_no_flaw(sound: str, attack: str, says: str) -> None:
    assert flaw(sound) is None
    found = flaw(attack)
    assert found is not None
    assert says in found


@pytest.mark.parametrize(
    "name", ["a", "...", ".hidden", "a b", "a/b/c.d", "e\u0301", "日本/模型", "xy:0:4", "\u202ea"]
)
def test_odd_but_harmless_names_pass(name: str) -> None:
    assert flaw(name) is None


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_what_passes_stays_below_the_root(segments: list[str]) -> None:
    name = "/".join(segments)
    assert flaw(name) is None
    assert posixpath.normpath(posixpath.join("/root", name)) == f"/root/{name}"
    assert list(ancestors(name)) == [
        "/".join(segments[:n]) for n in range(len(segments) - 1, 0, -1)
    ]


@given(st.text(st.characters(exclude_categories=())) | st.text("./\\a:\0", max_size=8))
def test_every_text_has_an_answer(name: str) -> None:
    if flaw(name) is None:
        assert posixpath.normpath(name) == name
        assert not posixpath.isabs(name)
        assert ".." not in name.split("/")


@pytest.mark.parametrize(
    ("sound", "attack"),
    [
        (["a", "b"], ["a", "A"]),
        (["d/a", "e/a"], ["d/a", "D/a"]),
        (["\u00e9", "e"], ["\u00e9", "e\u0301"]),
        (["\u00e9", "\u00c8"], ["\u00e9", "E\u0301"]),
        (["strasse", "strase"], ["strasse", "stra\u00dfe"]),
        (["a.b", "a/c"], ["a", "a/c"]),
        (["ab", "a/b/c"], ["a", "a/b/c"]),
        (["b", "A/c"], ["a", "A/c"]),
    ],
)
def test_names_that_collide_somewhere_are_found(sound: list[str], attack: list[str]) -> None:
    assert clash(sound) is None
    for names in (attack, attack[::-1]):
        found = clash(names)
        assert found is not None
        assert set(found) == set(attack)
