"""What a PEM file says that it holds, to tell an operator who named another one."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")


def labels(pem: bytes) -> list[str]:
    """Of each part, such as PUBLIC KEY."""
    return [label.decode("ascii") for label in _LABEL.findall(pem)]


def content(pem: bytes) -> str:
    """The same, to complete "its file holds ..."."""
    found = labels(pem)
    if not found:
        return "no PEM at all (no line that starts with -----BEGIN)"
    if len(found) == 1:
        return f"a {found[0]}"
    return f"{len(found)} parts ({', '.join(sorted(set(found)))})"
