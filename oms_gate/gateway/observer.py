"""What a gateway tells those who count, log and record."""

from __future__ import annotations

from typing import Literal, Protocol

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict


class Observer(Protocol):
    """Is told what happens. Called by several threads; it must be quick, and never raises."""

    def decided(self, verdict: Verdict, seconds: float) -> None:
        """A model was decided about anew, or a file of an admitted one was found to be wrong."""

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        """A decision or a verified file was wanted; `hit`: it was there already."""

    def hashed(self, count: int) -> None:
        """So many bytes that came from a store were hashed."""

    def upstream_failed(self, code: ReasonCode) -> None:
        """The store gave no usable answer."""
