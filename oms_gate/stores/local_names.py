"""Names of local files: bytes on disk, which a model's other readers take for UTF-8.

Python reads them in the encoding of the locale, so a model that was signed in another one would
have other names.
"""

from __future__ import annotations

import os


def portable(name: str) -> str:
    """A name that came from the file system or the command line, as everybody else reads it.

    What is not UTF-8 becomes surrogates, which no file of a model may have in its name.
    """
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def native(name: str) -> str:
    """The same name as this process has to write it to open the file."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))
