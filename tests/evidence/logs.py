"""Audit logs for tests, and what is done to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.entries import sealed
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence.verification import ExpectedSigner, Fault, VerifiedLog, verify_log
from oms_gate.evidence_settings import AuditLogSettings, GateSigner
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.signing.keys import generate_key, write_key_pair
from oms_gate.verdict import Model, Reason, Verdict

CONTEXT = {"operation": "pull", "namespace": "prod"}


def verdict_on(name: str = "m", *, admitted: bool = True) -> Verdict:
    """A verdict on ``hf://acme/NAME``."""
    reasons = [] if admitted else [Reason(code=ReasonCode.SIGNATURE_MISSING, message="Not signed.")]
    return Verdict(
        outcome="admitted" if admitted else "denied",
        model=Model(url=f"hf://acme/{name}@1", name=f"hf://acme/{name}", revision="1"),
        reasons=tuple(reasons),
        checked_at=datetime(2026, 1, 1, tzinfo=UTC),
        gate_version="0",
    )


class GateKey:
    """A gate's own key in a folder."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        write_key_pair(self.private, self.public, generate_key("P-256"), None)

    @property
    def signer(self) -> OwnSigner:
        """What signs with it."""
        return OwnSigner(GateSigner(key=str(self.private)))

    @property
    def expected(self) -> ExpectedSigner:
        """Who must have signed then."""
        root = KeyRoot.from_pem("gate", self.public.read_bytes())
        return ExpectedSigner(Trust(keys={"gate": root}), lambda _: True, datetime.now(UTC))


def log_in(folder: Path, key: GateKey | None = None, **settings: Any) -> AuditLog:
    """A log in a folder; unless it is said otherwise, nothing waits for the disk."""
    given = AuditLogSettings(**{"file": folder / "audit.jsonl", "sync": "never", **settings})
    return AuditLog.from_settings(given, None if key is None else key.signer)


def written(folder: Path, count: int, key: GateKey | None = None, **settings: Any) -> Path:
    """The file of a log with so many verdicts, on m0, m1, and so on."""
    log = log_in(folder, key, **settings)
    for number in range(count):
        log.write(verdict_on(f"m{number}", admitted=number % 3 != 2), CONTEXT)
    return folder / "audit.jsonl"


def lines_of(file: Path) -> list[dict[str, Any]]:
    """Its lines, read as JSON."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def edit(file: Path, change: Callable[[list[bytes]], Sequence[bytes]]) -> None:
    """Change the lines of a file behind the writers' backs."""
    changed = change(file.read_bytes().splitlines(keepends=True))
    file.write_bytes(b"".join(changed))


def resealed(line: bytes, **changes: object) -> bytes:
    """The same line with other members, sealed as the gate would."""
    members = json.loads(line) | changes
    for name in ("schema", "writer", "hash"):
        del members[name]
    time = datetime.fromisoformat(members.pop("time"))
    seq, log, previous = (members.pop(name) for name in ("seq", "log", "previous"))
    return sealed(members, log=log, seq=seq, previous=previous, now=time)[0]


def told(found: VerifiedLog) -> list[tuple[str, int]]:
    """The kind of each fault, and its line."""
    return [(fault.kind, fault.line) for fault in found.faults]


def only(found: VerifiedLog) -> Fault:
    """The one fault that there is."""
    (fault,) = found.faults
    return fault


def whole(file: Path, key: GateKey | None = None, **options: Any) -> VerifiedLog:
    """What is found of a log that is whole."""
    found = verify_log(file, None if key is None else key.expected, **options)
    assert found.faults == ()
    return found
