"""Model cards are written by strangers: whatever they hold, they are read, or said to be unread."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate.bom.card import LONGEST_TEXT, MOST_VALUES, Card, parse_card
from oms_gate.verdict import printable

GOOD = b"""---
license: other
license_name: acme-model-1.0
license_link: LICENSE
base_model: [acme/base, acme/other]
base_model_relation: merge
datasets: acme/corpus
pipeline_tag: text-generation
library_name: transformers
language:
- en
- 'no'
tags: [chat, chat, "small "]
extra_gated_prompt: anything
---
# A model
---
license: mit
---
"""


def test_what_a_card_declares() -> None:
    assert parse_card(GOOD) == Card(
        licences=("other",),
        licence_name="acme-model-1.0",
        licence_link="LICENSE",
        base_models=("acme/base", "acme/other"),
        relation="merge",
        datasets=("acme/corpus",),
        task="text-generation",
        library="transformers",
        languages=("en", "no"),
        tags=("chat", "small"),
    )


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n\n"])
def test_front_matter_as_editors_write_it(before: bytes, newline: bytes) -> None:
    content = before + b"---\nlicense: mit\n---\n# X\n".replace(b"\n", newline)
    assert parse_card(content) == Card(licences=("mit",))


@pytest.mark.parametrize(
    "content",
    [b"", b"# A model\n", b"text\n---\nlicense: mit\n---\n", b"---\nlicense: mit\n", b"---\n---\n"],
    ids=["empty", "without", "below text", "that never ends", "of nothing"],
)
def test_a_card_without_front_matter_declares_nothing(content: bytes) -> None:
    assert parse_card(content) == Card()


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n"
    for old, new in zip(string.ascii_lowercase, string.ascii_lowercase[1:], strict=False)
)
UNREADABLE = {
    "a bomb of aliases": (BOMB, "aliases are not allowed"),
    "a key twice": ("license: mit\nlicense: apache-2.0\n", "'license' is there twice"),
    "a depth without end": ("a: " + "[" * 2000 + "\n", "recursion"),
    "a list": ("- license\n", "no mapping"),
    "a text": ("license\n", "no mapping"),
    "code": (
        "license: !!python/object/apply:os.system [id]\n",
        "could not determine a constructor",
    ),
    "no date": ("license: 2026-02-30\n", "cannot be used"),
    "no YAML": ("license: [mit\n", "expected"),
    "no UTF-8": ("license: \udcff\n", "not UTF-8"),
    "a control character": ("license: \x07\n", "unacceptable character"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_card_that_is(name: str) -> None:
    front, problem = UNREADABLE[name]
    card = parse_card(f"---\n{front}---\n".encode(errors="surrogateescape"))
    assert card == Card(problems=card.problems)
    (told,) = card.problems
    assert problem in told
    assert printable(told) == told


WRONG = {
    "a number": ("license: 3.1", "license must be text, but is float"),
    "a truth": ("language: [en, no]", "language must be text, but is bool"),
    "a mapping": ("datasets: [{name: x}]", "datasets must be text, but is dict"),
    "a day": ("tags: [2026-01-01]", "tags must be text, but is date"),
    "nothing": ("base_model: ['']", "base_model is empty, or longer"),
    "too long": (f"pipeline_tag: {'x' * (LONGEST_TEXT + 1)}", "pipeline_tag is empty, or longer"),
    "too many": (
        f"tags: [{','.join(f't{n}' for n in range(MOST_VALUES + 1))}]",
        f"tags has more than {MOST_VALUES} values",
    ),
    "several": ("license_name: [a, b]", "license_name must be one text, but is 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_is(name: str) -> None:
    front, problem = WRONG[name]
    card = parse_card(f"---\n{front}\nlibrary_name: good\n---\n".encode())
    assert card == Card(library="good", problems=card.problems)
    (told,) = card.problems
    assert told.startswith(problem)


def test_the_longest_and_the_most_are_told() -> None:
    tags = [f"{number:x>{LONGEST_TEXT}}" for number in range(MOST_VALUES)]
    assert parse_card(f"---\ntags: [{','.join(tags)}]\n---\n".encode()).tags == tuple(tags)


def test_nothing_invisible_is_told() -> None:
    card = parse_card(b'---\ntags: ["a\\u202eb", "\\e[2J"]\n---\n')
    assert card.tags == ("a\\u202eb", "\\x1b[2J")


KEYS = st.sampled_from(["license", "license_name", "base_model", "datasets", "tags", "language"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=40)
@given(st.dictionaries(KEYS, VALUES), st.binary(max_size=40))
def test_any_card_has_an_answer(front: dict[str, object], rest: bytes) -> None:
    # What Python shows of a value is often YAML, and as often nearly.
    lines = "".join(f"{key}: {value!r}\n" for key, value in front.items())
    card = parse_card(f"---\n{lines}".encode(errors="surrogateescape") + rest + b"\n---\n")
    told = (card.licences, card.base_models, card.datasets, card.tags, card.languages)
    for text in (*(text for texts in told for text in texts), *card.problems):
        assert text == printable(text)
    assert all(0 < len(text) <= LONGEST_TEXT for texts in told for text in texts)
