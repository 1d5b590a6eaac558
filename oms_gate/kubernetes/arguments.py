"""The arguments of a program that loads models, as argparse and its like read them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

from oms_gate.kubernetes.clients import Client
from oms_gate.kubernetes.commands import Word
from oms_gate.kubernetes.paths import is_path

# argparse takes a beginning of an option for it, where that is the only one.
_ABBREVIATION = 4
_HELP = {"-h", "--help", "--version"}
# What has another ending than these is no model.
_MODEL_FILES = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx")
_ENDING = re.compile(r"\.[A-Za-z]\w{0,8}\Z")


class Arguments:
    """The words after a program."""

    def __init__(self, words: Sequence[Word], client: Client) -> None:
        self._words = words
        self._client = client
        self._single = (
            *client.options,
            *client.json_options,
            *(name for name in client.revisions.values() if name.startswith("-")),
            *client.cache_options,
            *client.folder_options,
            *client.kind_options,
            *client.refused_options,
            *client.value_options,
            *filter(None, [client.name_option]),
        )
        known = {_plain(option) for option in (*self._single, *client.named_options)}
        # By option: the words that follow, each time that it is there.
        self._values: dict[str, list[list[Word]]] = {}
        following: list[Word] = []
        for word in words:
            if not word.text.startswith("-"):
                following.append(word)
                continue
            following = []
            name, equals, value = word.text.partition("=")
            if (option := _meant(_plain(name), known)) is not None:
                given = [Word(value, word.place, word.certain)] if equals else following
                self._values.setdefault(option, []).append(given)

    @property
    def asks_for_help(self) -> bool:
        """Whether the program only tells about itself."""
        return any(word.text in _HELP for word in self._words)

    @property
    def certain(self) -> bool:
        """Whether nothing unknown is in a place where a model could be named.

        In a script a variable may be several words, whatever option it follows.
        """
        known = {id(word) for word in self._taken}
        return all(
            word.certain or (word.place is not None and (id(word) in known or self._is_value(word)))
            for word in self._words
        )

    def values(self, options: Sequence[str]) -> list[Word]:
        """The value of each time that one of the options is there."""
        return [values[0] for values in self._each(options) if values]

    def all_values(self, options: Sequence[str]) -> list[Word]:
        """All words up to the next option, each time that one of the options is there."""
        return [word for values in self._each(options) for word in values]

    def positional(self, others: bool) -> list[Word]:
        """The word that may be the first argument without an option.

        A word after an option may be its value. Where no other one names a model, the first of
        them that looks like one counts.

        others: whether there is a model already.
        """
        if self._words and not self._words[0].text.startswith("-"):
            return [self._words[0]]
        if others:
            return []
        names = [w for w in self._loose if "/" in w.text and not is_path(w.text)]
        return names[:1] or [word for word in self._loose if _may_be_model(word.text)][:1]

    @property
    def perhaps(self) -> list[str]:
        """Paths that may be models: the values of options that nobody knows, or arguments."""
        return [word.text for word in self._loose if _may_be_model(word.text)]

    @property
    def _loose(self) -> Iterator[Word]:
        taken = {id(word) for word in self._taken}
        return (
            word
            for word in self._words[1:]
            if not word.text.startswith("-") and id(word) not in taken
        )

    @cached_property
    def _taken(self) -> list[Word]:
        """The values of options that the client has."""
        return [*self.values(self._single), *self.all_values(self._client.named_options)]

    def _is_value(self, word: Word) -> bool:
        """Whether it is written with its option."""
        name, equals, _ = word.text.partition("=")
        return name.startswith("-") and bool(equals)

    def _each(self, options: Sequence[str]) -> Iterator[list[Word]]:
        for option in dict.fromkeys(map(_plain, options)):
            yield from self._values.get(option, ())


def _may_be_model(text: str) -> bool:
    """Whether it is a path that may be a model's."""
    return is_path(text) and (not _ENDING.search(text) or text.endswith(_MODEL_FILES))


def _meant(text: str, known: Collection[str]) -> str | None:
    """The option that a word is, or is an abbreviation of; None for those that nobody knows."""
    if text in known:
        return text
    if not text.startswith("--") or len(text) < _ABBREVIATION:
        return None
    return min((option for option in known if option.startswith(text)), key=len, default=None)


def _plain(option: str) -> str:
    return f"--{option[2:].replace('_', '-')}" if option.startswith("--") else option
