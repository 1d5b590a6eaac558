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


def log_files(file: Path) -> list[Path]:
    """The files of a log that are there, from the oldest; the one that is written is the last."""
    rotated = re.compile(rf"{re.escape(file.stem)}\.[0-9]{{12,}}{re.escape(file.suffix)}")
    beside = [path for path in file.parent.iterdir() if rotated.fullmatch(path.name)]
    return [*sorted(beside), *([file] if file.exists() else [])]
