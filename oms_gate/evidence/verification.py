"""Whether an audit log is as it was written: every line there, in its place, and unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from oms_gate.errors import StepError
from oms_gate.evidence.checkpoints import verify_checkpoint
from oms_gate.evidence.entries import GENESIS, Entry, Link, is_sealed, read_entry
from oms_gate.evidence.head import Head
from oms_gate.evidence.reading import Line, opened_log
from oms_gate.oms.trust import Trust
from oms_gate.verdict import Printable, Signer

FaultKind = Literal[
    "changed", "missing", "misplaced", "foreign", "torn", "headless", "unsigned", "unexpected"
]
"""A line is not what it was; lines are not there; a line is there twice or too late; it is none of
a log; it has no end; what was beside the log was not there; a checkpoint is not signed by whom it
should be; the log is not the one that was expected."""

MOST_FAULTS: Final = 1000
"""Most faults that are told one by one; the others are counted."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(_Part):
    """What is wrong with a log."""

    kind: FaultKind
    file: Printable
    line: int = Field(description="In this file, from 1; the first one that shows it.")
    message: Printable


class VerifiedLog(_Part):
    """What is left of a log. It is whole where there are no faults."""

    log: Printable = Field(description="Its file.")
    id: str | None = Field(default=None, description="Which log it is, as its lines say.")
    files: int = Field(default=0, description="Files that were read.")
    lines: int = Field(default=0, description="Lines that were read.")
    verdicts: int = Field(default=0, description="Verdicts among them.")
    unread: int = Field(
        default=0,
        description="Lines in their place whose content this version cannot read, as a count.",
    )
    recovered: int = Field(
        default=0, description="Lines that were not written to their end, and taken away; a count."
    )
    first_time: datetime | None = None
    last_time: datetime | None = None
    last_seq: int = Field(default=0, description="Number of the last line.")
    last_hash: str | None = Field(default=None, description="Its digest: keep it elsewhere.")
    signed_seq: int = Field(
        default=0, description="Up to which line a verified checkpoint vouches for all."
    )
    signed_at: datetime | None = Field(
        default=None, description="When that checkpoint was written, by the writer's clock."
    )
    signer: Signer | None = Field(default=None, description="Who signed it.")
    faults: tuple[Fault, ...] = ()
    more_faults: int = Field(default=0, description="Faults that are not told, as a count.")

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults


@dataclass(frozen=True)
class ExpectedSigner:
    """Who signs the checkpoints of a log.

    accepts: whether one who is trusted is the gate.
    at: as of `oms_gate.oms.verify.verify`.
    """

    trust: Trust
    accepts: Callable[[Signer], bool]
    at: datetime


def verify_log(
    log: Path,
    signer: ExpectedSigner | None = None,
    *,
    expected_hash: str | None = None,
    archived: bool = False,
) -> VerifiedLog:
    """Read a log from its first line to its last.

    signer: who must have signed; None to believe the chain, which whoever can write the log could
        have made anew.
    expected_hash: the digest of a line that the log must have, as it was kept elsewhere.
    archived: whether older files may be elsewhere: the log begins with the first line there is.

    Raises:
        ConfigError: it cannot be read.
    """
    run = _Run(signer, expected_hash, archived)
    with opened_log(log) as reading:
        for line in reading.lines:
            run.read(line)
        run.end(log, reading.head)
    return run.verified(log)


