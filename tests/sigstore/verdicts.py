"""What the gate's verifier says of a bundle, under the trusted root of an instance."""

from __future__ import annotations

from typing import Any

from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import VerifiedSignature
from oms_gate.verdict import ReasonCode
from tests.oms import forge
from tests.sigstore.instance import Sigstore
from tests.sigstore.trust import Json

PAYLOAD = forge.encode(forge.statement())


def admitted(bundle: Json, *under: Sigstore) -> VerifiedSignature:
    """Assert that the bundle verifies under one of the instances."""
    return forge.checked(forge.encode(bundle), _trusting(under))


def refused(bundle: Json, *under: Sigstore, code: ReasonCode = ReasonCode.SIGSTORE_INVALID) -> str:
    """Assert that it does not; the message."""
    return forge.refused(code, forge.encode(bundle), _trusting(under))


def entry(bundle: Json) -> Any:
    """Its entry in a transparency log."""
    return bundle["verificationMaterial"]["tlogEntries"][0]


def proof(bundle: Json) -> Any:
    """The entry's inclusion proof."""
    return entry(bundle)["inclusionProof"]


def timestamps(bundle: Json) -> Any:
    """Its timestamps."""
    return bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]


def _trusting(instances: tuple[Sigstore, ...]) -> Trust:
    roots = [instance.root(f"root {number}") for number, instance in enumerate(instances)]
    return Trust(sigstore={root.name: root for root in roots})
