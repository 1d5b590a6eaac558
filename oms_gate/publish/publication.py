"""A publication: the revision that is to be, and whether the gate lets it out."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oms_gate.check import Check
from oms_gate.errors import StepError, machine_failure
from oms_gate.gate import Gate
from oms_gate.inspection.findings import Findings
from oms_gate.inspection.inspect import inspect
from oms_gate.policy.kinds import INERT
from oms_gate.publish.rollback import rollback
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Reason, ReasonCode, Verdict

if TYPE_CHECKING:
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Resource
    from oms_gate.signature_file import SignatureFile

OPERATION: Final = {"operation": "publish"}
"""What the context of the policy's input says of a publication."""


@dataclass(frozen=True)
class Publication:
    """What is about to be published: a whole revision, and what of it is sent for that.

    target: where to; what policy goes by.
    result: the revision that is to be, listed under the target's name.
    sent: paths of it whose content is sent; all others are there already.
    left_out: says what leaves a path out of what is sent, to complete "... leaves it out"; None
        if nothing does.
    published: what is there now; None if nothing is.
    earlier: gives the SHA-256, in hex, of the signature files that were there before the present.
    """

    target: Reference
    result: Snapshot
    sent: Collection[str]
    left_out: Callable[[str], str | None] = lambda _: None
    published: Snapshot | None = None
    earlier: Callable[[], Iterable[str]] = tuple


@dataclass(frozen=True)
class Judgement:
    """The verdict on a publication, and what it is to consist of.

    signed: the signed resources of each file, by its path; empty if there is no valid signature.
    """

    verdict: Verdict
    signed: Mapping[str, tuple[Resource, ...]]
    hash_type: HashType | None
    signature: SignatureFile | None


def judge(
    gate: Gate,
    publication: Publication,
    *,
    assurance: Assurance | None = None,
    on_progress: ProgressCallback | None = None,
) -> Judgement:
    """Say whether something may be published. Everything is reported, not only the first finding.

    The policy is asked about the target, with ``operation: publish`` in the context of its input.

    assurance: how far to look; None to read everything that is sent, and of the rest, which is
        there already, what its store declares.

    Raises:
        UsageError, ConfigError: as `Gate.check`.
    """
    result, sent = publication.result, publication.sent
    if assurance is None:
        complete = len(sent) == len(result.files)
        assurance = Assurance.BYTES if complete else Assurance.DECLARED
    gate = copy.copy(gate)
    # However large: it is read here, and not from a store.
    gate.limits = gate.limits.model_copy(update={"small_file_bytes": sys.maxsize})
    check = Check(gate, publication.target, assurance, OPERATION, True, on_progress)
    verdict = check.end(lambda: result)
    found = _inspected(gate, publication)
    reasons = [*found.reasons, *_explained(verdict, publication)]
    if check.found is not None and verdict.signature is not None:
        reasons += rollback(gate, publication, check.found.content, verdict.signature)
    return Judgement(
        verdict.with_findings(reasons, found.warnings),
        {} if check.comparison is None else check.comparison.signed,
        check.hash_type,
        check.found,
    )


def refusal(gate: Gate, target: Reference, error: StepError | OSError) -> Verdict:
    """The verdict on what could not be judged, or not be published in the end.

    No mode lets that through: nothing is published.
    """
    gate = copy.copy(gate)
    gate.mode = "enforce"

    def listing() -> Snapshot:
        raise error

    return Check(gate, target, gate.assurance, OPERATION).end(listing)


def _inspected(gate: Gate, publication: Publication) -> Findings:
    try:
        return inspect(publication.result, publication.sent, gate.publish, gate.limits)
    except StepError as error:
        return Findings((error.reason,))
    except OSError as error:
        return Findings((machine_failure(error),))


def _explained(verdict: Verdict, publication: Publication) -> Iterator[Reason]:
    """Why files are missing or too many there, although the folder is as it was signed."""
    coverage = verdict.coverage
    if coverage is None:
        return
    # Of what is left out, another one may be there.
    others = {
        reason.path
        for reason in verdict.reasons
        if reason.path is not None
        and reason.code in (ReasonCode.FILE_CHANGED, ReasonCode.FILE_SIZE)
    }
    for path in (*coverage.missing, *sorted(others - {*publication.sent})):
        if what := publication.left_out(path):
            yield Reason(
                code=ReasonCode.PUBLISH_LEFT_OUT,
                message=f"{path} is signed, but would not be sent: {what} leaves it out; sign the "
                "model without it, or let it be sent",
                path=path,
            )
    there = publication.published.files if publication.published is not None else {}
    for file in coverage.unsigned:
        stays = file.path in there and file.path not in publication.sent
        if stays and file.kind not in INERT:
            yield Reason(
                code=ReasonCode.PUBLISH_LEFT_BEHIND,
                message=f"{file.path} is at {publication.target.url} now and would stay there, but "
                "the signature does not cover it; delete it in the same step (--delete of an "
                "upload, git rm before a push), or sign the model with it",
                path=file.path,
            )
