"""Mistakes in a configuration, in the words of who writes one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]

_LIST = "must be a list, such as [a, b]"
_MAPPING = "must be a mapping, such as {key: value}"
_WORDS = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "missing": "is missing",
}
_SIGNER_METHODS = ("sigstore", "certificate", "key", "first-use")


class MisplacedError(ValueError):
    """A mistake that shows only beside another section, and where it is."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True)
class Mistake:
    """One mistake: the keys and indices that lead to it, and what it is."""

    location: Location
    message: str

    def __str__(self) -> str:
        where = ".".join(map(str, self.location))
        return f"{where}: {self.message}" if where else self.message


def mistakes(error: ValidationError, known_keys: Iterable[str]) -> list[Mistake]:
    """The mistakes of a configuration, without those that others brought about.

    known_keys: to guess what a misspelt key means.
    """
    details = error.errors(include_url=False)
    known = list(known_keys)
    return [
        Mistake(_location(detail), _message(detail, known))
        for detail in details
        # A list whose only member is wrong counts as too short as well.
        if detail["type"] != "too_short" or not _has_cause(detail["loc"], details)
    ]


def _has_cause(location: Location, details: list[ErrorDetails]) -> bool:
    depth = len(location)
    return any(len(d["loc"]) > depth and d["loc"][:depth] == location for d in details)


def _location(detail: ErrorDetails) -> Location:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedError):
        return cause.location
    # publishers.0.signers.0.sigstore.issuer: the method is how it was read, not a key.
    location = detail["loc"]
    if "signers" in location:
        method = location.index("signers") + 2
        if location[method : method + 1] and location[method] in _SIGNER_METHODS:
            location = (*location[:method], *location[method + 1 :])
    return location


def _message(detail: ErrorDetails, known_keys: list[str]) -> str:
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(str(detail["loc"][-1]), known_keys, n=1)
        return f"unknown key; did you mean '{close[0]}'?" if close else "unknown key"
    return _WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
