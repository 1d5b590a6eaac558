"""A log without a file: what a process writes to a stream or a server, in a chain of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from oms_gate.evidence.entries import GENESIS, sealed
from oms_gate.evidence.head import Appended, Head
from oms_gate.evidence_settings import AuditLogSettings
from oms_gate.process_lock import ProcessLock


class MemoryChain:
    """The lines of one process. Safe for several threads; a forked process begins another."""

    def __init__(self, settings: AuditLogSettings) -> None:
        self._settings = settings
        self._lock = ProcessLock()
        self._head: Head | None = None
        self._pid = os.getpid()

    def append(self, members: Mapping[str, object], *, signs: bool = False) -> Appended:
        """See `LogFile.append`; it cannot fail."""
        with self._lock:
            lines: list[bytes] = []
            head = _added(self._begun(lines), members, lines)
            now = time.time()
            if members["kind"] == "checkpoint":
                head = head.signed(now)
            to_sign = head.claimed(self._settings, now) if signs else None
            self._head = to_sign or head
            return Appended(tuple(lines), to_sign)

    def _begun(self, lines: list[bytes]) -> Head:
        if self._head is not None and self._pid == os.getpid():
            return self._head
        self._pid = os.getpid()
        new = Head(log=uuid4().hex, seq=0, hash=GENESIS, size=0, signed_at=time.time())
        return _added(new, {"kind": "start"}, lines)


def _added(head: Head, members: Mapping[str, object], lines: list[bytes]) -> Head:
    line, digest = sealed(
        members, log=head.log, seq=head.seq + 1, previous=head.hash, now=datetime.now(UTC)
    )
    lines.append(line)
    return head.model_copy(update={"seq": head.seq + 1, "hash": digest})
