"""The audit log: each verdict is a line, and what is written is signed from time to time."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

from oms_gate.errors import ConfigError, EvidenceError, SigningError
from oms_gate.evidence.checkpoints import checkpoint_statement
from oms_gate.evidence.entries import unwritten
from oms_gate.evidence.head import Appended, Head
from oms_gate.evidence.log_file import LogFile
from oms_gate.evidence.memory_chain import MemoryChain
from oms_gate.evidence.sinks import Sink, open_sinks
from oms_gate.evidence_settings import AuditLogSettings
from oms_gate.oms.quoting import one_line
from oms_gate.policy.predicates import shown
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.evidence.signer import OwnSigner

_LOG = logging.getLogger(__name__)


class _Chain(Protocol):
    """What lines are added to, one after the other."""

    def append(self, members: Mapping[str, object], *, signs: bool = False) -> Appended:
        """See `LogFile.append`."""


class AuditLog:
    """Writes verdicts down. Safe for several threads and processes, and across forks."""

    def __init__(self, chain: _Chain, sinks: Sequence[Sink], signer: OwnSigner | None) -> None:
        """
        chain: the file; without one, what this process writes is a log of its own.
        sinks: get each line, too.
        signer: signs checkpoints; without one there are none.
        """
        self._chain = chain
        self._sinks = sinks
        self._signer = signer

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
        said = _said(context)
        members = {
            "kind": "verdict",
            "operation": said.pop("operation"),
            "context": said,
            "verdict": json.loads(verdict.model_dump_json(by_alias=True)),
        }
        due = self._append(members, signs=self._signer is not None)
        if due is not None:
            try:
                self.sign(due)
            except (ConfigError, SigningError, EvidenceError) as error:
                # The verdict is written, in a chain; it is signed with the next checkpoint.
                _LOG.error("the audit log could not be signed, and is to be later: %s", error)

    def sign(self, head: Head) -> None:
        """Add a checkpoint.

        head: what it is about.

        Raises:
            ConfigError, SigningError: see `OwnSigner.sign`.
            EvidenceError: it could not be written.
        """
        assert self._signer is not None
        bundle = self._signer.sign(checkpoint_statement(head.log, head.seq, head.hash))
        self._append({"kind": "checkpoint", "checkpoint": json.loads(bundle)})

    def close(self) -> None:
        """Release what lines are sent over."""
        for sink in self._sinks:
            sink.close()

    def _append(self, members: Mapping[str, object], *, signs: bool = False) -> Head | None:
        appended = self._chain.append(members, signs=signs)
        for line in appended.lines:
            for sink in self._sinks:
                sink.write(line)
        return appended.to_sign


def _said(context: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the caller said, as JSON in which nothing deceives."""
    try:
        return shown(json.loads(json.dumps(context, allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise unwritten(
            f"what the caller told of the model is no JSON that can be written down "
            f"({one_line(error)}); give a context of plain values"
        ) from error
