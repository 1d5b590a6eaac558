"""What a gate remembers of models, and what of it operators approve.

Signers are pinned to a model's name: the first one by its first admission, others by an operator.
Releases are remembered by the reference that was asked for: those of one branch have an order, and
what a tag named is no release of the branch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from oms_gate.history.database import Database
from oms_gate.history.observation import Observation, identity_of
from oms_gate.history.recollection import Recollection
from oms_gate.limits import Limits
from oms_gate.oms.verify import VerifiedSignature
from oms_gate.policy.input import InputHistory, InputRelease
from oms_gate.reference import Reference
from oms_gate.verdict import Signer

# By proven times where both releases have one, otherwise by the order in which the gate saw them
# first. What lacks the proof that the last one had, and was never seen, may be an old one without
# its timestamp, which nobody has signed.
_NEWER = """
    SELECT revision, root_digest, signed_at, first_seen AS seen_at FROM releases
    WHERE model = :model AND asked = :asked AND statement <> :statement
    AND place > coalesce((SELECT place FROM approvals WHERE model = :model AND asked = :asked
                          AND statement = :statement), 0)
    AND CASE
        WHEN signed_at IS NOT NULL AND :signed_at IS NOT NULL THEN signed_at > :signed_at
        WHEN (SELECT count(*) FROM releases WHERE model = :model AND asked = :asked
              AND statement = :statement) = 0
        THEN signed_at IS NOT NULL AND place = (SELECT max(place) FROM releases
                                                WHERE model = :model AND asked = :asked)
        ELSE place > (SELECT min(place) FROM releases WHERE model = :model AND asked = :asked
                      AND statement = :statement)
    END
    ORDER BY coalesce(signed_at, 0) DESC, place DESC LIMIT 1"""
_PIN = """
    INSERT INTO pins (model, signer, facts, approved, pinned_at)
    VALUES (:model, :signer, :facts, :approved, :now)"""
_RECORD = """
    INSERT INTO releases VALUES (
        :model, :asked, :statement, :signer,
        coalesce((SELECT min(place) FROM releases WHERE model = :model AND asked = :asked
                  AND statement = :statement),
                 (SELECT coalesce(max(place), 0) + 1 FROM releases
                  WHERE model = :model AND asked = :asked)),
        :facts, :root_digest, :revision, :signed_at, :now, :now, 1)
    ON CONFLICT DO UPDATE SET
        facts = :facts, revision = :revision, last_seen = :now, count = count + 1,
        signed_at = max(coalesce(signed_at, :signed_at), coalesce(:signed_at, signed_at))"""
_RELEASES = """
    SELECT * FROM releases
    WHERE (:model IS NULL OR model = :model) AND (:asked IS NULL OR asked = :asked)
    ORDER BY last_seen DESC, model, place DESC"""
_APPROVE = """
    INSERT INTO approvals SELECT :model, :asked, :statement, max(place) FROM releases
    WHERE model = :model AND asked = :asked
    ON CONFLICT DO UPDATE SET place = excluded.place"""


class Pin(BaseModel):
    """A signer that is trusted for a model by its name."""

    model_config = ConfigDict(frozen=True)

    model: str
    signer: Signer
    approved: bool = Field(description="By an operator; otherwise it was the first to sign.")
    pinned_at: float = Field(description="In Unix seconds.")


class Release(BaseModel):
    """A release of a model that was admitted, by one reference and with one signer."""

    model_config = ConfigDict(frozen=True)

    model: str
    asked: str = Field(description="Branch, tag, commit or release; empty where none was named.")
    revision: str = Field(description="What that named when it was admitted last.")
    statement: str = Field(description="SHA-256 of what was signed, in hex.")
    root_digest: str
    signer: Signer
    signed_at: float | None = Field(description="Proven time of its signature, in Unix seconds.")
    first_seen: float = Field(description="When it was admitted first, in Unix seconds.")
    last_seen: float = Field(description="When it was admitted last, in Unix seconds.")
    count: int = Field(description="How often it was admitted.")


class History:
    """The memory of a gate. Safe for use by several threads and processes.

    All methods raise `HistoryError` where its file cannot be used.
    """

    def __init__(self, file: Path, limits: Limits) -> None:
        """A memory in a file, which is made when it is used first."""
        self._database = Database(file, limits.history_seconds)

    @property
    def file(self) -> Path:
        """The SQLite database."""
        return self._database.file

    def recollect(
        self, reference: Reference, revision: str, verified: VerifiedSignature
    ) -> Recollection:
        """What is remembered of a model at a reference, and the release that was found there.

        revision: of the snapshot with the signature.
        """
        observation = Observation.of(reference, revision, verified)
        return Recollection(self, observation, self.recall(observation))

    def recall(self, observation: Observation) -> InputHistory:
        """What the policy is to know when it decides about a release."""
        with self._database.opened() as connection:
            connection.execute("BEGIN")  # All of it as of one moment.
            return _recalled(connection, observation)

    def record(
        self, observation: Observation, told: InputHistory, at: datetime
    ) -> InputHistory | None:
        """Record that a release is admitted, and pin its signer if it is the model's first.

        told: what the policy knew when it decided.

        Returns what is remembered now, where that is something else; nothing is recorded then.
        """
        with self._database.writing() as connection:
            now = _recalled(connection, observation)
            if now != told:
                return now
            values = _values(observation, at, approved=False)
            if not now.pinned:
                connection.execute(_PIN, values)
            connection.execute(_RECORD, values)
        return None

    def approve(
        self, observation: Observation, told: InputHistory, at: datetime
    ) -> InputHistory | None:
        """Pin a release's signer to the model, and let the model go back to the release.

        It may go back from all that was admitted until now.

        told: what the operator knew; see `record`, as of what is returned.
        """
        with self._database.writing() as connection:
            now = _recalled(connection, observation)
            if now != told:
                return now
            values = _values(observation, at, approved=True)
            if not now.signer_pinned:
                connection.execute(_PIN, values)
            if now.newer is not None:
                connection.execute(_APPROVE, values)
            _count_change(connection)
        return None

    def withdraw(self, model: str, identity: str | None = None) -> list[Pin]:
        """Unpin a model's signers, and with all of them take back what else was approved.

        identity: of those to unpin; None for all. A key goes by the name of its root, too.

        Returns those that were.
        """
        with self._database.writing() as connection:
            going = [
                pin
                for pin in _pins(connection, model)
                if identity is None or identity in _names(pin.signer)
            ]
            for pin in going:
                connection.execute(
                    "DELETE FROM pins WHERE model = ? AND signer = ?",
                    (model, identity_of(pin.signer)),
                )
            if identity is None:
                connection.execute("DELETE FROM approvals WHERE model = ?", (model,))
            _count_change(connection)
        return going

    def pins(self) -> list[Pin]:
        """The signers that are pinned, by the name of their model."""
        with self._database.opened() as connection:
            return _pins(connection)

    def releases(self, model: str | None = None, asked: str | None = None) -> list[Release]:
        """The releases that were admitted, the one that was admitted last first.

        model, asked: of one model only, or by one reference; see `Release`.
        """
        with self._database.opened() as connection:
            rows = _rows(connection, _RELEASES, {"model": model, "asked": asked})
            return [Release.model_validate({**row, "signer": _signer(row)}) for row in rows]

    def generation(self) -> int:
        """A number that changes with all that operators approve or withdraw.

        What is decided holds no longer than it stays the same.
        """
        with self._database.opened() as connection:
            return int(connection.execute("SELECT count FROM changes").fetchone()[0])


def _recalled(connection: sqlite3.Connection, observation: Observation) -> InputHistory:
    pins = _pins(connection, observation.model)
    first = _rows(
        connection,
        "SELECT min(first_seen) AS first_seen FROM releases WHERE model = ?",
        (observation.model,),
    )
    # Whoever asks for a commit means that one.
    newer = [] if observation.fixed else _rows(connection, _NEWER, vars(observation))
    identities = {identity_of(pin.signer) for pin in pins}
    return InputHistory(
        first_seen=first[0]["first_seen"],
        pinned=tuple(pin.signer for pin in pins),
        signer_pinned=identity_of(observation.signer) in identities,
        newer=InputRelease(**newer[0]) if newer else None,
    )


def _pins(connection: sqlite3.Connection, model: str | None = None) -> list[Pin]:
    if model is None:
        rows = _rows(connection, "SELECT * FROM pins ORDER BY model, pinned_at", ())
    else:
        chosen = "SELECT * FROM pins WHERE model = ? ORDER BY pinned_at"
        rows = _rows(connection, chosen, (model,))
    return [Pin.model_validate({**row, "signer": _signer(row)}) for row in rows]


def _signer(row: dict[str, Any]) -> Signer:
    return Signer.model_validate_json(row["facts"])


def _rows(
    connection: sqlite3.Connection, query: str, values: Sequence[object] | dict[str, Any]
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _values(observation: Observation, at: datetime, *, approved: bool) -> dict[str, Any]:
    return {
        **vars(observation),
        "signer": identity_of(observation.signer),
        "facts": observation.signer.model_dump_json(),
        "approved": approved,
        "now": at.timestamp(),
    }


def _names(signer: Signer) -> set[str]:
    return {signer.identity} | ({signer.root.name} if signer.method == "key" else set())


def _count_change(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE changes SET count = count + 1")
