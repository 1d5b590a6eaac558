"""What a client asks for: the paths of the Hub's protocol, on its reading side.

``/[datasets/|spaces/]{name}/resolve/{revision}/{path}`` is a file;
``/api/{models|datasets|spaces}/{name}[/{what}[/{revision}[/{path}]]]`` is about a repository.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import unquote

Kind = Literal["models", "datasets", "spaces"]
What = Literal["info", "revision", "tree", "paths-info", "refs", "commits", "auth-check", "resolve"]

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# Those that are words in a path.
_WORDS: Final = frozenset(get_args(What)) - {"info", "resolve"}
_WITH_REVISION: Final = ("revision", "tree", "paths-info", "commits")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_REFS = 3


class Repository(NamedTuple):
    """A repository: its kind, and its name, as a rule with an owner."""

    kind: Kind
    name: str

    @property
    def location(self) -> str:
        """What a reference calls it after ``hf://``."""
        return self.name if self.kind == "models" else f"{self.kind}/{self.name}"


class Asked(NamedTuple):
    """What is asked for.

    revision: a branch, a tag or a commit; None where there is none in the path.
    path: of a file or a folder in the repository; empty for its root.
    """

    repository: Repository
    what: What
    revision: str | None = None
    path: str = ""


def parse(raw_path: str) -> Asked | None:
    """Read the path of a request as it was sent, still quoted; None where it is none of these."""
    if not raw_path.startswith("/"):
        return None
    parts = raw_path[1:].split("/")
    if any(_is_unsafe(unquote(part, errors="surrogateescape")) for part in parts):
        return None
    if parts[0] == "api":
        return _api(parts[1:])
    kind: Kind = "models"
    if parts[0] in ("datasets", "spaces"):
        kind = "datasets" if parts.pop(0) == "datasets" else "spaces"
    for width in (1, 2):
        if len(parts) > width + 2 and parts[width] == "resolve":
            return _asked(kind, parts[:width], "resolve", parts[width + 1 :])
    return None


def _api(parts: list[str]) -> Asked | None:
    kind = next((kind for kind in _KINDS if parts and parts[0] == kind), None)
    if kind is None or len(parts) < 2:
        return None
    width = 1 if len(parts) == 2 or (len(parts) > 2 and parts[2] in _WORDS) else 2
    name, rest = parts[1 : 1 + width], parts[1 + width :]
    if not rest:
        return _asked(kind, name, "info", [])
    what = next((word for word in _WORDS if word == rest[0]), None)
    if what is None or (len(rest) > 1) != (what in _WITH_REVISION):
        return None
    return _asked(kind, name, what, rest[1:])


def _asked(kind: Kind, name: list[str], what: What, rest: list[str]) -> Asked | None:
    if not all(_NAME.fullmatch(part) and ".." not in part for part in name):
        return None
    if rest and not rest[0]:
        return None
    # Clients leave the slashes of these unquoted.
    width = _REFS if rest[:2] in (["refs", "pr"], ["refs", "convert"]) else 1
    revision = unquote("/".join(rest[:width])) or None
    path = unquote("/".join(rest[width:]))
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        return None
    if what not in ("tree", "resolve") and path:
        return None
    if revision is not None and (".." in revision or revision.startswith("/")):
        return None
    return Asked(Repository(kind, "/".join(name)), what, revision, path)


def _is_unsafe(part: str) -> bool:
    return _UNSAFE.search(part) is not None
