"""What an audit log says, line by line, over all of its files, as it is at one moment.

Whether it is whole is not looked at: see `oms_gate.evidence.verification`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from oms_gate.errors import ConfigError
from oms_gate.evidence.entries import LINE_BYTES, Entry, read_entry
from oms_gate.evidence.files import locked_head, rotated_files
from oms_gate.evidence.head import HEAD_BYTES, Head
from oms_gate.oms.quoting import one_line
from oms_gate.operator_files import open_regular

_WAIT_SECONDS: Final = 10.0


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


@dataclass(frozen=True)
class LogReading:
    """A log as it was at one moment, whatever is written to it since.

    head: what its writers say to have written last; None where that is not beside it, as of a copy.
    lines: from the oldest; to be read once.
    """

    head: Head | None
    lines: Iterator[Line]


@contextmanager
def opened_log(log: Path) -> Iterator[LogReading]:
    """A log, as long as the context lasts.

    Raises:
        ConfigError: there is no such log, or a file of it cannot be read.
    """
    try:
        with ExitStack() as stack:
            with _unchanged(log) as head:
                older = rotated_files(log)
                stream = _open(log)
                if stream is None and not older:
                    raise ConfigError(
                        f"there is no audit log {log}; name the file that gate.yaml names"
                    )
                if stream is not None:
                    stack.enter_context(stream)
                size = 0 if stream is None else os.fstat(stream.fileno()).st_size
            yield LogReading(head, _all_lines(older, log, stream, size))
    except OSError as error:
        raise ConfigError(
            f"the audit log {log} cannot be read: {error.strerror or one_line(error)}"
        ) from error


def entries(log: Path) -> Iterator[tuple[Line, Entry]]:
    """What the lines say. One that was not written to its end says nothing.

    Raises:
        ConfigError: as `opened_log`; or a line is none of an audit log.
    """
    with opened_log(log) as reading:
        for line in reading.lines:
            if not line.ended:
                continue
            try:
                yield line, read_entry(line.content)
            except ValueError as error:
                raise ConfigError(
                    f"{line.place} is no line of an audit log that this oms-gate can read "
                    f"({error}); see what became of it with oms-gate audit-log verify, or read it "
                    "with the version that has written it"
                ) from None


@contextmanager
def _unchanged(log: Path) -> Iterator[Head | None]:
    """What is beside a log, whose writers wait until the block ends, if they can be made to."""
    late = ConfigError(
        f"somebody has kept the audit log {log} for more than {_WAIT_SECONDS:g} seconds; see which "
        "of its writers hangs"
    )
    with ExitStack() as stack:
        head = None
        with suppress(FileNotFoundError):
            lock = stack.enter_context(locked_head(log, _WAIT_SECONDS, late, shared=True))
            head = Head.from_bytes(os.pread(lock, HEAD_BYTES, 0))
        yield head


def _open(file: Path) -> IO[bytes] | None:
    """A file of a log; None where there is none.

    Raises:
        ConfigError: it is a pipe, or the like.
        OSError: it cannot be read.
    """
    try:
        stream = open_regular(file)
    except FileNotFoundError:
        return None
    if stream is None:
        raise ConfigError(f"{file} is no regular file, and no audit log")
    return stream


def _all_lines(older: list[Path], log: Path, stream: IO[bytes] | None, size: int) -> Iterator[Line]:
    for file in older:
        opened = _open(file)
        if opened is not None:
            with opened:
                yield from _lines(file, opened, os.fstat(opened.fileno()).st_size)
    if stream is not None:
        yield from _lines(log, stream, size)


def _lines(file: Path, stream: IO[bytes], size: int) -> Iterator[Line]:
    number = 0
    while content := stream.readline(min(LINE_BYTES + 1, size)):
        number += 1
        size -= len(content)
        if len(content) > LINE_BYTES:
            raise ConfigError(
                f"{file}:{number} has more than {LINE_BYTES} bytes; it is no line that the gate "
                "has written"
            )
        yield Line(file, number, content.removesuffix(b"\n"), content.endswith(b"\n"))
