"""What a report is made of: verdicts, each with the place where it is recorded.

A file is an audit log, which may have older files beside it; or it holds verdicts as ``oms-gate
verify --json`` prints them: documents one after another, one a line, or lists of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Final

from pydantic import ValidationError

from oms_gate.errors import ConfigError
from oms_gate.evidence.entries import AUDIT_LOG_SCHEMA, read_entry
from oms_gate.evidence.files import head_file, log_files
from oms_gate.evidence.reading import entries, opened_log
from oms_gate.evidence.verification import ExpectedSigner, verify_log
from oms_gate.limits import MIB
from oms_gate.oms.quoting import quoted
from oms_gate.oms.strict_json import MalformedJson, parse
from oms_gate.operator_files import open_regular
from oms_gate.verdict import Verdict, printable

# A verdict names up to 100,000 files.
_DOCUMENT_BYTES: Final = 64 * MIB
_FAULTS_TOLD: Final = 5
_DEPTH: Final = 32
_VALUES: Final = 1_000_000
# What a line that amends another has in it, as `sealed` writes it; others may have it in a context.
_AMENDS: Final = re.compile(rb'"amends":[0-9]')
_OPENING: Final = (b"{", b"[")
_CLOSING: Final = (b"}", b"]")
_NAME_ANOTHER: Final = "name an audit log, or verdicts as oms-gate verify --json prints them"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a verdict is recorded.

    line: from 1, of the file; seq, hash: of an audit log's line, the latter in hex.
    """

    file: str
    line: int
    seq: int | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict: when it was recorded, what for, and where it is.

    context: what the caller told the policy besides, such as a namespace.
    """

    time: datetime
    verdict: Verdict
    place: Place
    operation: str | None = None
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogState:
    """Whether an audit log is as it was written.

    whole: whether all of its lines are there, in their places, and unchanged.
    signed_seq: up to which line a checkpoint of the gate vouches for all; None where none was
        looked at.
    last_seq: number of the last line.
    sentences: what was found.
    """

    file: str
    whole: bool
    signed_seq: int | None
    last_seq: int
    sentences: tuple[str, ...]

    @property
    def words(self) -> str:
        """What to call it."""
        if not self.whole:
            return "broken"
        if self.signed_seq is None:
            return "whole, by its chain alone"
        if self.signed:
            return "whole and signed"
        return f"whole, and signed up to {self.signed_seq:,} of {self.last_seq:,}"

    @property
    def signed(self) -> bool:
        """Whether the gate vouches for all lines before the last one, which may be what does."""
        return self.signed_seq is not None and self.signed_seq >= self.last_seq - 1


def is_log(path: Path) -> bool:
    """Whether a file begins as an audit log does.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if head_file(path).exists():
            return True
        first = next(iter(log_files(path)), path)
    except OSError as error:
        raise _unreadable(path, error) from error
    with _opened(first) as stream:
        try:
            found = json.loads(stream.readline(_DOCUMENT_BYTES))
        except (ValueError, RecursionError):
            return False
    return isinstance(found, dict) and found.get("schema") == AUDIT_LOG_SCHEMA


def log_state(path: Path, gate: ExpectedSigner | None, *, archived: bool) -> LogState:
    """Verify an audit log, and say what that came to.

    gate: who must have signed its checkpoints; None to look at its chain alone.
    archived: whether its older files may be elsewhere.

    Raises:
        ConfigError: it cannot be read.
    """
    found = verify_log(path, gate, archived=archived)
    told = [f"{found.lines:,} lines, up to number {found.last_seq}"]
    if found.signer is not None and found.signed_at is not None:
        told.append(
            f"signed up to number {found.signed_seq}, on {found.signed_at:%Y-%m-%d at %H:%M} UTC, "
            f"by {found.signer.identity}"
        )
    elif gate is None:
        told.append("its checkpoints were not verified: say who the gate is, as by --public-key")
    told += [f"{fault.file}:{fault.line}: {fault.message}" for fault in found.faults[:_FAULTS_TOLD]]
    if (more := len(found.faults) + found.more_faults - _FAULTS_TOLD) > 0:
        told.append(f"and {more:,} more of this kind")
    signed_seq = None if gate is None else found.signed_seq
    return LogState(str(path), found.is_whole, signed_seq, found.last_seq, tuple(told))


