"""Where output goes: neither its encoding nor its reader turns a verdict into a failure.

And where an answer comes from, where one is asked for.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import ReadableBuffer


def lenient(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, which writes what it cannot encode as escapes; see also `_Output`."""
    try:
        output = _Output(stream.fileno(), "w", closefd=False)
    except io.UnsupportedOperation:  # It is kept in memory.
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.FileIO):
    """Where output goes, as long as that works.

    A reader that has seen enough (``head``) has no say in the exit status. Any other failure is
    raised, but once: Python would meet it again when it ends, and end with a status of its own.
    """

    _given_up = False

    def write(self, content: ReadableBuffer, /) -> int:
        if not self._given_up:
            try:
                return super().write(content)
            except OSError as error:
                self._given_up = True
                if not isinstance(error, BrokenPipeError):
                    raise
        return memoryview(content).nbytes


@contextmanager
def after(done: str) -> Iterator[None]:
    """Print about something that is done; whoever does not get to read it is told that it is.

    Raises:
        OmsGateError: standard output failed.
    """
    try:
        yield
    except OSError as error:
        from oms_gate.errors import OmsGateError

        raise OmsGateError(
            f"{done}, but this could not be printed: {error.strerror}; check where the output goes"
        ) from error


def write_output(path: Path, text: str, what: str) -> None:
    """Write the file that an option names, as a whole or not at all, and through no link.

    what: it is, to begin a sentence with.

    Raises:
        UsageError: a link or a folder is in its place.
        OmsGateError: it cannot be written.
    """
    from oms_gate.errors import OmsGateError, StoreError, UsageError
    from oms_gate.stores.local_writing import write_below

    try:
        write_below(path.parent.resolve(), path.name, text.encode(), lambda: None)
    except StoreError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise OmsGateError(
            f"{what} {path} cannot be written: {error.strerror}; name another place"
        ) from error


def agreed(question: str) -> bool:
    """Whether whoever is at the terminal says yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    return sys.stdin.readline().strip().lower() in ("y", "yes")
