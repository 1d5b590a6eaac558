"""What an inspection comes to."""

from __future__ import annotations

from dataclasses import dataclass

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason


@dataclass(frozen=True, slots=True)
class Findings:
    """Why files should not be published, and what to look at."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that was seen in a file.

    what: with its article, such as "a public key"; never a secret itself.
    position: where it is in the bytes that were looked at, from 0.
    alone: whether the file is nothing else, so that it cannot be a quotation.
    """

    code: ReasonCode
    what: str
    position: int = 0
    alone: bool = False
