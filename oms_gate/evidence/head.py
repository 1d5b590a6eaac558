"""Where a log has come to: what its next line is chained to, and when it is signed again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from oms_gate.evidence.entries import GENESIS, sealed
from oms_gate.evidence_settings import AuditLogSettings

HEAD_BYTES: Final = 512
"""Size of the file with the head, in bytes."""

_CLAIM_SECONDS: Final = 60.0
"""How long others leave a checkpoint to the writer that has set out to make it, in seconds."""


class Head(BaseModel):
    """What was written last.

    size: of the file, in bytes.
    signed_seq, signed_at: of the last checkpoint; 0 before there is one.
    claimed_at: when a writer set out to make the next one. Times are in Unix seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: str
    seq: int
    hash: str
    size: int
    signed_seq: int = 0
    signed_at: float
    claimed_at: float = 0

    def to_bytes(self) -> bytes:
        """A line of JSON, always of one length: what is written over leaves nothing behind."""
        return self.model_dump_json().encode().ljust(HEAD_BYTES - 1) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Self | None:
        """None where it is none, as before there is one, or where it was not written to its end."""
        with suppress(ValidationError):
            return cls.model_validate_json(content)
        return None

    @classmethod
    def new(cls) -> Self:
        """Of a log that has no line yet, under an id of its own. Its first verdict is signed at
        once."""
        return cls(log=uuid4().hex, seq=0, hash=GENESIS, size=0, signed_at=0)

    def next(self, members: Mapping[str, object]) -> tuple[bytes, Self]:
        """The line that comes next, and what is written last then, in a file that goes on.

        members: see `sealed`.
        """
        seq = self.seq + 1
        line, digest = sealed(
            members, log=self.log, seq=seq, previous=self.hash, now=datetime.now(UTC)
        )
        update = {"seq": seq, "hash": digest, "size": self.size + len(line)}
        return line, self.model_copy(update=update)

    def appended(
        self,
        members: Mapping[str, object],
        lines: Sequence[bytes],
        settings: AuditLogSettings,
        *,
        signs: bool,
    ) -> tuple[Self, Appended]:
        """What is to be kept of it once its last line is written, and what the writer is told.

        members, signs: of that line, as of `LogFile.append`.
        lines: all that were written for it.
        """
        now = time.time()
        head = self._signed(now) if members["kind"] == "checkpoint" else self
        to_sign = head._claimed(settings, now) if signs else None
        return to_sign or head, Appended(tuple(lines), head.seq, to_sign)

    def _signed(self, now: float) -> Self:
        """The same after its last line, a checkpoint."""
        return self.model_copy(update={"signed_seq": self.seq, "signed_at": now, "claimed_at": 0})

    def _claimed(self, settings: AuditLogSettings, now: float) -> Self | None:
        """The same for a writer that makes the next checkpoint; None where it need not."""
        is_due = (
            self.seq - self.signed_seq >= settings.checkpoint_lines
            or now - self.signed_at >= settings.checkpoint_seconds
        )
        if is_due and now - self.claimed_at >= _CLAIM_SECONDS:
            return self.model_copy(update={"claimed_at": now})
        return None


@dataclass(frozen=True)
class Appended:
    """What was written.

    lines: each with its end; before the one that was asked for, those that the chain needed.
    seq: number of that one.
    to_sign: what was written last, for the writer to sign now; None where no checkpoint is due, or
        another writer makes it.
    """

    lines: tuple[bytes, ...]
    seq: int
    to_sign: Head | None
