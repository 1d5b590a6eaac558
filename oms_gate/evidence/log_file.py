"""The file of an audit log: lines are added by many, whole, in one chain, over many files.

Beside it lies its head (``.head``): what was written last. It is the lock of the writers, and says
to the next one whether the log is as it was left.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from oms_gate.durable import append_whole, sync_folder
from oms_gate.evidence.entries import (
    LINE_BYTES,
    Entry,
    Recovery,
    is_sealed,
    read_entry,
    unwritten,
)
from oms_gate.evidence.files import locked_head, rotated_file
from oms_gate.evidence.head import HEAD_BYTES, Appended, Head
from oms_gate.evidence_settings import AuditLogSettings

_LOG = logging.getLogger(__name__)
_TAIL_BYTES: Final = 64 * 1024
# A link would take the place of the log when the log is put aside; a pipe would hang.
_PLAIN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LogFile:
    """An audit log in a file. Safe for several threads and processes, and across forks."""

    def __init__(self, file: Path, settings: AuditLogSettings) -> None:
        self.file = file
        self._settings = settings

    def append(self, members: Mapping[str, object], *, signs: bool = False) -> Appended:
        """Add a line, whole or not at all.

        members: see `sealed`.
        signs: whether the caller can sign a checkpoint, should one be due.

        Raises:
            EvidenceError: it cannot be written.
        """
        with self._locked() as lock:
            lines: list[bytes] = []
            head = self._continued(lock, lines)
            head = self._add(head, members, lines)
            head, appended = head.appended(members, lines, self._settings, signs=signs)
            _write_head(lock, head)
            return appended

    def head(self) -> Head:
        """What was written last; a log that is new has its first line then.

        Raises:
            EvidenceError: as `append`.
        """
        with self._locked() as lock:
            head = self._continued(lock, [])
            _write_head(lock, head)
            return head

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The descriptor of the head, which no other writer has until the block ends.

        Raises:
            EvidenceError: another one has it for too long; or the file system failed.
        """
        late = unwritten(
            f"other processes have kept the audit log {self.file} for more than "
            f"{self._settings.wait_seconds:g} seconds (evidence.audit_log.wait_seconds); see which "
            "of them hangs"
        )
        try:
            if not self.file.parent.exists():
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked_head(self.file, self._settings.wait_seconds, late) as lock:
                yield lock
        except OSError as error:
            raise unwritten(
                f"the audit log {self.file} cannot be written ({error.strerror or error}); free "
                "some space, or let the gate's user write it and its folder"
            ) from error

    def _add(self, head: Head, members: Mapping[str, object], lines: list[bytes]) -> Head:
        line, after = head.next(members)
        if len(line) > LINE_BYTES:
            raise unwritten(
                f"the line for the audit log {self.file} would have {len(line)} bytes, which is "
                f"more than its readers take ({LINE_BYTES})"
            )
        size = head.size
        if size and after.size > self._settings.rotate_bytes:
            self._put_aside(head.seq)
            size = 0
        self._write(line)
        lines.append(line)
        return after.model_copy(update={"size": size + len(line)})

    def _put_aside(self, last_seq: int) -> None:
        full = rotated_file(self.file, last_seq)
        if full.exists():
            raise unwritten(
                f"the audit log {self.file} is full, and {full.name}, which it was to become, is "
                "there already: nothing is written over; move that file away"
            )
        self.file.rename(full)

    def _write(self, line: bytes) -> None:
        """Add a line to the file, whole or not at all."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _PLAIN
        descriptor = os.open(self.file, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise unwritten(f"the audit log {self.file} is no regular file; name another one")
            sync = self._settings.sync == "always"
            append_whole(descriptor, line, sync=sync)
            is_new = os.fstat(descriptor).st_size == len(line)
        finally:
            os.close(descriptor)
        if is_new and sync:
            sync_folder(self.file.parent)

    def _continued(self, lock: int, lines: list[bytes]) -> Head:
        """What to go on from: the head, if the file is as it was left; else what can be made of it.

        A line says what was not as it was left.
        """
        head = Head.from_bytes(os.pread(lock, HEAD_BYTES, 0))
        size = self.file.stat().st_size if self.file.exists() else 0
        if head is not None and head.seq == 0 and size and not self._last_line(size)[1]:
            self._cut(0, size)  # Its first writer ended within the first line.
            size = 0
        if not size and (head is None or head.seq == 0):
            new = Head.new()
            # Before the line: from now on, what is beside the log is there.
            _write_head(lock, new)
            return self._add(new, {"kind": "start"}, lines)
        if head is not None and size == head.size:
            return head
        if head is not None and not size and rotated_file(self.file, head.seq).exists():
            # Its writer ended before there was a line in the next file.
            return head.model_copy(update={"size": 0})
        return self._recovered(head, size, lines)

    def _recovered(self, head: Head | None, size: int, lines: list[bytes]) -> Head:
        last, whole = self._last_line(size)
        found = _entry(last)
        if head is None and found is None:
            raise unwritten(
                f"the last line of the audit log {self.file} is none that the gate has written, "
                "and what was written last is not known; see it with oms-gate audit-log verify, "
                "and move the log away"
            )
        torn = self._cut(whole, size)
        fault = "torn" if torn else None
        if head is None:
            assert found is not None
            fault, now = "headless", time.time()
            head = Head(log=found.log, seq=found.seq, hash=found.hash, size=whole, signed_at=now)
        elif found is not None and found.log == head.log and found.seq > head.seq:
            # Its writer ended between the line and the head.
            head = head.model_copy(update={"seq": found.seq, "hash": found.hash})
        elif found is None or found.log != head.log or found.seq < head.seq:
            fault = "missing"
        elif found.hash != head.hash:
            fault = "changed"
        head = head.model_copy(update={"size": whole})
        if fault is None:
            return head
        recovery = Recovery.model_validate(
            {
                "fault": fault,
                "last_seq": head.seq,
                "found_seq": 0 if found is None else found.seq,
                "torn_bytes": len(torn),
                "torn_sha256": hashlib.sha256(torn).hexdigest() if torn else None,
            }
        )
        level = logging.WARNING if fault == "torn" else logging.ERROR
        _LOG.log(level, "the audit log %s is not as it was left: %s", self.file, _FAULTS[fault])
        members = {"kind": "recovery", "recovery": recovery.model_dump(mode="json")}
        return self._add(head, members, lines)

    def _last_line(self, size: int) -> tuple[bytes, int]:
        """The last whole line, without its end; and the size of the file up to its end."""
        count = _TAIL_BYTES
        if not size:
            return b"", 0
        with self.file.open("rb") as stream:
            while True:
                start = max(size - count, 0)
                stream.seek(start)
                tail = stream.read(size - start)
                end = tail.rfind(b"\n")
                begin = tail.rfind(b"\n", 0, max(end, 0))
                if start == 0 or (end >= 0 and begin >= 0) or count > LINE_BYTES:
                    return tail[begin + 1 : max(end, 0)], start + end + 1 if end >= 0 else 0
                count *= 8

    def _cut(self, whole: int, size: int) -> bytes:
        """Take away what was not written to its end; what that was."""
        if whole == size:
            return b""
        with self.file.open("r+b") as stream:
            stream.seek(whole)
            torn = stream.read()
            stream.truncate(whole)
        return torn


_FAULTS = {
    "headless": "what is beside it is not there, or is damaged",
    "torn": "its last line was not written to its end, and was taken away",
    "missing": "lines that were written are not there any more",
    "changed": "its last line is another than the one that was written",
}


def _entry(line: bytes) -> Entry | None:
    with suppress(ValueError):
        return read_entry(line) if is_sealed(line) else None
    return None


def _write_head(lock: int, head: Head) -> None:
    if os.pwrite(lock, head.to_bytes(), 0) != HEAD_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
