"""oms-gate: the admission gate for AI models.

from oms_gate import Gate

verdict = Gate.from_config("gate.yaml").check("hf://org/name")
if not verdict.admitted:
    print(verdict.reasons)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "AdmissionDenied",
    "AdmissionWarning",
    "Assurance",
    "ConfigError",
    "Gate",
    "OmsGateError",
    "ReasonCode",
    "UsageError",
    "Verdict",
    "__version__",
    "guard",
]

if TYPE_CHECKING:
    from oms_gate.errors import (
        AdmissionDenied,
        AdmissionWarning,
        ConfigError,
        OmsGateError,
        UsageError,
    )
    from oms_gate.gate import Gate
    from oms_gate.loading.guard import guard
    from oms_gate.verdict import Assurance, ReasonCode, Verdict

_HOMES = {
    "AdmissionDenied": "errors",
    "AdmissionWarning": "errors",
    "Assurance": "verdict",
    "ConfigError": "errors",
    "Gate": "gate",
    "OmsGateError": "errors",
    "ReasonCode": "verdict",
    "UsageError": "errors",
    "Verdict": "verdict",
    "guard": "loading.guard",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: importing the package costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
