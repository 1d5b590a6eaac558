"""The model card: what a publisher declares of a model, in the front matter of its README.md.

The keys are the Hub's (its guide on model cards). Whoever writes a card writes what they like, so
whatever is not as it should be is left out, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from oms_gate.errors import ConfigError
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import printable

CARD: Final = "README.md"

LONGEST_TEXT: Final = 512
"""Longest value of a card that is told, in characters."""

MOST_VALUES: Final = 512
"""Most values of one key of a card that are told, as a count; some list every language."""

_FRONT_MATTER = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Card:
    """What a card declares, with everything unprintable escaped.

    relation: what the model is to its base models, such as ``finetune`` or ``quantized``.
    task: as the Hub names it (``pipeline_tag``).
    problems: what of the card cannot be told, and why; each completes "README.md: ".
    """

    licences: tuple[str, ...] = ()
    licence_name: str | None = None
    licence_link: str | None = None
    base_models: tuple[str, ...] = ()
    relation: str | None = None
    datasets: tuple[str, ...] = ()
    task: str | None = None
    library: str | None = None
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def parse_card(content: bytes) -> Card:
    """Read a model card. Whatever it holds, there is an answer."""
    found = _FRONT_MATTER.match(content)
    if found is None:
        return Card()
    try:
        front = parse_yaml(CARD, found["yaml"]).value
    except ConfigError as error:
        return Card(problems=(printable(str(error).removeprefix(CARD).lstrip(": ")),))
    if front is None:
        return Card()
    if not isinstance(front, dict):
        return Card(problems=("its front matter is no mapping",))
    reading = _Reading(front)
    return Card(
        licences=reading.texts("license"),
        licence_name=reading.text("license_name"),
        licence_link=reading.text("license_link"),
        base_models=reading.texts("base_model"),
        relation=reading.text("base_model_relation"),
        datasets=reading.texts("datasets"),
        task=reading.text("pipeline_tag"),
        library=reading.text("library_name"),
        languages=reading.texts("language"),
        tags=reading.texts("tags"),
        problems=tuple(reading.problems),
    )


class _Reading:
    """The values of a mapping by their keys, and what was wrong with any."""

    def __init__(self, front: Mapping[object, object]) -> None:
        self._front = front
        self.problems: list[str] = []

    def text(self, key: str) -> str | None:
        """One text; None where there is none, or more."""
        found = self.texts(key)
        if len(found) > 1:
            self.problems.append(f"{key} must be one text, but is {len(found)}")
            return None
        return found[0] if found else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A text, or a list of texts, each once; all of them or none."""
        value = self._front.get(key)
        if value is None:
            return ()
        values = value if isinstance(value, list) else [value]
        if len(values) > MOST_VALUES:
            self.problems.append(f"{key} has more than {MOST_VALUES} values")
            return ()
        told: dict[str, None] = {}
        for member in values:
            # "no" is a language, and false to YAML.
            if not isinstance(member, str):
                self.problems.append(f"{key} must be text, but is {type(member).__name__}")
                return ()
            text = printable(member.strip())
            if not 0 < len(text) <= LONGEST_TEXT:
                self.problems.append(f"{key} is empty, or longer than {LONGEST_TEXT} characters")
                return ()
            told[text] = None
        return tuple(told)
