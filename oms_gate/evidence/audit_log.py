"""The audit log: each verdict is a line, and what is written is signed from time to time."""

from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

from oms_gate.errors import ConfigError, EvidenceError, SigningError
from oms_gate.evidence.checkpoints import checkpoint_statement
from oms_gate.evidence.entries import unwritten
from oms_gate.evidence.head import Head
from oms_gate.evidence.log_file import LogFile
from oms_gate.evidence.memory_chain import MemoryChain
from oms_gate.evidence.sinks import Sink, open_sinks
from oms_gate.evidence_settings import AuditLogSettings
from oms_gate.oms.quoting import one_line
from oms_gate.oms.strict_json import parse
from oms_gate.policy.predicates import shown
from oms_gate.process_lock import ProcessLock
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.evidence.signer import OwnSigner

_LOG = logging.getLogger(__name__)

_DEPTH: Final = 32
"""Deepest nesting of what callers say of a model, in levels."""

_VALUES: Final = 10_000
"""Most values in it, as a count."""

_CHECKS: Final = 10_000
"""Most checks of which it is remembered that they were written down, as a count."""


class AuditLog:
    """Writes verdicts down. Safe for several threads and processes, and across forks."""

    def __init__(
        self, chain: MemoryChain | LogFile, sinks: Sequence[Sink], signer: OwnSigner | None
    ) -> None:
        """
        chain: the file; without one, what this process writes is a log of its own.
        sinks: get each line, too.
        signer: signs checkpoints; without one there are none.
        """
        self._chain = chain
        self._sinks = sinks
        self._signer = signer
        self._turn = ProcessLock()
        self._checks = _Checks()

    @classmethod
    def from_settings(cls, settings: AuditLogSettings, signer: OwnSigner | None) -> Self:
        """As ``gate.yaml`` describes it.

        Raises:
            ConfigError: what a sink needs is not installed.
        """
        file = settings.file
        chain = MemoryChain(settings) if file is None else LogFile(file, settings)
        return cls(chain, open_sinks(settings), signer)

    def write(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> None:
        """Write a verdict down, and sign what is written if that is due.

        context: what the caller told the policy, ``operation`` among it.

        Raises:
            EvidenceError: it could not be written everywhere.
        """
        due = self._written(verdict, context, self._sinks, signs=self._signer is not None)
        if due is not None:
            try:
                self.sign(due)
            except (ConfigError, SigningError, EvidenceError) as error:
                # The verdict is written, in a chain; it is signed with the next checkpoint.
                _LOG.error("the audit log could not be signed, and is to be later: %s", error)

    def _written(
        self,
        verdict: Verdict,
        context: Mapping[str, JsonValue],
        sinks: Sequence[Sink],
        *,
        signs: bool = False,
    ) -> Head | None:
        said = _said(context)
        before = self._checks.last_line(verdict)
        members = {
            "kind": "verdict",
            "operation": said.pop("operation"),
            "context": said,
            **({} if before is None else {"amends": before}),
            "verdict": verdict.model_dump(mode="json", by_alias=True),
        }
        return self._append(members, sinks, signs=signs, of=verdict)

    def amend(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> None:
        """Write what became of a verdict that could not be written everywhere, where that can be.

        In the file it may stand as it was: the last line about it is the one that counts.
        """
        with suppress(EvidenceError):
            self._written(verdict, context, () if self._is_in_file else self._sinks)

    def sign(self, head: Head) -> None:
        """Add a checkpoint.

        head: what it is about.

        Raises:
            ConfigError, SigningError: see `OwnSigner.sign`.
            EvidenceError: it could not be written.
        """
        assert self._signer is not None
        bundle = self._signer.sign(checkpoint_statement(head.log, head.seq, head.hash))
        self._append({"kind": "checkpoint", "checkpoint": json.loads(bundle)}, self._sinks)

    def close(self) -> None:
        """Release what lines are sent over."""
        for sink in self._sinks:
            sink.close()

    @property
    def _is_in_file(self) -> bool:
        return isinstance(self._chain, LogFile)

    def _append(
        self,
        members: Mapping[str, object],
        sinks: Sequence[Sink],
        *,
        signs: bool = False,
        of: Verdict | None = None,
    ) -> Head | None:
        # Without a file what is sent is the log itself, and has to be in order.
        with nullcontext() if self._is_in_file else self._turn:
            appended = self._chain.append(members, signs=signs)
            if of is not None:
                self._checks.note(of, appended.seq)
            faults = []
            for sink in sinks:
                try:
                    for line in appended.lines:
                        sink.write(line)
                except EvidenceError as error:
                    faults.append(error)
        if faults:
            raise faults[0]
        return appended.to_sign


class _Checks:
    """The checks that this process has written down last, each with the number of its last line."""

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._lines: OrderedDict[tuple[int, str, datetime], int] = OrderedDict()

    def last_line(self, verdict: Verdict) -> int | None:
        """Of the check that a verdict is of; None where it is the first."""
        with self._lock:
            return self._lines.get(self._key(verdict))

    def note(self, verdict: Verdict, seq: int) -> None:
        """Remember the line of a verdict."""
        with self._lock:
            self._lines[self._key(verdict)] = seq
            self._lines.move_to_end(self._key(verdict))
            while len(self._lines) > _CHECKS:
                self._lines.popitem(last=False)

    def _key(self, verdict: Verdict) -> tuple[int, str, datetime]:
        # A process that was forked may have begun a log of its own.
        return os.getpid(), verdict.model.url, verdict.checked_at


def _said(context: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the caller said, as JSON in which nothing deceives, and that can be read again."""
    try:
        text = json.dumps({"operation": "verify", **context}, allow_nan=False)
        said = shown(json.loads(text))
        parse(json.dumps(said).encode(), depth=_DEPTH, values=_VALUES)
        if not isinstance(said["operation"], str):
            raise ValueError("its operation is no text")
    except (TypeError, ValueError, RecursionError) as error:
        raise unwritten(
            f"what the caller told of the model cannot be written down ({one_line(error)}); give "
            "a context of plain values, and no deep ones"
        ) from error
    return said
