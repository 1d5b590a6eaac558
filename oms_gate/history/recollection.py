"""What is remembered of a release while it is looked at, and what becomes of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from oms_gate.errors import HistoryError
from oms_gate.history.observation import Observation
from oms_gate.policy.input import InputHistory
from oms_gate.reason_codes import ReasonCode

if TYPE_CHECKING:
    from oms_gate.history.history import History

# What others record of one model changes little: its first release, the signer, a newer release.
_ATTEMPTS = 10


@dataclass
class Recollection:
    """A release as it was found, and what is remembered of its model.

    facts: what the policy, or an operator, was told.
    """

    history: History
    observation: Observation
    facts: InputHistory

    def record(self, at: datetime, admits: Callable[[InputHistory], bool]) -> None:
        """Record that the release is admitted at this time.

        admits: decides again, by what is remembered now; asked where that has changed since. What
            is not admitted any more is not recorded.

        Raises:
            HistoryError: the memory cannot be written, or does not stop changing.
        """
        for _ in range(_ATTEMPTS):
            now = self.history.record(self.observation, self.facts, at)
            if now is None:
                return
            self.facts = now
            if not admits(now):
                return
        raise self._unsettled()

    def approve(self, at: datetime) -> None:
        """Pin the release's signer to the model, and let the model go back to the release.

        Raises:
            HistoryError: the memory cannot be written, or has changed since it was read.
        """
        if self.history.approve(self.observation, self.facts, at) is not None:
            raise self._unsettled()

    def _unsettled(self) -> HistoryError:
        return HistoryError(
            ReasonCode.HISTORY_UNREADABLE,
            f"what is remembered of {self.observation.model} has changed since it was read, by "
            "another check or an operator; try again",
        )
