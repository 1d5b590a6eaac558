"""The memory of a gate: who signed the models that it admitted, and which releases these were."""

from oms_gate.history.history import History, Pin, Release
from oms_gate.history.observation import Observation
from oms_gate.history.recollection import Recollection

__all__ = ["History", "Observation", "Pin", "Recollection", "Release"]
