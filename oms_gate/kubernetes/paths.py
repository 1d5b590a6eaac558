"""Paths in containers."""

from __future__ import annotations

import posixpath

# Links that images have.
_LINKS = {"/var/run": "/run", "/var/lock": "/run/lock"}

_BEGINNINGS = ("/", "./", "../", "~")


def is_path(text: str) -> bool:
    """Whether a text is a path, rather than a model's name."""
    return text.startswith(_BEGINNINGS)


def normal(path: str) -> str:
    """An absolute path without what has no meaning in it; a relative one as it is."""
    if not path.startswith("/"):
        return path
    plain = posixpath.normpath("/" + path.lstrip("/"))
    for link, target in _LINKS.items():
        if is_below(plain, link):
            return target + plain.removeprefix(link)
    return plain


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder's own, or one in it; both are `normal`."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
