"""oms-gate: the admission gate for AI models.

from oms_gate import Gate, from_pretrained, guard

gate = Gate.from_config("gate.yaml")
verdict = gate.check("hf://org/name")
model = from_pretrained(AutoModel, "org/name", gate=gate)
with guard(gate): ...
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
    "VerifiedMixin",
    "__version__",
    "from_pretrained",
    "guard",
    "verified",
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
    from oms_gate.loading.pretrained import VerifiedMixin, from_pretrained, verified
    from oms_gate.reason_codes import ReasonCode
    from oms_gate.verdict import Assurance, Verdict

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
    "VerifiedMixin": "loading.pretrained",
    "from_pretrained": "loading.pretrained",
    "guard": "loading.guard",
    "verified": "loading.pretrained",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: importing the package costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
