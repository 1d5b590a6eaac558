"""The policy engine: from an input document to a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from oms_gate.limits import MIB
from oms_gate.policy.decision import Decision

DECISION_PATH: Final = "oms_gate/admission/decision"

# The largest answer that is read, in bytes: a hundred thousand files denied by name.
ANSWER_BYTES: Final = 16 * MIB


class Engine(Protocol):
    """Evaluates a policy. Safe for use by several threads."""

    @property
    def kind(self) -> Literal["wasm", "server"]:
        """Where policies are evaluated: in this process, or by an OPA server."""

    @property
    def revision(self) -> str:
        """Which policy and data decide: a digest, or what the server says."""

    def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on one input document (`oms_gate.policy.input`).

        Raises:
            PolicyError: there is no decision: POLICY_UNDEFINED, POLICY_ILL_TYPED, POLICY_ERROR,
                POLICY_TIMEOUT, POLICY_UNREACHABLE or POLICY_CIRCUIT_OPEN; or it cannot be logged:
                POLICY_UNLOGGED.
        """

    def close(self) -> None:
        """Release threads and connections. No decision is possible afterwards."""
