"""The lines of an audit log: JSON, each sealed with its own digest and that of the one before."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from oms_gate import __version__
from oms_gate.errors import EvidenceError
from oms_gate.limits import MIB
from oms_gate.oms.quoting import first_fault
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Printable, Verdict

AUDIT_LOG_SCHEMA: Final = "oms-gate/audit-log/v1"
GENESIS: Final = "0" * 64
"""What the first line of a log has in place of the digest of a line before."""

LINE_BYTES: Final = 256 * MIB
"""Longest line that is read, in bytes: a verdict may name every file of a model."""

_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_Kind = TypeVar("_Kind", bound=BaseModel)
_Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Writer(_Part):
    """Who wrote a line."""

    host: Printable
    user: Printable
    pid: int
    version: str = Field(description="Of the gate.")


class Recovery(_Part):
    """What a writer found in place of the log that it had left, and how it went on."""

    fault: Literal["torn", "missing", "changed", "headless"] = Field(
        description="The last line was not written to its end, and was taken away; or lines are "
        "not there any more; or the last one is another; or what is beside the log is not there, "
        "so lines may have been cut off."
    )
    last_seq: int = Field(description="Number of the last line that had been written.")
    found_seq: int = Field(description="Number of the last line that was found, as it says.")
    torn_bytes: int = Field(default=0, description="Bytes of the line that was taken away.")
    torn_sha256: _Hex | None = Field(default=None, description="Their SHA-256.")


class Entry(_Part):
    """A line of an audit log."""

    schema_version: Literal["oms-gate/audit-log/v1"] = Field(
        default=AUDIT_LOG_SCHEMA, alias="schema"
    )
    log: str = Field(pattern="^[0-9a-f]{32}$", description="Which log it is of, at random.")
    seq: int = Field(ge=1, description="Its number: 1, 2, 3, and so on, in all files of a log.")
    time: datetime = Field(description="When it was written, by the writer's clock.")
    previous: _Hex = Field(description="The 'hash' of the line before; zeros in the first.")
    kind: Literal["start", "verdict", "checkpoint", "recovery"]
    writer: Writer
    operation: Printable | None = Field(
        default=None,
        description="Of a verdict: what the model was wanted for (verify, load, pull, admit, "
        "publish, proxy; or what the caller of the library said).",
    )
    context: dict[str, JsonValue] | None = Field(
        default=None, description="Of a verdict: what else the policy was told."
    )
    amends: int | None = Field(
        default=None,
        ge=1,
        description="Of a verdict: number of the line about the same check that this one takes the "
        "place of.",
    )
    verdict: Verdict | None = None
    checkpoint: dict[str, JsonValue] | None = Field(
        default=None,
        description="A bundle (Sigstore v0.3) with a signed statement of the log as it was.",
    )
    recovery: Recovery | None = None
    hash: _Hex = Field(description="SHA-256 of the line as it is without this member, in hex.")

    @model_validator(mode="after")
    def _has_what_its_kind_says(self) -> Self:
        held = {
            kind
            for kind in ("verdict", "checkpoint", "recovery")
            if getattr(self, kind) is not None
        }
        if held != {self.kind} - {"start"}:
            raise ValueError(f"a line of the kind {self.kind!r} holds {sorted(held) or 'nothing'}")
        if (self.operation is None) != (self.kind != "verdict"):
            raise ValueError("'operation' belongs to a verdict")
        return self


class Link(BaseModel):
    """Of a line, what ties it to the others."""

    model_config = ConfigDict(frozen=True)

    log: str
    seq: int
    previous: str
    hash: str

    @classmethod
    def of(cls, line: bytes) -> Self:
        """What a line says of itself, be it sealed or not.

        Raises:
            ValueError: it is no line of an audit log; in one sentence.
        """
        return _parsed(cls, line)


def sealed(
    members: Mapping[str, object], *, log: str, seq: int, previous: str, now: datetime
) -> tuple[bytes, str]:
    """A line with its end, and its digest.

    members: from ``kind`` on, ready for JSON.

    Control, format and all other characters that are not ASCII are escaped.
    """
    entry = {
        "schema": AUDIT_LOG_SCHEMA,
        "log": log,
        "seq": seq,
        "time": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "previous": previous,
        "kind": members["kind"],
        "writer": _writer(os.getpid()),
        **members,
    }
    body = json.dumps(entry, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + b',"hash":"%b"}\n' % digest.encode(), digest


def is_sealed(line: bytes) -> bool:
    """Whether a line, without its end, is what its own digest says."""
    seal = _SEAL.search(line)
    if seal is None:
        return False
    digest = hashlib.sha256(line[: seal.start()] + b"}").hexdigest()
    return digest.encode() == seal.group(1)


def read_entry(line: bytes) -> Entry:
    """What a line says; whether it is true is not looked at.

    Raises:
        ValueError: it is no line of an audit log; in one sentence.
    """
    return _parsed(Entry, line)


def unwritten(fault: str) -> EvidenceError:
    """The error for a line that could not be written."""
    return EvidenceError(ReasonCode.EVIDENCE_UNWRITTEN, fault)


@cache
def _writer(pid: int) -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # The number has no name, as in containers.
        user = str(os.getuid())
    return {"host": socket.gethostname(), "user": user, "pid": pid, "version": __version__}


def _parsed(kind: type[_Kind], line: bytes) -> _Kind:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise ValueError(first_fault(error, "it")) from None
