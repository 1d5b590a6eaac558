"""The record of recent verdicts: an SQLite database that all processes of a service share.

It is for people, and decides nothing: what cannot be recorded is logged, and the verdict stands.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from oms_gate.errors import ConfigError
from oms_gate.oms.quoting import one_line
from oms_gate.policy.globs import Globs
from oms_gate.server.recorded import (
    FoundVerdict,
    RecordedVerdict,
    Source,
    VerdictFilter,
    VerdictSummary,
)
from oms_gate.service_settings import ApiSettings
from oms_gate.verdict import Verdict

_LOG = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x6F6D7376
"""What tells the file from databases of other programs: "omsv"."""

_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE verdicts (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        tenant TEXT NOT NULL,
        url TEXT NOT NULL,
        name TEXT NOT NULL,
        at REAL NOT NULL,
        alive REAL NOT NULL,
        outcome TEXT,
        codes TEXT NOT NULL DEFAULT '',
        summary TEXT,
        document BLOB,
        bytes INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX of_whom ON verdicts (source, tenant, place, bytes)",
)
# A check is renewed that often while it runs; after so many times without, its process has ended.
RENEW_SECONDS: Final = 10.0
_MISSED_RENEWALS = 3
# What is still running has no outcome yet, and is no verdict.
_SELECT = """
    SELECT id, source, tenant, at, summary FROM verdicts
    WHERE outcome IS NOT NULL
    AND (:tenant IS NULL OR (source = :of_tenants AND tenant = :tenant))
    AND (:source IS NULL OR source = :source)
    AND (:outcome IS NULL OR outcome = :outcome)
    AND (:reason IS NULL OR instr(codes, :reason) > 0)
    AND (:since IS NULL OR at >= :since)
    AND (:before IS NULL OR place < :before)
    AND (:model IS NULL OR is_about(name, url))
    ORDER BY place DESC LIMIT :most"""
_PRUNE = """
    DELETE FROM verdicts WHERE place IN (
        SELECT place FROM (
            SELECT place, row_number() OVER newest AS number, sum(bytes) OVER newest AS total
            FROM verdicts WHERE source = :source AND tenant = :tenant
            WINDOW newest AS (ORDER BY place DESC)
        ) WHERE number > :most OR (number > 1 AND total > :most_bytes)
    )"""
_BEGIN = """
    INSERT OR IGNORE INTO verdicts (id, source, tenant, url, name, at, alive)
    VALUES (:id, :source, :tenant, :url, :url, :now, :now)"""
_RECORD = """
    INSERT INTO verdicts (id, source, tenant, url, name, at, alive, outcome, codes, summary,
                          document, bytes)
    VALUES (:id, :source, :tenant, :url, :name, :at, :at, :outcome, :codes, :summary,
            :document, :bytes)
    ON CONFLICT (id) DO UPDATE SET
        url = :url, name = :name, at = :at, outcome = :outcome, codes = :codes,
        summary = :summary, document = :document, bytes = :bytes"""


class Verdicts:
    """The record in a file. Safe for several threads and processes, and across forks.

    Each use has a connection of its own: what is kept open is no good in a forked process.
    """

    def __init__(self, file: Path, *, most: int, most_bytes: int, wait_seconds: float) -> None:
        """
        most, most_bytes: how many are kept of each client and source, and how large all of these.
        wait_seconds: how long to wait for other processes.

        Raises:
            ConfigError: the file cannot be used, or belongs to something else.
        """
        self.file = file
        self._most = most
        self._most_bytes = most_bytes
        self._wait = wait_seconds
        try:
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(
                f"cannot be used ({one_line(error)}); let the gate's user write it and its folder, "
                "or move it away to begin a new one"
            ) from error

    @classmethod
    def from_settings(cls, settings: ApiSettings) -> Self:
        """The record as ``gate.yaml`` describes it.

        Raises:
            ConfigError: its file cannot be used.
        """
        return cls(
            settings.record_file,
            most=settings.recorded,
            most_bytes=settings.recorded_bytes,
            wait_seconds=settings.record_seconds,
        )

    def begin(self, name: str, url: str, *, source: Source, tenant: str | None = None) -> None:
        """Note that a check is running whose verdict will be recorded by this id."""
        values = {"id": name, "url": url, "source": source, "tenant": tenant or ""}

        def begin(connection: sqlite3.Connection) -> None:
            connection.execute(_BEGIN, {**values, "now": time.time()})
            self._prune(connection, source, tenant)

        self._write(url, begin)

    def renew(self, name: str, url: str) -> None:
        """Note that a check is still running; every `RENEW_SECONDS`."""
        update = "UPDATE verdicts SET alive = ? WHERE id = ?"
        self._write(url, lambda connection: connection.execute(update, (time.time(), name)))

    def record(
        self, verdict: Verdict, *, source: Source, tenant: str | None = None, name: str = ""
    ) -> str:
        """Record a verdict, and forget those that are too many. It never raises.

        tenant: the client that asked, if one did.
        name: the id of the check that it is of; without, a new one.

        Returns its id.
        """
        name = name or uuid4().hex
        document = verdict.model_dump_json(by_alias=True).encode()
        codes = sorted({reason.code for reason in verdict.reasons})
        values = {
            "id": name,
            "source": source,
            "tenant": tenant or "",
            "url": verdict.model.url,
            "name": verdict.model.name,
            "at": time.time(),
            "outcome": verdict.outcome,
            "codes": f" {' '.join(codes)} ",
            "summary": VerdictSummary.of(verdict).model_dump_json(),
            "document": document,
            "bytes": len(document),
        }

        def record(connection: sqlite3.Connection) -> None:
            connection.execute(_RECORD, values)
            self._prune(connection, source, tenant)

        self._write(verdict.model.url, record)
        return name

    def get(self, name: str, *, tenant: str | None = None) -> FoundVerdict | None:
        """What is recorded by an id; None where there is nothing, or its check ended without.

        tenant: the client that asks, which sees its own alone; None for all.

        Raises:
            sqlite3.Error: the record cannot be read.
        """
        query = "SELECT * FROM verdicts WHERE id = ?"
        with closing(self._connect()) as connection:
            row = connection.execute(query, (name,)).fetchone()
        if row is None or (
            tenant is not None and (row["source"], row["tenant"]) != ("api", tenant)
        ):
            return None
        longest = _MISSED_RENEWALS * RENEW_SECONDS
        if row["document"] is None and row["alive"] < time.time() - longest:
            return None
        with suppress(ValidationError):  # Another version of the gate may have written it.
            return FoundVerdict(
                id=row["id"],
                source=row["source"],
                tenant=row["tenant"] or None,
                url=row["url"],
                recorded_at=datetime.fromtimestamp(row["at"], UTC),
                verdict=row["document"] and Verdict.model_validate_json(row["document"]),
            )
        return None

    def recent(
        self,
        wanted: VerdictFilter,
        *,
        most: int,
        tenant: str | None = None,
        after: str | None = None,
    ) -> list[RecordedVerdict]:
        """Verdicts, the newest first.

        most: how many, at most.
        tenant: as of `get`.
        after: id of the one after which to go on.

        Raises:
            LookupError: that one is not there, any more or for who asks.
            sqlite3.Error: the record cannot be read.
        """
        if tenant is not None and wanted.tenant not in (None, tenant):
            return []
        values = {
            "tenant": wanted.tenant if tenant is None else tenant,
            "of_tenants": "api",
            "source": wanted.source,
            "outcome": wanted.outcome,
            "reason": wanted.reason and f" {wanted.reason} ",
            "since": wanted.since and wanted.since.timestamp(),
            "model": wanted.model,
            "most": most,
        }
        with closing(self._connect()) as connection:
            connection.create_function("is_about", 2, _about(wanted.model), deterministic=True)
            before = None if after is None else self._place(connection, after, tenant)
            rows = connection.execute(_SELECT, {**values, "before": before}).fetchall()
        return [entry for row in rows if (entry := _recorded(row)) is not None]

    def _place(self, connection: sqlite3.Connection, name: str, tenant: str | None) -> int:
        query = (
            "SELECT place FROM verdicts WHERE id = ? AND (? IS NULL OR (source = 'api' AND "
            "tenant = ?))"
        )
        row = connection.execute(query, (name, tenant, tenant)).fetchone()
        if row is None:
            raise LookupError(name)
        return int(row["place"])

    def _prune(self, connection: sqlite3.Connection, source: Source, tenant: str | None) -> None:
        values = {"most": self._most, "most_bytes": self._most_bytes}
        connection.execute(_PRUNE, {**values, "source": source, "tenant": tenant or ""})

    def _write(self, url: str, change: Callable[[sqlite3.Connection], object]) -> None:
        """Make a change that is about a model; what fails is logged."""
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                # What is not committed is undone when the connection closes.
                change(connection)
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            _LOG.warning(
                "the verdict on %s cannot be recorded in %s: %s", url, self.file, one_line(error)
            )

    def _prepare(self) -> None:
        """Make the file where there is none, and see that it is the gate's."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It may name private models: nobody else is to read it.
        os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
        status = self.file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_mode & stat.S_IWOTH:
            raise self._unusable(
                "is no file, or can be changed by every user of this machine; name another one "
                "under api.record in gate.yaml"
            )
        with closing(self._connect()) as connection:
            self._is_new(connection)  # Before anything is written.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if self._is_new(connection):  # No other process was quicker.
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether nothing is in the database; whatever is must be the gate's."""
        found = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        if found == (APPLICATION_ID, _VERSION):
            return False
        if found != (0, 0) or connection.execute("SELECT * FROM sqlite_master").fetchone():
            raise self._unusable(
                "is the database of another program, or of another version of oms-gate; move it "
                "away, or name another one under api.record in gate.yaml"
            )
        return True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.file))}?mode=rw",
            uri=True,
            timeout=self._wait,
            isolation_level=None,
        )
        connection.row_factory = sqlite3.Row
        # A verdict that is lost with the machine's power is asked for again.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _unusable(self, fault: str) -> ConfigError:
        return ConfigError(f"the record of verdicts, {self.file}, {fault}")


def _about(model: str | None) -> Any:
    """Whether a model, by its name and its URL, is one that was asked for."""
    if model is None or "*" not in model:
        return lambda _, url: model is None or model.lower() in url.lower()
    # SQLite's own patterns may take very long.
    globs = Globs([model])
    return lambda name, _: name in globs


def _recorded(row: Mapping[str, Any]) -> RecordedVerdict | None:
    with suppress(ValidationError):  # Another version of the gate may have written it.
        return RecordedVerdict(
            id=row["id"],
            source=row["source"],
            tenant=row["tenant"] or None,
            recorded_at=datetime.fromtimestamp(row["at"], UTC),
            verdict=VerdictSummary.model_validate_json(row["summary"]),
        )
    return None


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
