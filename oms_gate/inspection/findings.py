"""What an inspection comes to."""

from __future__ import annotations

from dataclasses import dataclass

from oms_gate.verdict import Reason


@dataclass(frozen=True, slots=True)
class Findings:
    """Why files should not be published, and what to look at."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
