"""The audit log: each verdict is a line, and what is written is signed from time to time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
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
        due = self._append(_line(verdict, context), self._sinks, signs=self._signer is not None)
        if due is not None:
            try:
                self.sign(due)
            except (ConfigError, SigningError, EvidenceError) as error:
                # The verdict is written, in a chain; it is signed with the next checkpoint.
                _LOG.error("the audit log could not be signed, and is to be later: %s", error)

    def amend(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> None:
        """Write what became of a verdict that could not be written everywhere, where that can be.

        In the file it may stand as it was: the last line about it is the one that counts.
        """
        with suppress(EvidenceError):
            self._append(_line(verdict, context), () if self._is_in_file else self._sinks)

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
        self, members: Mapping[str, object], sinks: Sequence[Sink], *, signs: bool = False
    ) -> Head | None:
        # Without a file what is sent is the log itself, and has to be in order.
        with nullcontext() if self._is_in_file else self._turn:
            appended = self._chain.append(members, signs=signs)
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


def _line(verdict: Verdict, context: Mapping[str, JsonValue]) -> dict[str, object]:
    """The members of the line of a verdict.

    Raises:
        EvidenceError: what the caller said could not be read back.
    """
    try:
        # As JSON in which nothing deceives, and that can be read again.
        text = json.dumps({"operation": "verify", **context}, allow_nan=False)
        said = shown(json.loads(text))
        parse(json.dumps(said).encode(), depth=_DEPTH, values=_VALUES)
        operation = said.pop("operation")
        if not isinstance(operation, str):
            raise ValueError("its operation is no text")
    except (TypeError, ValueError, RecursionError) as error:
        raise unwritten(
            f"what the caller told of the model cannot be written down ({one_line(error)}); give "
            "a context of plain values, and no deep ones"
        ) from error
    return {
        "kind": "verdict",
        "operation": operation,
        "context": said,
        "verdict": json.loads(verdict.model_dump_json(by_alias=True)),
    }
