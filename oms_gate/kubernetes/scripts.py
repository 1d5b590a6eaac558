"""Shell scripts, taken apart into words.

`shlex` forgets which characters were quoted, knows no substitutions, and takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PLAIN = re.compile(r"[^\\'\"`$#;&|()<>\s]+")
_REDIRECTION = re.compile(r"[<>][<>&|-]*")
_DOUBLE = re.compile(r'(?:[^"\\]+|\\.)*+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARENTHESIS = re.compile(r"[()]")


@dataclass(frozen=True)
class Separator:
    """The end of a command."""


Token = str | Separator


def tokens(script: str) -> Iterator[Token]:
    """The words of a script without their quotes, and where commands end.

    What a command prints, ``$(...)``, is one word with all that it is made of; so is a document
    that is given on the spot. Comments and redirections are left out.

    Raises:
        ValueError: a quotation is not ended.
    """
    yield from _Scanner(script).tokens()


class _Scanner:
    def __init__(self, script: str) -> None:
        self._script = script
        self._index = 0
        self._word: list[str] | None = None
        # What the next word is: the end of a document, or a file; or a word of its own.
        self._redirection = ""
        self._documents: list[str] = []

    def tokens(self) -> Iterator[Token]:
        script = self._script
        while self._index < len(script):
            character = script[self._index]
            if (plain := _PLAIN.match(script, self._index)) is not None:
                self._add(plain[0], len(plain[0]))
            elif character.isspace():
                yield from self._end()
                self._index += 1
                if character == "\n":
                    yield from self._given_documents()
                    yield Separator()
            elif character in ";&|()":
                yield from self._end()
                yield Separator()
                self._index += 1
            elif (redirection := _REDIRECTION.match(script, self._index)) is not None:
                if not (self._word and "".join(self._word).isdigit()):
                    yield from self._end()
                self._word = None
                self._redirection = redirection[0]
                self._index = redirection.end()
            elif script.startswith("\\\n", self._index):
                self._index += 2  # The line goes on.
            elif character == "#" and self._word is None:
                end = script.find("\n", self._index)
                self._index = len(script) if end < 0 else end
            else:
                self._add(*self._quoted(character))
        yield from self._end()

    def _add(self, text: str, length: int) -> None:
        self._word = self._word or []
        self._word.append(text)
        self._index += length

    def _quoted(self, character: str) -> tuple[str, int]:
        """What begins here, without quotes; and its length with them."""
        script, start = self._script, self._index
        if character == "\\":
            return script[start + 1 : start + 2], 2
        if character in "'`":
            end = script.find(character, start + 1)
            if end < 0:
                raise ValueError("a quotation is not ended")
            text = script[start + 1 : end] if character == "'" else script[start : end + 1]
            return text, end + 1 - start
        if character == '"':
            match = _DOUBLE.match(script, start + 1)
            assert match is not None
            if script[match.end() : match.end() + 1] != '"':
                raise ValueError("a quotation is not ended")
            return _ESCAPED.sub(r"\1", match[0]), match.end() + 1 - start
        if script.startswith("$(", start):
            end = self._closing(start + 1)
            return script[start:end], end - start
        if script.startswith("${", start):
            end = script.find("}", start)
            end = len(script) if end < 0 else end + 1
            return script[start:end], end - start
        return character, 1

    def _closing(self, start: int) -> int:
        """Where a parenthesis is closed."""
        depth = 0
        for match in _PARENTHESIS.finditer(self._script, start):
            depth += 1 if match[0] == "(" else -1
            if depth == 0:
                return match.end()
        return len(self._script)

    def _end(self) -> Iterator[Token]:
        """The end of a word, if there is one."""
        if self._word is None:
            return
        word, self._word = "".join(self._word), None
        redirection, self._redirection = self._redirection, ""
        if redirection.startswith("<<") and not redirection.startswith("<<<"):
            self._documents.append(word)
        elif redirection.startswith("<<<") or not redirection:
            yield word

    def _given_documents(self) -> Iterator[Token]:
        """The documents that begin on this line: a shell may be given one."""
        for end in self._documents:
            rest = self._script[self._index :]
            match = re.search(rf"(?m)^\t*{re.escape(end)}$", rest)
            yield rest if match is None else rest[: match.start()]
            self._index += len(rest) if match is None else match.end()
        self._documents = []
