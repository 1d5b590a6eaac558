"""Checkpoints: signed statements of how far a log had come.

Whoever can write a log could write all of it anew, in a chain as good as the first. What comes
before a checkpoint they cannot change without the gate's key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oms_gate.errors import EvidenceError
from oms_gate.limits import Limits
from oms_gate.oms.attestation import verify_attestation
from oms_gate.oms.statement import STATEMENT_TYPE
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Signer

PREDICATE_TYPE: Final = "urn:oms-gate:audit-log-checkpoint:v1"
_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Checkpoint:
    """What a gate has signed: that a log has a line, and so all that its chain leads back to.

    digest: the line's ``hash``.
    """

    signer: Signer
    log: str
    seq: int
    digest: str


def checkpoint_statement(log: str, seq: int, digest: str) -> dict[str, object]:
    """The in-toto statement of a checkpoint."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"line {seq} of {log}", "digest": {"sha256": digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"log": log, "seq": seq},
    }


def verify_checkpoint(bundle: Mapping[str, object], trust: Trust, *, at: datetime) -> Checkpoint:
    """Verify a checkpoint.

    at: as of `oms_gate.oms.verify.verify`.

    Raises:
        SignatureError: nobody who is trusted has signed it.
        EvidenceError: it is signed and states something else.
    """
    verified = verify_attestation(json.dumps(bundle).encode(), trust, at=at, limits=_LIMITS)
    predicate = verified.predicate
    log, seq = predicate.get("log"), predicate.get("seq")
    if (
        verified.predicate_type != PREDICATE_TYPE
        or len(verified.subjects) != 1
        or not isinstance(log, str)
        or type(seq) is not int
    ):
        raise EvidenceError(
            ReasonCode.STATEMENT_MALFORMED, "what is signed is no checkpoint of an audit log"
        )
    return Checkpoint(verified.signer, log, seq, next(iter(verified.subjects)))
