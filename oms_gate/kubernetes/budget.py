"""How much of a pod is read: whoever may create pods must not be able to keep the gate busy."""

from __future__ import annotations

from dataclasses import dataclass

from oms_gate.errors import StepError
from oms_gate.reason_codes import ReasonCode


@dataclass
class Budget:
    """What of a pod may still be read.

    words: of all commands and scripts, each counted for each program that it is an argument of.
    characters: of them and of all variables, with the values of variables in their place.
    """

    words: int
    characters: int

    def spend_words(self, count: int) -> None:
        """Count some.

        Raises:
            StepError: there are too many.
        """
        self.words -= count
        self._check("words", self.words)

    def spend_characters(self, count: int) -> None:
        """Count some.

        Raises:
            StepError: there are too many.
        """
        self.characters -= count
        self._check("characters", self.characters)

    def _check(self, what: str, left: int) -> None:
        if left < 0:
            raise StepError(
                ReasonCode.POD_MALFORMED,
                f"the commands and variables of the pod have more {what} than "
                f"kubernetes.{what} in gate.yaml; put long scripts into an image",
            )
