"""What the gate's verifier says of a bundle, under the trusted root of an instance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from oms_gate.oms.trust import SigstoreRoot, Trust
from oms_gate.oms.verify import VerifiedSignature
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.sigstore.instance import Sigstore
from tests.sigstore.trust import Json

PAYLOAD = forge.encode(forge.statement())
# Bundles are made about `NOW` and verified the day after.
AT = forge.NOW + timedelta(days=1)


def admitted(bundle: Json, *under: Sigstore | SigstoreRoot) -> VerifiedSignature:
    """Assert that the bundle verifies under one of the instances or roots."""
    return forge.checked(forge.encode(bundle), _trusting(under), at=AT)


def refused(
    bundle: Json,
    *under: Sigstore | SigstoreRoot,
    code: ReasonCode = ReasonCode.SIGSTORE_INVALID,
) -> str:
    """Assert that it does not; the message."""
    return forge.refused(code, forge.encode(bundle), _trusting(under), at=AT)


def entry(bundle: Json) -> Any:
    """Its entry in a transparency log."""
    return bundle["verificationMaterial"]["tlogEntries"][0]


def proof(bundle: Json) -> Any:
    """The entry's inclusion proof."""
    return entry(bundle)["inclusionProof"]


def timestamps(bundle: Json) -> Any:
    """Its timestamps."""
    return bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]


def _trusting(under: tuple[Sigstore | SigstoreRoot, ...]) -> Trust:
    roots = [
        one if isinstance(one, SigstoreRoot) else one.root(f"root {number}")
        for number, one in enumerate(under)
    ]
    return Trust(sigstore={root.name: root for root in roots})
