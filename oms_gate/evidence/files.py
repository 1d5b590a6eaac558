"""The files of an audit log: the one that is written, those that were full, and the head."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from oms_gate.file_locks import locked

_POLL_SECONDS: Final = 0.002


def head_file(file: Path) -> Path:
    """Where it is kept what was written to a log last."""
    return file.with_name(f"{file.name}.head")


def locked_head(
    file: Path, seconds: float, late: Exception, *, shared: bool = False
) -> AbstractContextManager[int]:
    """The descriptor of the head, which no writer has until the block ends.

    seconds: longest wait for one that has it; late: raised then.
    shared: see `locked_now`.

    Raises:
        OSError: the file system failed.
    """
    deadline = time.monotonic() + seconds
    return locked(head_file(file), _wait, deadline, late, shared=shared)


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


def _wait() -> None:
    time.sleep(_POLL_SECONDS)
