"""The ``git`` program: it is asked about objects that may be anybody's, and only reads."""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from oms_gate.errors import ConfigError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.store import in_short

OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""The name of an object, in repositories of either hash function."""

# Of what Git tells its hooks: where the repository is, and the objects that are not in it yet.
_KEPT = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_OBJECT_DIRECTORY",
    "GIT_QUARANTINE_PATH",
    "GIT_WORK_TREE",
)
_KEPT_PREFIX = "GIT_CONFIG"
_SWITCHES = {
    # Nothing may put another object in the place of one that is pushed.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # Nor is anything fetched: what is not here is not here.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
# No program that a configuration names is started.
_COMMAND = ("git", "--no-pager", "-c", "core.fsmonitor=false")
_PIECE_BYTES = 64 * 1024
_END_SECONDS = 5.0


class GitError(StoreError):
    """Git refused or failed.

    status: its exit status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(ReasonCode.STORE_UNAVAILABLE, message)
        self.status = status


class Git:
    """The program, in one repository. Neither hooks, filters nor other configured programs run.

    limits: `listing_seconds` and `listing_bytes` bound each answer, `read_seconds` each wait for
        a file's bytes.
    folder: the repository, or one in it; None for the current one, as hooks have it.
    """

    def __init__(self, limits: Limits, folder: Path | None = None) -> None:
        self.limits = limits
        self._folder = folder

    def output(self, *arguments: str, given: bytes = b"") -> Iterator[bytes]:
        """What it answers, piece by piece; to close the generator ends it.

        given: its standard input.

        Raises:
            GitError: it failed.
            StoreError: the answer is too long, or takes too long.
            ConfigError: there is no such program.
        """
        limits = self.limits
        until = time.monotonic() + limits.listing_seconds
        room = limits.listing_bytes
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
            asked.write(given)
            asked.seek(0)
            process = self.start(*arguments, stdin=asked, stderr=said)
            try:
                while piece := read_within(process, until - time.monotonic(), _PIECE_BYTES):
                    room -= len(piece)
                    if room < 0:
                        raise StoreError(
                            ReasonCode.STORE_TOO_MANY_FILES,
                            f"git {arguments[0]} answers with more than {limits.listing_bytes} "
                            "bytes; push less at once, or raise the limit 'listing_bytes'",
                        )
                    yield piece
                status = process.wait(_END_SECONDS)
            finally:
                end(process)
            if status != 0:
                said.seek(0)
                words = in_short(said.read(_PIECE_BYTES).decode("utf-8", "replace"))
                raise GitError(
                    f"git {arguments[0]} failed: {words}; see whether the repository is whole "
                    "(git fsck), and whether objects must be fetched first",
                    status,
                )

    def records(self, separator: bytes, *arguments: str, given: bytes = b"") -> Iterator[bytes]:
        """The answer in the parts that are separated so. Raises as `output`."""
        begun: list[bytes] = []
        for piece in self.output(*arguments, given=given):
            first, *others = piece.split(separator)
            begun.append(first)
            for other in others:
                yield b"".join(begun)
                begun = [other]
        if any(begun):
            yield b"".join(begun)

    def value(self, *arguments: str) -> str | None:
        """An answer of one line; None where git says that there is none. Raises as `output`."""
        try:
            answer = b"".join(self.output(*arguments))
        except GitError as error:
            if error.status == 1:
                return None
            raise
        return answer.removesuffix(b"\n").decode("utf-8", "surrogateescape")

    def place(self, *what: str) -> Path:
        """The absolute path of something of the repository, as ``git rev-parse`` knows it.

        Raises:
            UsageError: this is no repository.
        """
        try:
            path = self.value("rev-parse", "--path-format=absolute", *what)
        except GitError as error:
            raise UsageError(f"this is no repository of Git that can be used: {error}") from error
        return Path(os.fsdecode((path or "").encode("utf-8", "surrogateescape")))

    def setting(self, name: str, *options: str) -> str | None:
        """What ``git config`` has under a name; None if nothing or nothing but blanks."""
        value = self.value("config", *options, "--get", name)
        return value if value and value.strip() else None

    def commit(self, name: str) -> str | None:
        """The commit that an object is, or a tag leads to; None if that is not here.

        name: an object's name, or that of a reference.
        """
        return self.value(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )

    def start(
        self, *arguments: str, stdin: int | IO[bytes], stderr: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """The running program, whose answer is not buffered.

        Raises:
            ConfigError: there is no such program.
        """
        try:
            return subprocess.Popen(  # noqa: S603 - no shell, and no argument is a stranger's
                [*_COMMAND, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                cwd=self._folder,
                env=_environment(),
            )
        except FileNotFoundError as error:
            raise ConfigError(
                "there is no git on the PATH, which hooks of Git need; install it"
            ) from error


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT or name.startswith(_KEPT_PREFIX)
    }
    return {**kept, **_SWITCHES}


def read_within(process: subprocess.Popen[bytes], seconds: float, count: int) -> bytes:
    """So many bytes of what it answers at most, as soon as there are any; none at its end.

    Raises:
        StoreError: it is silent for longer.
    """
    assert process.stdout is not None
    answers = select.poll()
    answers.register(process.stdout, select.POLLIN)
    if not answers.poll(max(seconds, 0) * 1000):
        raise StoreError(
            ReasonCode.STORE_UNAVAILABLE,
            "git does not answer in time; see what it waits for, or raise the limits "
            "'listing_seconds' and 'read_seconds'",
        )
    return os.read(process.stdout.fileno(), count)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it, whatever it is doing, and leave nothing of it behind."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
