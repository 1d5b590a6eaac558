"""The file with the memory: an SQLite database, made whole, and checked before it is used.

It is never made anew over one that cannot be read: a gate without its memory would trust whoever
signs first once more.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pydantic import ValidationError

from oms_gate.errors import HistoryError
from oms_gate.oms.quoting import one_line
from oms_gate.reason_codes import ReasonCode

APPLICATION_ID: Final = 0x6F6D7367
"""What tells the file from databases of other programs: "omsg"."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Counts what operators change.
        "CREATE TABLE changes (count INTEGER NOT NULL)",
        "INSERT INTO changes VALUES (0)",
        """CREATE TABLE pins (
            model TEXT NOT NULL,
            signer TEXT NOT NULL,
            facts TEXT NOT NULL,
            approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
            pinned_at REAL NOT NULL,
            PRIMARY KEY (model, signer)
        ) WITHOUT ROWID""",
        # Releases that were admitted by one reference have places in the order of their first
        # admission. What is stated has one, whoever signed it.
        """CREATE TABLE releases (
            model TEXT NOT NULL,
            asked TEXT NOT NULL,
            statement TEXT NOT NULL,
            signer TEXT NOT NULL,
            place INTEGER NOT NULL,
            facts TEXT NOT NULL,
            root_digest TEXT NOT NULL,
            revision TEXT NOT NULL,
            signed_at REAL,
            first_seen REAL NOT NULL,
            last_seen REAL NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (model, asked, statement, signer)
        ) WITHOUT ROWID""",
        # To what one may go back, from all up to a place.
        """CREATE TABLE approvals (
            model TEXT NOT NULL,
            asked TEXT NOT NULL,
            statement TEXT NOT NULL,
            place INTEGER NOT NULL,
            PRIMARY KEY (model, asked, statement)
        ) WITHOUT ROWID""",
    ),
)
"""The statements that lead from each version (``user_version``) to the next, from 0."""

_FULL = "has no room to grow; free some space"
_WITHOUT = (
    "restore it from a backup, or move it away with what is beside it to begin a new one, which "
    "trusts whoever signs first"
)
_DAMAGED = f"is damaged; {_WITHOUT}"
_FAULTS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: "cannot be written; let the gate's user write it and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; let the gate's user write it and its folder",
    sqlite3.SQLITE_PERM: "cannot be opened; let the gate's user write it and its folder",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: f"is no SQLite database; {_WITHOUT}",
}


class Database:
    """The database in a file. Safe for use by several threads, and across forks.

    Each use has a connection of its own: what is kept open is no good in a forked process.
    """

    def __init__(self, file: Path, wait: float) -> None:
        """
        wait: how long to wait for other processes, in seconds.
        """
        self.file = file
        self._wait = wait
        # The file that was found whole, by its device and inode.
        self._whole: tuple[int, int] | None = None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """A connection, without a transaction.

        Raises:
            HistoryError: the file cannot be used, or is not what it should be; whether that shows
                at the start or later.
        """
        try:
            with closing(self._connect()) as connection:
                yield connection
        except (sqlite3.Error, ValidationError, OSError) as error:
            raise self._error(self._fault(error)) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, the only one that writes; undone if it does not end well.

        Raises:
            HistoryError: see `opened`; or another process writes for too long.
        """
        with self.opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            # What is not committed is undone when the connection closes.
            yield connection
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        if not self.file.exists():
            self._make()
        status = self.file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise self._error("is no file; name another one under history in gate.yaml")
        if status.st_mode & stat.S_IWOTH:
            raise self._error(
                "can be changed by every user of this machine, so it may be anybody's; check it "
                "(oms-gate trust list), and chmod 600 it"
            )
        connection = sqlite3.connect(
            f"file:{quote(str(self.file))}?mode=rw",
            uri=True,
            timeout=self._wait,
            isolation_level=None,
        )
        try:
            self._check(connection, (status.st_dev, status.st_ino))
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """Make the file with all that belongs into it; somebody else may have made it meanwhile."""
        if self.file.with_name(f"{self.file.name}-wal").exists():
            # Who has just made it may have begun to write.
            if self.file.exists():
                return
            raise self._error(f"is gone, and its log (-wal) is there; {_WITHOUT}")
        folder = self.file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, made = tempfile.mkstemp(prefix=".oms-gate-history-", dir=folder)
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                _migrate(connection)
            try:
                os.link(made, self.file)
            except FileExistsError:
                return
            here = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(here)
            finally:
                os.close(here)
        finally:
            Path(made).unlink()

    def _check(self, connection: sqlite3.Connection, file: tuple[int, int]) -> None:
        """See that it is a database of the gate's, whole, and of this version."""
        connection.execute("PRAGMA synchronous = FULL")
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise self._error(
                "is empty, or the database of another program; name another file under history in "
                "gate.yaml, or, if it was the gate's, restore it from a backup"
            )
        version = _pragma(connection, "user_version")
        if version > len(MIGRATIONS):
            raise self._error(
                f"was written by a newer oms-gate (version {version} of the database); use that one"
            )
        if file != self._whole:
            if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise self._error(_DAMAGED)
            self._whole = file
        if version < len(MIGRATIONS):
            _migrate(connection)

    def _fault(self, error: sqlite3.Error | ValidationError | OSError) -> str:
        """What is the matter with the file, and what to do, to follow its name."""
        if isinstance(error, ValidationError):
            return f"holds what no oms-gate has written; {_WITHOUT}"
        if isinstance(error, OSError):
            return f"cannot be used: {error.strerror}; let the gate's user write it and its folder"
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return (
                f"was locked for more than {self._wait:g} seconds; see which process holds it, or "
                "raise the limit history_seconds"
            )
        return _FAULTS.get(code) or f"cannot be used ({one_line(error)}); {_WITHOUT}"

    def _error(self, fault: str) -> HistoryError:
        return HistoryError(
            ReasonCode.HISTORY_UNREADABLE, f"the gate's memory of models, {self.file}, {fault}"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been quicker.
    for statements in MIGRATIONS[_pragma(connection, "user_version") :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
