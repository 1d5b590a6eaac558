"""What objects of S3 are tagged with: the verdict in short, beside the tags of others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from oms_gate.annotation.examination import outcome
from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict

OUTCOME: Final = "oms-gate"
"""The tag that says ``admitted`` or ``denied``; bucket policies go by it."""

# Most important first: an object has ten tags at most, and others may have most of them.
_OWN = (OUTCOME, "oms-gate-root", "oms-gate-reason", "oms-gate-signer", "oms-gate-checked")
_MOST_TAGS = 10
_SIGNER_CHARACTERS = 128
# Of letters other than these, S3 and its kin differ in what they take.
_NO_TAG_CHARACTER = re.compile(r"[^A-Za-z0-9 +\-=._:/@]")

Tags = Mapping[str, str]


def tags_of(verdict: Verdict, *, admitted: bool) -> Tags:
    """The gate's tags for a file of a model.

    admitted: whether the verdict vouches for this file.
    """
    tags = {OUTCOME: outcome(admitted=admitted)}
    if admitted and verdict.signature is not None and verdict.signer is not None:
        tags["oms-gate-root"] = verdict.signature.root_digest
        short = verdict.signer.identity[:_SIGNER_CHARACTERS]
        tags["oms-gate-signer"] = _NO_TAG_CHARACTER.sub("_", short)
    if not admitted:
        # What no signature covers is no part of an admitted model.
        code = verdict.reasons[0].code if verdict.reasons else ReasonCode.COVERAGE_UNSIGNED
        tags["oms-gate-reason"] = code
    tags["oms-gate-checked"] = f"{verdict.checked_at:%Y-%m-%dT%H:%M:%SZ}"
    return tags


def merged(present: Iterable[Mapping[str, str]], own: Tags, name: str) -> list[Mapping[str, str]]:
    """The tags that an object is to have: those of others as they are, and the gate's.

    present: its ``TagSet``; what it has of the gate's is replaced.
    name: the object's.

    Raises:
        StoreError: others have taken all the room.
    """
    others = [tag for tag in present if tag["Key"] not in _OWN]
    room = _MOST_TAGS - len(others)
    if own and room < 1:
        raise StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{name} has {len(others)} tags of others, and S3 allows no more, so the verdict "
            "cannot be written to it; remove one of them",
            path=name,
        )
    kept = [key for key in _OWN if key in own][:room]
    return [*others, *({"Key": key, "Value": own[key]} for key in kept)]


def outcome_in(present: Iterable[Mapping[str, str]]) -> str | None:
    """What an object is tagged as, by its ``TagSet``."""
    return next((tag["Value"] for tag in present if tag["Key"] == OUTCOME), None)
