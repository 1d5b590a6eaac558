"""The commands that a container runs, word by word, as far as its specification tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from oms_gate.kubernetes.budget import Budget
from oms_gate.kubernetes.scripts import tokens

# A variable in a shell, also with a default.
_SHELL_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?-([^}$]*))?\})")
# What only the shell knows: what commands print, the arguments of a script, and more of that kind.
_SHELL_ONLY = re.compile(r"\$[({@*0-9]|`")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_SCRIPTS_DEEP = 4
# They print their words, and run none.
_PRINTERS = {"echo", "printf", "logger", ":"}


@dataclass(frozen=True)
class Word:
    """A word of a command.

    place: the container's field and the index in it; None in a script.
    certain: whether it is all of what the program sees: no variable is unknown here.
    """

    text: str
    place: tuple[Literal["command", "args"], int] | None = None
    certain: bool = True


@dataclass(frozen=True)
class Variables:
    """A container's environment.

    known: those whose values are written down, expanded.
    unknown: those whose values come from elsewhere.
    open: whether there may be others, of a ConfigMap or a Secret.
    """

    known: Mapping[str, str]
    unknown: frozenset[str]
    open: bool

    @classmethod
    def of(cls, container: Mapping[str, Any], budget: Budget) -> Variables:
        """The environment that a container's specification gives.

        Raises:
            StepError: it is longer than `budget` allows.
        """
        known: dict[str, str] = {}
        unknown: set[str] = set()
        is_open = bool(container.get("envFrom"))
        for entry in container.get("env") or ():
            name = entry.get("name", "")
            known.pop(name, None)
            unknown.discard(name)
            before = cls(known, frozenset(unknown), is_open)
            word = before.expanded(str(entry.get("value") or ""), budget)
            if entry.get("valueFrom") or not word.certain:
                unknown.add(name)
            else:
                known[name] = word.text
        return cls(known, frozenset(unknown), is_open)

    def is_unknown(self, name: str) -> bool:
        """Whether a variable has, or may have, a value that nobody can tell."""
        return name in self.unknown or (self.open and name not in self.known)

    def expanded(self, text: str, budget: Budget) -> Word:
        """What Kubernetes makes of a word of a command, an argument or a value.

        Raises:
            StepError: it is longer than `budget` allows.
        """
        certain = True
        parts = []
        end = 0
        while (start := text.find("$", end)) >= 0:
            parts.append(text[end:start])
            close = text.find(")", start) if text.startswith("$(", start) else -1
            if text.startswith("$$", start):
                value, end = "$", start + 2
            elif close < 0:
                value, end = "$", start + 1
                if text.startswith("$(", start):
                    break  # There is no end to it, nor to any further one.
            else:
                name, end = text[start + 2 : close], close + 1
                certain = certain and not self.is_unknown(name)
                value = self.known.get(name, text[start:end])
            budget.spend_characters(len(value))
            parts.append(value)
        budget.spend_characters(len(text))
        return Word("".join([*parts, text[end:]]), certain=certain)


def commands(
    container: Mapping[str, Any], variables: Variables, budget: Budget, unreadable: list[str]
) -> Iterator[list[Word]]:
    """The command of a container, and those in whatever of its words may be a script.

    unreadable: is given what looks like a script and cannot be read.

    Raises:
        StepError: there is more of it than `budget` allows.
    """
    words = [
        replace(variables.expanded(str(text), budget), place=(field, index))
        for field in ("command", "args")
        for index, text in enumerate(container.get(field) or ())
    ]
    budget.spend_words(len(words))
    yield words
    for word in words:
        yield from _Script(variables, budget, unreadable).commands(word, _SCRIPTS_DEEP)


class _Script:
    """A script of a shell, and those within it.

    Quotes are taken off, and variables of known values set.
    """

    def __init__(self, variables: Variables, budget: Budget, unreadable: list[str]) -> None:
        self._variables = variables
        self._budget = budget
        self._unreadable = unreadable
        self._assigned: dict[str, str | None] = {}

    def commands(self, script: Word, deep: int) -> Iterator[list[Word]]:
        """The commands in a word, if it may be a script: one word runs nothing."""
        text = script.text
        if text.startswith("$(") and text.endswith(")"):
            text = text[2:-1]
        if not re.search(r"[\s;&|$]", text.strip()):
            return
        try:
            found = list(self._read(text, certain=script.certain)) if deep else None
        except ValueError:
            found = None
        if found is None:
            self._unreadable.append(text)
        for command in found or ():
            if command[0].text in _PRINTERS:
                continue
            yield command
            for word in command:
                if word.text != text:
                    yield from self.commands(word, deep - 1)

    def _read(self, text: str, *, certain: bool) -> Iterator[list[Word]]:
        command: list[Word] = []
        for token in tokens(text):
            self._budget.spend_words(1)
            if isinstance(token, str):
                words = self._words(token)
                command += words if certain or "$" not in token else map(_unsure, words)
            elif command:
                yield command
                command = []
        if command:
            yield command

    def _words(self, token: str) -> list[Word]:
        """What the shell makes of a word: several, where a variable has several."""
        assignment = _ASSIGNMENT.fullmatch(token)
        word = self._substituted(token)
        if assignment:
            value = word.text.partition("=")[2]
            self._assigned[assignment[1]] = value if word.certain else None
            return [word]
        if word.text != token and word.certain and re.search(r"\s", word.text):
            return [Word(text) for text in word.text.split()]
        return [word]

    def _substituted(self, token: str) -> Word:
        certain = not _SHELL_ONLY.search(_SHELL_VARIABLE.sub("", token))
        parts = []
        end = 0
        for match in _SHELL_VARIABLE.finditer(token):
            name, value = match[1] or match[2], None
            if name in self._assigned:
                value = self._assigned[name]
                certain = certain and value is not None
            elif self._variables.is_unknown(name):
                certain = False
            else:
                # One that nobody sets here is the image's, or not set.
                value = self._variables.known.get(name, match[3])
            parts += [token[end : match.start()], match[0] if value is None else value]
            self._budget.spend_characters(len(parts[-1]))
            end = match.end()
        self._budget.spend_characters(len(token))
        return Word("".join([*parts, token[end:]]), certain=certain)


def _unsure(word: Word) -> Word:
    return replace(word, certain=False)


def settings_of(commands: Sequence[Sequence[Word]]) -> frozenset[str]:
    """The variables that scripts set or take away; ``*`` for all of them."""
    names = set()
    for command in commands:
        texts = [word.text for word in command]
        for index, (word, text) in enumerate(zip(command, texts, strict=True)):
            if word.place is None or texts[0].rpartition("/")[2] == "env":
                assignment = _ASSIGNMENT.fullmatch(text)
                names.update([assignment[1]] if assignment else [])
            if text == "unset":
                names.update(texts[index + 1 :])
            elif text.rpartition("/")[2] == "env":
                following = texts[index + 1 : index + 2]
                if following and following[0].startswith("-"):
                    names.add("*")
    return frozenset(names)


def folders_of(commands: Sequence[Sequence[Word]]) -> list[Word]:
    """The folders that scripts go to before they start something."""
    return [
        following
        for command in commands
        for word, following in pairwise(command)
        if word.text in ("cd", "pushd") or (word.text == "-C" and command[0].text == "env")
    ]
