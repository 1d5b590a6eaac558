"""The files of an audit log: the one that is written, those that were full, and the head."""

from __future__ import annotations

import re
from pathlib import Path


def head_file(file: Path) -> Path:
    """Where it is kept what was written to a log last."""
    return file.with_name(f"{file.name}.head")


def rotated_file(file: Path, last_seq: int) -> Path:
    """What a file that is full becomes: its name has the number of its last line."""
    return file.with_name(f"{file.stem}.{last_seq:012}{file.suffix}")


def rotated_files(file: Path) -> list[Path]:
    """Those that were full, from the oldest."""
    name = re.compile(rf"{re.escape(file.stem)}\.([0-9]{{12,}}){re.escape(file.suffix)}")
    found = [
        (int(match[1]), path)
        for path in file.parent.iterdir()
        if (match := name.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found)]


def log_files(file: Path) -> list[Path]:
    """The files of a log that are there, from the oldest; the one that is written is the last."""
    return [*rotated_files(file), *([file] if file.exists() else [])]