@dataclass
class _Run:
    """One reading.

    first: number of the first line.
    seq, hash: of the last line in its place.
    signed_seq: number of the last line that a checkpoint vouches for; signed_at, signed_by: of it.
    hashes: of lines that no checkpoint vouches for yet, by their number; where one is looked for.
    """

    signer: ExpectedSigner | None
    expected_hash: str | None
    archived: bool
    log: str | None = None
    first: int = 1
    seq: int = 0
    hash: str = GENESIS
    signed_seq: int = 0
    signed_at: datetime | None = None
    signed_by: Signer | None = None
    hashes: dict[int, str] = field(default_factory=dict)
    first_time: datetime | None = None
    last_time: datetime | None = None
    files: set[Path] = field(default_factory=set)
    lines: int = 0
    verdicts: int = 0
    unread: int = 0
    recovered: int = 0
    faults: list[Fault] = field(default_factory=list)
    more_faults: int = 0
    last: Line | None = None

    def read(self, line: Line) -> None:
        """Take the next line."""
        self.lines += 1
        self.files.add(line.file)
        self.last = line
        if not line.ended:
            self._fault(
                "torn",
                line,
                "the line was not written to its end: its writer was stopped, and no verdict was "
                "given for it; the next writer takes it away and says so",
            )
            return
        try:
            link = Link.of(line.content)
        except ValueError as error:
            self._fault("foreign", line, f"the line is none of an audit log: {error}")
            return
        sealed = is_sealed(line.content)
        if not sealed:
            message = f"line {link.seq} of the log was changed: it is not what its digest says"
            self._fault("changed", line, message)
        if not self._is_in_place(line, link):
            return
        self.seq, self.hash = link.seq, link.hash
        if self.expected_hash == link.hash:
            self.expected_hash = None
        if self.signer is not None:
            self.hashes[link.seq] = link.hash
        if sealed:
            self._follow(line)

    def _is_in_place(self, line: Line, link: Link) -> bool:
        if self.log is None:
            self.log = link.log
            if self.archived:
                self.first = link.seq
                self.seq, self.hash = link.seq - 1, link.previous
        if link.log != self.log:
            self._fault(
                "unexpected",
                line,
                "the line is of another log: this one was begun anew, or somebody has put lines of "
                "another into it",
            )
            return False
        if link.seq <= self.seq:
            self._fault(
                "misplaced",
                line,
                f"line {link.seq} of the log comes after line {self.seq}: it was moved, or is "
                "there twice",
            )
            return False
        if link.seq > self.seq + 1:
            self._fault("missing", line, f"{_span(self.seq + 1, link.seq - 1)} before this one")
        elif link.previous != self.hash:
            self._fault(
                "changed",
                line,
                f"line {link.seq} of the log does not follow line {self.seq} as that one is: one "
                "of them was changed, and sealed anew",
            )
        return True

    def _follow(self, line: Line) -> None:
        try:
            entry = read_entry(line.content)
        except ValueError:  # It is in the chain; a newer gate may say more in it.
            self.unread += 1
            return
        self.first_time, self.last_time = self.first_time or entry.time, entry.time
        self.verdicts += entry.kind == "verdict"
        if entry.recovery is not None:
            self._recovered(line, entry)
        if self.signer is not None and entry.checkpoint is not None:
            self._check(self.signer, line, entry)

    def _recovered(self, line: Line, entry: Entry) -> None:
        recovery = entry.recovery
        assert recovery is not None
        if recovery.fault == "torn":
            self.recovered += 1
        elif recovery.fault == "missing":
            span = _span(recovery.found_seq + 1, recovery.last_seq)
            self._fault("missing", line, f"a writer has found that {span}")
        elif recovery.fault == "headless":
            self._fault(
                "headless",
                line,
                "a writer has not found what is beside the log: lines may have been cut off before "
                "this one, and nobody can tell",
            )
        else:
            self._fault(
                "changed",
                line,
                f"a writer has found another line {recovery.last_seq} than was written",
            )

    def _check(self, signer: ExpectedSigner, line: Line, entry: Entry) -> None:
        """Hold a checkpoint against the lines before it."""
        assert entry.checkpoint is not None
        try:
            stated = verify_checkpoint(entry.checkpoint, signer.trust, at=signer.at)
        except StepError as error:
            self._fault("unsigned", line, f"the checkpoint does not count: {error}")
            return
        if not signer.accepts(stated.signer):
            self._fault(
                "unsigned",
                line,
                f"the checkpoint was signed by {stated.signer.identity}, who is not the gate",
            )
            return
        if stated.log == entry.log and (stated.seq < self.first or stated.seq <= self.signed_seq):
            return  # It is about what is elsewhere; or a later one vouches for that already.
        if stated.log != entry.log or self.hashes.get(stated.seq) != stated.digest:
            self._fault(
                "changed",
                line,
                f"the gate has signed another line {stated.seq} than the log has now: that one, or "
                "one before it, was changed, and all lines since were sealed anew",
            )
            return
        self.signed_seq, self.signed_at, self.signed_by = stated.seq, entry.time, stated.signer
        self.hashes = {seq: digest for seq, digest in self.hashes.items() if seq > stated.seq}

    def end(self, log: Path, head: Head | None) -> None:
        """See what should have come after the last line."""
        last = self.last or Line(log, 0, b"", ended=True)
        if head is not None:
            if self.log is not None and head.log != self.log:
                self._fault(
                    "unexpected",
                    last,
                    f"it is the log {self.log}, and what is beside it is of the log {head.log}: "
                    "another one is in its place",
                )
            elif head.seq > self.seq:
                self._fault("missing", last, f"{_span(self.seq + 1, head.seq)} at the end")
            elif head.seq == self.seq and head.hash != self.hash:
                self._fault("changed", last, f"line {head.seq} of the log is not the one written")
        if not self.lines:
            self._fault("missing", last, "it has no line, and so not even its first one")
        if self.expected_hash is not None:
            self._fault(
                "unexpected",
                last,
                f"no line has the digest {self.expected_hash}, which was to be among them",
            )
        if self.signer is not None and self.signed_by is None:
            self._fault(
                "unsigned",
                last,
                "no checkpoint vouches for any line: they are gone, or the gate has no signer "
                "(evidence.signer) or could not sign; see its own log, and sign what is written "
                "with oms-gate audit-log checkpoint",
            )

    def verified(self, log: Path) -> VerifiedLog:
        """What was found."""
        return VerifiedLog(
            log=str(log),
            id=self.log,
            files=len(self.files),
            lines=self.lines,
            verdicts=self.verdicts,
            unread=self.unread,
            recovered=self.recovered,
            first_time=self.first_time,
            last_time=self.last_time,
            last_seq=self.seq,
            last_hash=self.hash if self.lines else None,
            signed_seq=self.signed_seq,
            signed_at=self.signed_at,
            signer=self.signed_by,
            faults=tuple(self.faults),
            more_faults=self.more_faults,
        )

    def _fault(self, kind: FaultKind, line: Line, message: str) -> None:
        if len(self.faults) == MOST_FAULTS:
            self.more_faults += 1
            return
        self.faults.append(Fault(kind=kind, file=str(line.file), line=line.number, message=message))


def _span(first: int, last: int) -> str:
    if first == last:
        return f"line {first} of the log is missing"
    return f"lines {first} to {last} of the log are missing"
