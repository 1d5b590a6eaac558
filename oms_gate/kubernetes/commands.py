"""The commands that a container runs, word by word, as far as its specification tells."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

# Kubernetes expands these itself; "$$" stands for "$".
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_SHELL_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SHELLS = {"sh", "bash", "ash", "dash", "zsh", "ksh"}
_SCRIPT_OPTION = re.compile(r"-[a-z]*c[a-z]*")
_SEPARATORS = set(";&|()")
_SCRIPTS_DEEP = 4
# Linux runs no program with a longer argument or variable.
_LONGEST = 128 * 1024


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
    def of(cls, container: Mapping[str, Any]) -> Variables:
        """The environment that a container's specification gives."""
        known: dict[str, str] = {}
        unknown: set[str] = set()
        is_open = bool(container.get("envFrom"))
        for entry in container.get("env") or ():
            name = entry.get("name", "")
            known.pop(name, None)
            unknown.discard(name)
            word = cls(known, frozenset(unknown), is_open).expanded(str(entry.get("value") or ""))
            if entry.get("valueFrom") or not word.certain:
                unknown.add(name)
            else:
                known[name] = word.text
        return cls(known, frozenset(unknown), is_open)

    def expanded(self, text: str) -> Word:
        """What Kubernetes makes of a word of a command, an argument or a value."""
        certain = True

        def value(match: re.Match[str]) -> str:
            nonlocal certain
            name = match[1]
            if name is None:
                return "$"
            if name not in self.known and (self.open or name in self.unknown):
                certain = False
            return self.known.get(name, match[0])

        expanded = _substituted(_REFERENCE, value, text)
        return Word(text, certain=False) if expanded is None else Word(expanded, certain=certain)


def commands(container: Mapping[str, Any], variables: Variables) -> Iterator[list[Word]]:
    """The command of a container, and those in the scripts that it gives to a shell.

    Raises:
        ValueError: a script cannot be read.
    """
    words = [
        replace(variables.expanded(str(text)), place=(field, index))
        for field in ("command", "args")
        for index, text in enumerate(container.get(field) or ())
    ]
    yield words
    yield from _scripts(words, dict(variables.known), _SCRIPTS_DEEP)


def _scripts(words: Sequence[Word], known: dict[str, str], deep: int) -> Iterator[list[Word]]:
    """The commands in the scripts that are words after ``sh -c``."""
    for index, word in enumerate(words):
        if word.text.rpartition("/")[2] not in _SHELLS:
            continue
        rest = words[index + 1 :]
        for option, script in pairwise(rest):
            if not option.text.startswith(("-", "+")):
                break
            if _SCRIPT_OPTION.fullmatch(option.text):
                if deep == 0:
                    raise ValueError("its scripts are nested too deeply")
                for command in _read(script, known):
                    yield command
                    yield from _scripts(command, known, deep - 1)
                break


def _read(script: Word, known: dict[str, str]) -> Iterator[list[Word]]:
    """The commands of a shell script. Quotes are taken off, and variables of known values set."""
    text = script.text.replace("\\\n", " ").replace("\n", " ; ")
    reader = shlex.shlex(text, posix=True, punctuation_chars=True)
    reader.commenters = ""
    reader.whitespace_split = True
    command: list[Word] = []
    for token in reader:
        if set(token) <= _SEPARATORS:
            if command:
                yield command
            command = []
            continue
        word = _with_values(token, known)
        if not script.certain and "$" in token:
            word = replace(word, certain=False)
        if assignment := _ASSIGNMENT.fullmatch(word.text):
            known.pop(assignment[1], None)
            if word.certain:
                known[assignment[1]] = assignment[2]
        command.append(word)
    if command:
        yield command


def _with_values(token: str, known: Mapping[str, str]) -> Word:
    text = _substituted(
        _SHELL_VARIABLE, lambda match: known.get(match[1] or match[2], match[0]), token
    )
    if text is None:
        return Word(token, certain=False)
    return Word(text, certain="$" not in text and "`" not in text)


def _substituted(
    pattern: re.Pattern[str], value: Callable[[re.Match[str]], str], text: str
) -> str | None:
    """The text with values in the place of variables; None where it is too long to be run."""
    parts: list[str] = []
    length = end = 0
    for match in pattern.finditer(text):
        parts += [text[end : match.start()], value(match)]
        length += len(parts[-1]) + len(parts[-2])
        end = match.end()
        if length > _LONGEST:
            return None
    parts.append(text[end:])
    return "".join(parts) if length + len(parts[-1]) <= _LONGEST else None
