"""What an audit log says, line by line, over all of its files.

Whether it is whole is not looked at: see `oms_gate.evidence.verification`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oms_gate.errors import ConfigError
from oms_gate.evidence.entries import LINE_BYTES, Entry, read_entry
from oms_gate.evidence.files import log_files
from oms_gate.oms.quoting import one_line


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file.

    number: from 1.
    content: without its end.
    ended: whether it has one; what was torn off in writing has none.
    """

    file: Path
    number: int
    content: bytes
    ended: bool

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.file}:{self.number}"


def lines(log: Path) -> Iterator[Line]:
    """The lines of a log, from the oldest: of the files that are full, and of the one named.

    Raises:
        ConfigError: there is no such log, or a file of it cannot be read.
    """
    try:
        files = log_files(log)
        if not files:
            raise ConfigError(f"there is no audit log {log}; name the file that gate.yaml names")
        for file in files:
            yield from _lines(file)
    except OSError as error:
        raise ConfigError(
            f"the audit log {log} cannot be read: {error.strerror or one_line(error)}"
        ) from error


def entries(log: Path) -> Iterator[tuple[Line, Entry]]:
    """What the lines say; one that was torn off in writing says nothing.

    Raises:
        ConfigError: as `lines`; or a line is none of an audit log.
    """
    for line in lines(log):
        if not line.ended:
            continue
        try:
            yield line, read_entry(line.content)
        except ValueError as error:
            raise ConfigError(
                f"{line.place} is no line of an audit log ({error}); see what became of it with "
                "oms-gate audit-log verify"
            ) from None


def _lines(file: Path) -> Iterator[Line]:
    with file.open("rb") as stream:
        number = 0
        while content := stream.readline(LINE_BYTES + 1):
            number += 1
            if len(content) > LINE_BYTES:
                raise ConfigError(
                    f"{file}:{number} has more than {LINE_BYTES} bytes; it is no line that the "
                    "gate has written"
                )
            ended = content.endswith(b"\n")
            yield Line(file, number, content.removesuffix(b"\n"), ended)
