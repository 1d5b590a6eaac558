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

_LATEST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a bundle says about its entry in a transparency log.

    log_index: the entry's number, in the whole log where the log promised it, else in its shard.
    integrated_time: when the log took it in; None where no promise of the log covers a time.
    """

    log_index: int
    integrated_time: datetime | None


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
    log_id.base64("keyId")
    kind = entry.object("kindVersion")
    kind.only("kind", "version")
    kind.text("kind")
    kind.text("version")
    entry.base64("canonicalizedBody")
    index = entry.decimal("logIndex")
    proven_index = _read_proof(entry.object("inclusionProof"))
    time = entry.decimal("integratedTime") if "integratedTime" in entry else 0
    if time > _LATEST:
        entry.fault("integratedTime", "is after the year 9999")
    if "inclusionPromise" in entry:
        promise = entry.object("inclusionPromise")
        promise.only("signedEntryTimestamp")
        promise.base64("signedEntryTimestamp")
        if time:
            return LogEntry(index, datetime.fromtimestamp(time, UTC))
    # Without the log's promise nothing signs the outer index and the time.
    return LogEntry(proven_index, None)


def read_timestamps(data: JsonObject) -> tuple[bytes, ...]:
    """Read the RFC 3161 responses of a bundle, each in DER.

    Raises:
        MalformedJson: they are not written in the one canonical way, or are too many.
    """
    data.only("rfc3161Timestamps")
    if "rfc3161Timestamps" not in data:
        return ()
    timestamps = data.objects("rfc3161Timestamps")
    if len(timestamps) > MOST_TIMESTAMPS:
        data.fault(
            "rfc3161Timestamps", f"holds {len(timestamps)} timestamps, more than {MOST_TIMESTAMPS}"
        )
    for timestamp in timestamps:
        timestamp.only("signedTimestamp")
    return tuple(timestamp.base64("signedTimestamp") for timestamp in timestamps)


def _read_proof(proof: JsonObject) -> int:
    proof.only("logIndex", "rootHash", "treeSize", "hashes", "checkpoint")
    proof.base64("rootHash")
    proof.base64s("hashes")
    proof.decimal("treeSize")
    checkpoint = proof.object("checkpoint")
    checkpoint.only("envelope")
    checkpoint.text("envelope")
    return proof.decimal("logIndex")
