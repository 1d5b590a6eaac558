"""A signature that is older than what is published now: somebody's mistake, or an attack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oms_gate.errors import StepError
from oms_gate.gate import Gate
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason, ReasonCode, Signature

if TYPE_CHECKING:
    from oms_gate.publish.publication import Publication


def rollback(
    gate: Gate, publication: Publication, bundle: bytes, signature: Signature
) -> Iterator[Reason]:
    """A reason if the signature to be published is one that was replaced, or is older.

    bundle, signature: what is to be published, verified.
    """
    if publication.published is None:
        return
    target = publication.target.url
    try:
        present = _present(gate, publication.published)
        if present == bundle:
            return
        replaced = hashlib.sha256(bundle).hexdigest() in publication.earlier()
    except StepError as error:
        yield error.reason
        return
    if replaced:
        yield Reason(
            code=ReasonCode.PUBLISH_ROLLBACK,
            message=f"{target} had this very signature before it got the present one, so it would "
            "go back to an older release; if that is meant, sign it as it is published (--sign), or "
            "say why in a file of the model, and sign that",
        )
        return
    proven, before = _first(signature), None if present is None else _signed_at(gate, present)
    if proven is not None and before is not None and proven < before:
        yield Reason(
            code=ReasonCode.PUBLISH_ROLLBACK,
            message=f"the model was signed at {_time(proven)}, and what is at {target} was signed "
            f"later, at {_time(before)}; if the older one is to take its place, sign it anew",
        )


def _present(gate: Gate, published: Snapshot) -> bytes | None:
    """The signature that is published now; None if there is none, or none of a usable size."""
    if gate.signature.location not in published.files:
        return None
    return published.read(gate.signature.location, gate.limits.bundle_bytes)


def _signed_at(gate: Gate, bundle: bytes) -> datetime | None:
    """When a signature that the gate trusts was made; None where nothing proves it."""
    from oms_gate.oms.verify import verify

    try:
        verified = verify(bundle, gate.trust, at=datetime.now(UTC), limits=gate.limits)
    except StepError:
        return None
    return _first(verified.summary(gate.signature.location))


def _first(signature: Signature) -> datetime | None:
    return min((proof.time for proof in signature.times), default=None)


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
