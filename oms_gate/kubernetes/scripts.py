"""Shell scripts, made ready to be taken apart into words by `shlex`.

`shlex` forgets which characters were quoted. So what has no meaning there, in quotes or within what
a command prints, is put into characters of a private area of Unicode, and taken out of it later.
"""

from __future__ import annotations

_PRIVATE = 0xE000
_QUOTES = "'\""
_SPECIAL = ";&|()<>#\n"


def prepared(script: str) -> str:
    """A script without comments, in which every separator is one, for `shlex` to read.

    Raises:
        ValueError: it holds characters that would be taken for others.
    """
    if any(_PRIVATE <= ord(character) < _PRIVATE + 128 for character in script):
        raise ValueError("it holds characters of a private use area")
    made: list[str] = []
    index = 0
    while index < len(script):
        character = script[index]
        if character == "\\":
            made.append(_escaped(script[index + 1 : index + 2]))
            index += 2
        elif character in _QUOTES:
            end = _closing(script, index, character)
            made.append("".join(map(_hidden, script[index:end])))
            index = end
        elif character == "`" or script.startswith("$(", index):
            end = _closing(script, index, "`") if character == "`" else _matching(script, index + 1)
            made.append("".join(_hidden(c, everything=True) for c in script[index:end]))
            index = end
        elif character == "#" and (not made or made[-1][-1:].isspace() or made[-1][-1:] in ";&|("):
            index = script.find("\n", index) if "\n" in script[index:] else len(script)
        else:
            made.append(" ; " if character == "\n" else character)
            index += 1
    return "".join(made)


def restored(token: str) -> str:
    """A word as it is meant."""
    return "".join(
        chr(ord(c) - _PRIVATE) if _PRIVATE <= ord(c) < _PRIVATE + 128 else c for c in token
    )


def _hidden(character: str, *, everything: bool = False) -> str:
    # Quotes are shlex's own, but within what a command prints.
    hides = character in _SPECIAL or (everything and (character in _QUOTES or character.isspace()))
    return chr(_PRIVATE + ord(character)) if hides and ord(character) < 128 else character


def _escaped(character: str) -> str:
    if character == "\n":
        return " "
    return _hidden(character) if character in _SPECIAL else f"\\{character}"


def _closing(script: str, start: int, quote: str) -> int:
    """Where a quotation ends; the end of the script, for `shlex` to complain of it."""
    index = start + 1
    while index < len(script):
        if script[index] == "\\" and quote != "'":
            index += 1
        elif script[index] == quote:
            return index + 1
        index += 1
    return len(script)


def _matching(script: str, start: int) -> int:
    """Where a parenthesis is closed."""
    depth = 0
    for index in range(start, len(script)):
        depth += {"(": 1, ")": -1}.get(script[index], 0)
        if depth == 0:
            return index + 1
    return len(script)
