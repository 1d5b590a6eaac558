"""Decision logs: what a policy was asked and what it answered, one event a line.

The form is that of OPA's own decision logs (openpolicyagent.org/docs/management-decision-logs), so
that what a server logged, what the gate logged, and what it recorded is read by the same tools.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Literal
from uuid import uuid4

from pydantic_core import to_json

from oms_gate import __version__
from oms_gate.durable import append_whole
from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import MIB
from oms_gate.policy.decision import Decision
from oms_gate.policy.engine import DECISION_PATH, Engine
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason, printable

_LABELS: Final = {"app": "oms-gate", "version": __version__}
_ENDINGS: Final = (".jsonl", ".json", ".ndjson", ".log", ".gz")
# An input document names every file of a model; OPA uploads many events as one line.
_LINE_BYTES: Final = 256 * MIB


@dataclass(frozen=True)
class LoggedDecision:
    """One event of a decision log.

    place: where it is: file and line.
    path: of the decision below ``data``, such as ``oms_gate/admission/decision``.
    input: the input document.
    result: the decision as the policy gave it; None where there was none.
    """

    place: str
    decision_id: str | None
    timestamp: str
    path: str
    input: dict[str, Any]
    result: object


class LoggedEngine:
    """An engine whose decisions, and failures to decide, are all written to a file."""

    def __init__(self, engine: Engine, file: Path) -> None:
        """
        file: see `append_event`.
        """
        self._engine = engine
        self._file = file

    @property
    def kind(self) -> Literal["wasm", "server"]:
        """See `Engine.kind`."""
        return self._engine.kind

    @property
    def revision(self) -> str:
        """See `Engine.revision`."""
        return self._engine.revision

    def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on one input document, and write that down.

        Raises:
            PolicyError: as `Engine.decide`; or POLICY_UNLOGGED, it cannot be written down.
        """
        try:
            decision = self._engine.decide(document)
        except PolicyError as error:
            self._write(document, error.reason, str(uuid4()))
            raise
        decision_id = decision.decision_id or str(uuid4())
        self._write(document, decision, decision_id)
        return decision.model_copy(update={"decision_id": decision_id})

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def _write(
        self, document: Mapping[str, object], outcome: Decision | Reason, decision_id: str
    ) -> None:
        revision = outcome.revision if isinstance(outcome, Decision) else None
        append_event(
            self._file,
            event(
                document,
                outcome,
                revision=revision or self.revision,
                decision_id=decision_id,
                now=datetime.now(UTC),
            ),
        )


def event(
    document: Mapping[str, object],
    outcome: Decision | Reason,
    *,
    revision: str,
    decision_id: str,
    now: datetime,
) -> dict[str, object]:
    """The event of one decision.

    outcome: the decision, or why there is none.
    revision: of the policy and its data (`Engine.revision`).
    now: when it was made, with its time zone.
    """
    made: dict[str, object] = {
        "labels": _LABELS,
        "decision_id": decision_id,
        "bundles": {"oms_gate": {"revision": revision}},
        "path": DECISION_PATH,
        "input": document,
        "timestamp": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    if isinstance(outcome, Decision):
        made["result"] = outcome.to_answer()
    else:
        made["error"] = {"code": outcome.code, "message": outcome.message}
    return made


def append_event(path: Path, event: Mapping[str, object]) -> None:
    """Write an event as the last line of a file, whole or not at all.

    Several processes may write the same file; one that was renamed or removed is made anew.

    Raises:
        PolicyError: POLICY_UNLOGGED, it cannot be written.
    """
    line = to_json(event) + b"\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            append_whole(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise PolicyError(
            ReasonCode.POLICY_UNLOGGED,
            f"the decision cannot be written to the decision log {path}: {error.strerror}; make "
            "room for it, or correct 'policy: decision_log' or --record",
        ) from error


def read_events(path: Path) -> Iterator[LoggedDecision]:
    """The decisions in a log: a file of JSON lines, one of them in gzip, or a folder of such files.

    A line is an event, or a list of events, as OPA uploads them. What an OPA server writes to its
    console is read too: its lines that are no decisions are passed over, as are decisions about
    something else (another `path` than the gate's package).

    Raises:
        ConfigError: something cannot be read, or is not a decision log; it says which line. Or
            there is no decision at all, of which nothing follows.
    """
    files = [path]
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file()
        )
        if not files:
            raise ConfigError(
                f"the folder {path} holds no decision log ({', '.join(_ENDINGS)}); name one that "
                "the gate or an OPA server has written"
            )
    none = True
    for file in files:
        for found in _file_events(file):
            none = False
            yield found
    if none:
        raise ConfigError(
            f"{path} holds no decision of the gate's policy; record some with oms-gate verify "
            "--record, or let the OPA server log its decisions (--set decision_logs.console=true)"
        )


def _file_events(file: Path) -> Iterator[LoggedDecision]:
    try:
        with _opened(file) as stream:
            for number, line in enumerate(_lines(stream, file), 1):
                place = f"{file}:{number}"
                for found in _parsed(line, place):
                    yield from _decision(found, place)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"the decision log {file} cannot be read: {reason}") from error


def _opened(file: Path) -> IO[bytes] | gzip.GzipFile:
    stream = file.open("rb")
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    if not packed:
        return stream
    stream.close()
    return gzip.open(file)


def _lines(stream: IO[bytes] | gzip.GzipFile, file: Path) -> Iterator[bytes]:
    while line := stream.readline(_LINE_BYTES + 1):
        if len(line) > _LINE_BYTES:
            raise ConfigError(
                f"the decision log {file} has a line of more than {_LINE_BYTES // MIB} MiB; it is "
                "not one that the gate or an OPA server has written"
            )
        yield line


def _parsed(line: bytes, place: str) -> list[object]:
    if not line.lstrip().startswith((b"{", b"[")):
        return []  # Empty, or what a server's libraries say on its console.
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{place} is not JSON; a decision log has one event a line, so name a file that the "
            "gate or an OPA server has written"
        ) from None
    return value if isinstance(value, list) else [value]


def _decision(found: object, place: str) -> Iterator[LoggedDecision]:
    if not isinstance(found, dict):
        raise ConfigError(f"{place} is not an object; a decision log has one event a line")
    if "decision_id" not in found and "input" not in found:
        return  # Another line of a server's console.
    path = found.get("path", DECISION_PATH)
    if not isinstance(path, str) or path.split("/")[:2] != DECISION_PATH.split("/")[:2]:
        return
    document = found.get("input")
    timestamp = found.get("timestamp")
    if not isinstance(document, dict) or not isinstance(timestamp, str):
        raise ConfigError(
            f"{place} has no 'input' object or no 'timestamp'; if an OPA server wrote it, let its "
            "system.log.mask policy leave the input as it is"
        )
    decision_id = found.get("decision_id")
    yield LoggedDecision(
        place=place,
        decision_id=printable(decision_id) if isinstance(decision_id, str) else None,
        timestamp=timestamp,
        path=path,
        input=document,
        result=found.get("result"),
    )
