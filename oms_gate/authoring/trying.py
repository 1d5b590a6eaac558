"""A configuration to try things by: what is decided by it is written nowhere."""

from __future__ import annotations

from oms_gate.config import GateConfig


def unlogged(config: GateConfig) -> GateConfig:
    """The same configuration without a decision log, in which only what counts has a place."""
    policy = config.policy.model_copy(update={"decision_log": None})
    return config.model_copy(update={"policy": policy})
