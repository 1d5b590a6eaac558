"""A log without a file: what a process writes to a stream or a server, in a chain of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping

from oms_gate.evidence.head import Appended, Head
from oms_gate.evidence_settings import AuditLogSettings


class MemoryChain:
    """The lines of one process, for one thread at a time; a forked process begins another."""

    def __init__(self, settings: AuditLogSettings) -> None:
        self._settings = settings
        self._head: Head | None = None
        self._pid = os.getpid()

    def append(self, members: Mapping[str, object], *, signs: bool = False) -> Appended:
        """See `LogFile.append`; it cannot fail."""
        lines: list[bytes] = []
        line, head = self._begun(lines).next(members)
        lines.append(line)
        self._head, appended = head.appended(members, lines, self._settings, signs=signs)
        return appended

    def _begun(self, lines: list[bytes]) -> Head:
        if self._head is not None and self._pid == os.getpid():
            return self._head
        self._pid = os.getpid()
        line, head = Head.new().next({"kind": "start"})
        lines.append(line)
        return head