def read_records(path: Path, *, log: bool) -> Iterator[Record]:
    """The verdicts in a file, in its order, one at a time.

    log: whether it is an audit log, whatever is in it. Of one, verdicts that a later line takes
        the place of are left out.

    Raises:
        ConfigError: it cannot be read, or something in it is no verdict; it says which line.
    """
    return _log(path) if log else _verdicts(path)


def _log(path: Path) -> Iterator[Record]:
    # Twice, as verdicts may be too large to be held back until nothing can amend them.
    lines, amended = _amended(path)
    for line, entry in islice(entries(path), lines):
        if entry.verdict is not None and entry.seq not in amended:
            yield Record(
                time=_utc(entry.time, line.file, line.number),
                verdict=entry.verdict,
                place=Place(str(line.file), line.number, entry.seq, entry.hash),
                operation=entry.operation,
                context=entry.context or {},
            )


def _amended(path: Path) -> tuple[int, set[int]]:
    """How many lines a log has as of now, and the numbers of those that a later one amends."""
    lines, amended = 0, set[int]()
    with opened_log(path) as reading:
        for line in reading.lines:
            lines += line.ended
            if not (line.ended and _AMENDS.search(line.content)):
                continue
            try:
                entry = read_entry(line.content)
            except ValueError:  # It is told with its place when the verdicts are read.
                continue
            if entry.verdict is not None and entry.amends is not None and entry.amends < entry.seq:
                amended.add(entry.amends)
    return lines, amended


def _verdicts(path: Path) -> Iterator[Record]:
    with _opened(path) as stream:
        for number, document in _documents(stream, path):
            for found in document if isinstance(document, list) else [document]:
                try:
                    verdict = Verdict.model_validate(found)
                except ValidationError as error:
                    raise _fault(path, number, error) from None
                time = _utc(verdict.checked_at, path, number)
                yield Record(time, verdict, Place(str(path), number))


def _documents(stream: IO[bytes], path: Path) -> Iterator[tuple[int, object]]:
    """The JSON documents of a file, each with the line that it begins in.

    A document that has more lines than one ends with a line that is its last bracket.
    """
    begun, gathered, size = 0, list[bytes](), 0
    for number, text in _lines(stream, path):
        if not gathered:
            if not text.strip():
                continue
            begun = number
        gathered.append(text)
        size += len(text)
        if size > _DOCUMENT_BYTES:
            raise _too_long(path, begun)
        if text.strip() not in _OPENING if len(gathered) == 1 else text.rstrip() in _CLOSING:
            yield begun, _parsed(b"".join(gathered), path, begun)
            gathered, size = [], 0
    if gathered:
        raise ConfigError(f"{path}:{begun} begins a document that does not end; {_NAME_ANOTHER}")


def _parsed(data: bytes, path: Path, line: int) -> object:
    try:
        return parse(data, depth=_DEPTH, values=_VALUES)
    except MalformedJson as error:
        raise ConfigError(f"{path}:{line} is no verdict: {error}; {_NAME_ANOTHER}") from None


def _lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        while text := stream.readline(_DOCUMENT_BYTES + 1):
            number += 1
            if len(text) > _DOCUMENT_BYTES:
                raise _too_long(path, number)
            yield number, text
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _utc(time: datetime, path: Path, line: int) -> datetime:
    """The same time in UTC, where a verdict's is if it does not say."""
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{path}:{line} has a time outside of the calendar") from None


def _opened(path: Path) -> IO[bytes]:
    try:
        stream = open_regular(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    # What is read from a pipe to see what it is cannot be read again.
    if stream is None:
        raise ConfigError(f"{path} is no regular file; {_NAME_ANOTHER}")
    return stream


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {error.strerror}; {_NAME_ANOTHER}")


def _fault(path: Path, line: int, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    told = f"{quoted(where)}: {first['msg']}" if where else first["msg"]
    return ConfigError(f"{path}:{line} is no verdict: {printable(told)}")


def _too_long(path: Path, line: int) -> ConfigError:
    return ConfigError(
        f"{path}:{line} begins a document of more than {_DOCUMENT_BYTES // MIB} MiB, which is no "
        "verdict"
    )
