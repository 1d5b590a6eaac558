"""A look at a model that is about to be annotated: the verdict, and which files it vouches for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from oms_gate.check import Check
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Verdict

_CONTEXT: Final = {"operation": "proxy"}


@dataclass(frozen=True)
class Examined:
    """A model that was checked.

    reference: as it was asked for.
    snapshot: what was listed, closed; None where nothing could be.
    vouched: paths of the files that are what an allowed signer has signed, at the versions that
        were listed; empty unless the model is admitted.
    """

    reference: Reference
    verdict: Verdict
    snapshot: Snapshot | None
    vouched: frozenset[str]

    def state(self, *, tagged: bool) -> str:
        """What `oms_gate.annotation.state` gives while the model stays as it was checked.

        tagged: whether its files have the tags of this verdict.
        """
        assert self.snapshot is not None
        if not tagged:
            return state_of(self.snapshot.revision, {})
        return state_of(
            self.snapshot.revision,
            {path: outcome(admitted=path in self.vouched) for path in self.snapshot.files},
        )


def examine(
    gate: Gate,
    reference: Reference,
    *,
    assurance: Assurance = Assurance.BYTES,
    on_progress: ProgressCallback | None = None,
) -> Examined:
    """Check a model for those who will read it past the gate.

    The policy is told that the operation is ``proxy``: whoever is let read it may be anybody.

    assurance: how far to look, at least; the gate's own counts where that is further.

    Raises:
        ConfigError: its store cannot be opened as it is configured.
    """
    with gate.held() as held:
        wanted = max(held.assurance, assurance, key=lambda level: level.rank)
        check = Check(held, reference, wanted, _CONTEXT, on_progress=on_progress)
        verdict = check.end()
    vouched: frozenset[str] = frozenset()
    proven = verdict.assurance is not None and verdict.assurance.rank >= assurance.rank
    if verdict.admitted and proven and check.comparison is not None:
        # The signature and the attestations were read and verified, too.
        verified = (file.path for file, scope in check.comparison.ignored if scope == "signature")
        vouched = frozenset({*check.comparison.signed, *verified})
    return Examined(reference, verdict, check.snapshot, vouched)


def outcome(*, admitted: bool) -> str:
    """An outcome, as tags and states have it."""
    return "admitted" if admitted else "denied"


def state_of(revision: str, outcomes: Mapping[str, str | None]) -> str:
    """A digest over a listing and what its files are tagged as."""
    digest = hashlib.sha256(revision.encode())
    for path, tagged in sorted(outcomes.items()):
        digest.update(f"\0{path}\0{tagged or ''}".encode())
    return digest.hexdigest()
