"""An admission: what is decided about a model before its bytes are read, and what they must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oms_gate.errors import AdmissionDenied
from oms_gate.signature_file import SignatureFile
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason, Verdict

if TYPE_CHECKING:
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Resource


@dataclass(frozen=True)
class Admission:
    """A model that may be used, each byte of it once it has been compared with what was signed.

    verdict: admitted, at assurance ``signature``, or ``declared`` where that was asked for.
    snapshot: open; whoever asked for the admission closes it.
    signed: the signed resources of each listed file, by its path.
    bundle: the signature, verified.
    keep: keeps evidence of a verdict, and gives the one that counts then.
    """

    verdict: Verdict
    snapshot: Snapshot
    signed: Mapping[str, tuple[Resource, ...]]
    hash_type: HashType
    bundle: SignatureFile
    keep: Callable[[Verdict], Verdict]

    def denied(self, reasons: Sequence[Reason]) -> AdmissionDenied:
        """The error for the same model, of whose bytes something else was found. It is kept.

        reasons: at least one.
        """
        found = {
            "outcome": "denied",
            "undecided": all(reason.code.undecided for reason in reasons),
            "reasons": tuple(reasons),
        }
        # A copy by itself would not be validated.
        return AdmissionDenied(self.keep(Verdict.model_validate(dict(self.verdict) | found)))
