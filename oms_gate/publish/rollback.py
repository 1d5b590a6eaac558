"""A signature that is older than what is published now: somebody's mistake, or an attack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oms_gate.errors import SignatureError, StepError
from oms_gate.gate import Gate
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason, Signature

if TYPE_CHECKING:
    from oms_gate.publish.publication import Publication


def rollback(
    gate: Gate, publication: Publication, bundle: bytes, signature: Signature
) -> Iterator[Reason]:
    """A reason if what is to be published was there before, or is older than what is there.

    bundle, signature: what is to be published, verified.
    """
    target, published = publication.target.url, publication.published
    statement = statement_digest(bundle, gate.limits) or ""
    try:
        # What was there before counts too where what was there last has been removed.
        present = None if published is None else _present(gate, published)
        if present is not None and statement_digest(present, gate.limits) == statement:
            return
        proven, before = _first(signature), None if present is None else _signed_at(gate, present)
        if proven is None or before is None:
            replaced, older = statement in publication.earlier(), False
        else:
            replaced, older = False, proven < before
    except StepError as error:
        yield error.reason
        return
    if replaced:
        yield Reason(
            code=ReasonCode.PUBLISH_ROLLBACK,
            message=f"{target} had what this signature states before it got a later one, so it "
            "would go back to an older release; if that is meant, sign it as it is published "
            "(--sign), or say why in a file of the model, and sign that",
        )
    if older:
        yield Reason(
            code=ReasonCode.PUBLISH_ROLLBACK,
            message=f"the model was signed at {_time(proven)}, and what is at {target} was signed "
            f"later, at {_time(before)}; if the older one is to take its place, sign it anew",
        )


def statement_digest(bundle: bytes, limits: Limits) -> str | None:
    """SHA-256, in hex, of what a signature file states; None where it is none.

    The file itself can be spelled otherwise, and the signature too, by who has no key.
    """
    try:
        return hashlib.sha256(parse_bundle(bundle, limits).payload).hexdigest()
    except SignatureError:
        return None


def _present(gate: Gate, published: Snapshot) -> bytes | None:
    """The signature file that is published now; None if there is none, or none of a usable size.

    Raises:
        StoreError: the store fails.
    """
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


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
