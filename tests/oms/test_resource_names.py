"""Names from strangers: plain relative paths pass, everything else is refused."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.oms.names import NAME_BYTES, clash, flaw
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import Json, checked, encode, refused, signed

SEGMENT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"),
    min_size=1,
    max_size=20,
).filter(lambda segment: segment not in (".", ".."))


# A name that passes, one that does not, and what the refusal says.
NAMES = [
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
    ("a/b", "..", "'..'"),
    ("a/b", "a/b/../../..", "'..'"),
    ("a", "./a/", "ends with a slash"),
    ("a", "//a", "absolute"),
    ("server/share", "\\\\server\\share", "backslash"),
    ("a/b", "..\\b", "backslash"),
    ("cc:/a", "C:\\a", "backslash"),
    ("a", "a\r", "control"),
    ("a", "\x1b[2Ja", "control"),
    ("a/" * 127 + "aa", "a/" * 512 + "aa", str(NAME_BYTES)),
    ("a" + "\u0315\u0301" * 15, "a" + "\u0315\u0301" * 15 + "\u0315", "combining marks"),
    # Marks that only what they stand for puts into an order.
    ("a" + "\u0f73" * 30, "a" + "\u0f73" * 31, "combining marks"),
    ("\U0001f600" * 31 + "\u0301" * 30, "\U0001f600" + "\u0301" * 31, "combining marks"),
    ("a" + "\u0301" * 30 + "/" + "\u0301" * 30, "b/" + "\u0301" * 31 + "/a", "combining marks"),
]


@pytest.mark.parametrize(("sound", "attack", "says"), NAMES)
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


@given(st.text(st.characters(exclude_categories=())) | st.text("./\\a:\0", max_size=8))
def test_every_text_has_an_answer(name: str) -> None:
    if flaw(name) is None:
        assert posixpath.normpath(name) == name
        assert not posixpath.isabs(name)
        assert ".." not in name.split("/")


# Names that can lie side by side anywhere, and names that cannot.
TOGETHER = [
    (["a", "b"], ["a", "A"]),
    (["d/a", "e/a"], ["d/a", "D/a"]),
    (["\u00e9", "e"], ["\u00e9", "e\u0301"]),
    (["\u00e9", "\u00c8"], ["\u00e9", "E\u0301"]),
    (["strasse", "strase"], ["strasse", "stra\u00dfe"]),
    (["a.b", "a/c"], ["a", "a/c"]),
    (["ab", "a/b/c"], ["a", "a/b/c"]),
    (["b", "A/c"], ["a", "A/c"]),
    (["\u00e9", "\u00e8"], ["\u00e9", "e\u0301"]),
    (["\u212b", "B"], ["\u212b", "\u00c5"]),
    (["\u00e9/a", "e/a"], ["\u00e9/a", "e\u0301/a"]),
]


@pytest.mark.parametrize(("sound", "attack"), TOGETHER)
def test_names_that_collide_somewhere_are_found(sound: list[str], attack: list[str]) -> None:
    assert clash(sound) is None
    for names in (attack, attack[::-1]):
        found = clash(names)
        assert found is not None
        assert set(found) == set(attack)


@given(
    st.text(st.characters(categories=("L", "M")), min_size=1, max_size=8),
    st.sampled_from(("NFC", "NFD")),
    st.sampled_from((str.upper, str.lower, str.casefold, str)),
)
def test_every_spelling_of_a_name_collides_with_it(
    name: str, form: Literal["NFC", "NFD"], change: Callable[[str], str]
) -> None:
    other = unicodedata.normalize(form, change(unicodedata.normalize(form, name)))
    assert clash([name, name]) is None
    if canonical_caseless(other) == canonical_caseless(name):  # "\u0131" is no "i".
        assert (clash([name, other]) is None) == (name == other)


def canonical_caseless(name: str) -> str:
    """As Unicode has it (3.13, D145)."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", folded)


# -- In validly signed statements


def listing(*names: str) -> Json:
    return forge.statement({"zz": b"", **dict.fromkeys(names, b"")})


def in_shards(*names: str) -> Json:
    return forge.sharded([f"{name}:0:4" for name in ("zz", *names)])


def ignoring(*names: str) -> Json:
    made = forge.statement({"zz": b""})
    made["predicate"]["serialization"]["ignore_paths"] = list(names)
    return made


@pytest.mark.parametrize("stating", [listing, in_shards, ignoring])
@pytest.mark.parametrize(("sound", "attack", "says"), NAMES)
def test_a_signature_makes_no_name_safe(
    stating: Callable[..., Json], sound: str, attack: str, says: str
) -> None:
    checked(signed(stating(sound)))
    if says == "surrogate":
        # Only an escape can express it, and JSON itself must not hold it.
        text = encode(stating("HERE")).replace(b"HERE", b"\\ud83d")
        refused(ReasonCode.STATEMENT_MALFORMED, signed(text))
    elif attack == "" and stating is not ignoring:
        refused(ReasonCode.STATEMENT_MALFORMED, signed(stating(attack)))
    else:
        message = refused(ReasonCode.STATEMENT_UNSAFE_NAME, signed(stating(attack)))
        assert says in message
        assert message.isprintable()


@pytest.mark.parametrize("stating", [listing, in_shards])
@pytest.mark.parametrize(("sound", "attack"), TOGETHER)
def test_a_signature_makes_no_collision_safe(
    stating: Callable[..., Json], sound: list[str], attack: list[str]
) -> None:
    checked(signed(stating(*sound)))
    for names in (attack, attack[::-1]):
        refused(ReasonCode.STATEMENT_UNSAFE_NAME, signed(stating(*names)))


@pytest.mark.parametrize(
    "made",
    [
        lambda *names: forge.statement(dict.fromkeys(names, b"x")),
        lambda *names: forge.sharded([f"{name}:0:4" for name in names]),
    ],
)
def test_a_dot_is_the_name_of_an_only_file(made: Callable[..., Json]) -> None:
    """As the reference implementation writes it; the specification has its own name there."""
    for name in (".", "model.gguf"):
        assert list(checked(signed(made(name))).manifest.files) == [name]
    for names in ((".", "model.gguf"), ("model.gguf", "."), ("./",), ("..",)):
        refused(ReasonCode.STATEMENT_UNSAFE_NAME, signed(made(*names)))


@pytest.mark.parametrize("name", ["config.json", "."])
def test_a_name_is_signed_once(name: str) -> None:
    """Whether with other bytes or with the same."""
    made = forge.statement({name: b"x"})
    checked(signed(made))
    (entry,) = made["predicate"]["resources"]
    for other in (entry, {**entry, "digest": "ab" * 32}):
        made["predicate"]["resources"] = [entry, other]
        message = refused(ReasonCode.STATEMENT_MALFORMED, signed(forge.rooted(made)))
        assert "2 times" in message
