"""The evidence inside a bundle: the log entry and the timestamps, read but not verified.

The sigstore library reads the same JSON more leniently (other spellings of a key, loose base64,
loose numbers). What it is shown and what is read here must be one and the same, so this reader
is strict about every member (Sigstore bundle v0.3, ``VerificationMaterial``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from oms_gate.oms.strict_json import JsonObject

MOST_TIMESTAMPS: Final = 16
"""Most timestamps in one bundle, as a count; real bundles have one."""

LARGEST_TIMESTAMP: Final = 64 * 1024
"""Largest timestamp, in bytes of DER; real ones have some thousand. What is inside is decoded by
slower code, before anybody knows who made it."""

_LATEST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a bundle says about its entry in a transparency log.

    log_id: the log's key identifier.
    kind_version: of the entry's body; "0.0.2" and later are those of Rekor v2.
    log_index: the entry's number, in the whole log where the log promised it, else in its shard.
    promised: whether there is a promise of the log.
    integrated_time: when the log took it in; None where no promise of the log covers a time.
    tree_size: how many entries the proof is about.
    checkpoint_origin, checkpoint_size: what the log's signed note says of itself.
    """

    log_id: bytes
    kind_version: str
    log_index: int
    promised: bool
    integrated_time: datetime | None
    tree_size: int
    checkpoint_origin: str
    checkpoint_size: str


def read_log_entry(entry: JsonObject) -> LogEntry:
    """Read one transparency log entry.

    Raises:
        MalformedJson: a member is missing, unknown, or not written in the one canonical way.
    """
    entry.only(
        "logIndex",
        "logId",
        "kindVersion",
        "integratedTime",
        "inclusionPromise",
        "inclusionProof",
        "canonicalizedBody",
    )
    log_id = entry.object("logId")
    log_id.only("keyId")
    kind = entry.object("kindVersion")
    kind.only("kind", "version")
    kind.text("kind")
    entry.base64("canonicalizedBody")
    index = entry.decimal("logIndex")
    proof = entry.object("inclusionProof")
    _check_proof(proof)
    time = entry.decimal("integratedTime") if "integratedTime" in entry else 0
    if time > _LATEST:
        entry.fault("integratedTime", "is after the year 9999")
    promised = "inclusionPromise" in entry
    if promised:
        promise = entry.object("inclusionPromise")
        promise.only("signedEntryTimestamp")
        promise.base64("signedEntryTimestamp")
    # A signed note (C2SP): the origin, the tree's size and its root on a line each, then more.
    origin, size, *_ = [*proof.object("checkpoint").text("envelope").split("\n", 2), ""]
    return LogEntry(
        log_id=log_id.base64("keyId"),
        kind_version=kind.text("version"),
        # Without the log's promise nothing signs the outer index and the time.
        log_index=index if promised and time else proof.decimal("logIndex"),
        promised=promised,
        integrated_time=datetime.fromtimestamp(time, UTC) if promised and time else None,
        tree_size=proof.decimal("treeSize"),
        checkpoint_origin=origin,
        checkpoint_size=size,
    )


def read_timestamps(data: JsonObject) -> tuple[bytes, ...]:
    """Read the RFC 3161 responses of a bundle, each in DER.

    Raises:
        MalformedJson: they are not written in the one canonical way, or are too many.
    """
    data.only("rfc3161Timestamps")
    if "rfc3161Timestamps" not in data:
        return ()
    timestamps = list(data.objects("rfc3161Timestamps"))
    if len(timestamps) > MOST_TIMESTAMPS:
        data.fault(
            "rfc3161Timestamps", f"holds {len(timestamps)} timestamps, more than {MOST_TIMESTAMPS}"
        )
    return tuple(map(_read_timestamp, timestamps))


def _read_timestamp(timestamp: JsonObject) -> bytes:
    timestamp.only("signedTimestamp")
    der = timestamp.base64("signedTimestamp")
    if len(der) > LARGEST_TIMESTAMP:
        timestamp.fault("signedTimestamp", f"has {len(der)} bytes, more than {LARGEST_TIMESTAMP}")
    return der


def _check_proof(proof: JsonObject) -> None:
    proof.only("logIndex", "rootHash", "treeSize", "hashes", "checkpoint")
    proof.base64("rootHash")
    proof.base64s("hashes")
    proof.object("checkpoint").only("envelope")
