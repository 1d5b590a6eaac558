"""A publication: the revision that is to be, and whether the gate lets it out."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from oms_gate.check import Check
from oms_gate.errors import StepError, machine_failure
from oms_gate.gate import Gate
from oms_gate.inspection.findings import Findings
from oms_gate.inspection.inspect import inspect
from oms_gate.oms.manifest import Resource, whole_digests, whole_sha256
from oms_gate.policy.kinds import INERT
from oms_gate.publish.consistency import inconsistencies
from oms_gate.publish.rollback import rollback
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Reason, Verdict

if TYPE_CHECKING:
    from oms_gate.oms.digests import HashType
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
    earlier: gives the SHA-256, in hex, of what the signatures stated that were there before the
        present one.
    ignored: paths in the publisher's folder that a ``.gitignore`` file leaves out, and that look as
        if they were meant.
    unvouched: why nobody vouches for what is there and stays, if somebody was to.
    gone: paths of what is there and would be gone, although nobody said so.
    """

    target: Reference
    result: Snapshot
    sent: Collection[str]
    left_out: Callable[[str], str | None] = lambda _: None
    published: Snapshot | None = None
    earlier: Callable[[], Iterable[str]] = tuple
    ignored: Collection[str] = ()
    unvouched: str | None = None
    gone: Collection[str] = ()


@dataclass(frozen=True)
class Judgement:
    """The verdict on a publication, and what it is to consist of.

    signed: the signed resources of each file, by its path; empty if there is no valid signature.
    """

    verdict: Verdict
    signed: Mapping[str, tuple[Resource, ...]]
    hash_type: HashType | None
    signature: SignatureFile | None

    def kept(self, gate: Gate) -> Judgement:
        """The same once evidence of its verdict is kept: no more is to be found."""
        return replace(self, verdict=gate.keep(self.verdict, OPERATION))

    def sha256_of(self, path: str) -> str | None:
        """The signed SHA-256 of a whole file, in hex; None if it was not signed so."""
        return whole_sha256(self.signed.get(path, ()), self.hash_type)


def judge(
    gate: Gate,
    publication: Publication,
    *,
    assurance: Assurance | None = None,
    on_progress: ProgressCallback | None = None,
) -> Judgement:
    """Say whether something may be published. Everything is reported, not only the first finding.

    The policy is asked about the target, with ``operation: publish`` in the context of its input.
    What is denied is not published, in whatever mode the gate is.

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
    gate.mode = "enforce"
    # However large: it is read here, and not from a store.
    gate.limits = gate.limits.model_copy(update={"small_file_bytes": sys.maxsize})
    check = Check(
        gate,
        publication.target,
        assurance,
        OPERATION,
        records=False,
        keeps=False,
        report_all=True,
        on_progress=on_progress,
    )
    verdict = check.end(lambda: result)
    found = _found(lambda: inspect(result, sent, gate.publish, gate.limits))
    explained = tuple(_explained(gate, verdict, publication))
    reasons = [*found.reasons, *explained]
    if check.comparison is not None and check.hash_type is not None:
        signed = whole_digests(check.comparison.signed, check.hash_type)
        reasons += _found(lambda: Findings(tuple(inconsistencies(gate, result, signed)))).reasons
    if check.found is not None and verdict.signature is not None:
        reasons += rollback(gate, publication, check.found.content, verdict.signature)
    return Judgement(
        verdict.with_findings(
            reasons,
            (*found.warnings, *_ignored(publication)),
            {reason.path for reason in explained},
        ),
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


def _found(look: Callable[[], Findings]) -> Findings:
    """What comes of a look into files, be it that they cannot be read."""
    try:
        return look()
    except StepError as error:
        return Findings((error.reason,))
    except OSError as error:
        return Findings((machine_failure(error),))


def _ignored(publication: Publication) -> Iterator[Reason]:
    if publication.ignored:
        example = min(publication.ignored)
        yield Reason(
            code=ReasonCode.PUBLISH_LEFT_OUT,
            message=f"{example}{_more(publication.ignored)} would not be sent: the .gitignore file "
            "leaves that out; see whether it is meant",
            path=example,
        )


def _more(paths: Collection[str]) -> str:
    """The others, after one was named."""
    others = len(paths) - 1
    return "" if not others else f" and {others} more file{'s' * (others > 1)}"


def _explained(gate: Gate, verdict: Verdict, publication: Publication) -> Iterator[Reason]:
    """Why files are missing or too many there, although the folder is as it was signed."""
    target, there = publication.target.url, publication.published
    signature = gate.signature.location
    if signature not in publication.sent and (what := publication.left_out(signature)):
        yield Reason(
            code=ReasonCode.PUBLISH_LEFT_OUT,
            message=f"{signature} would not be sent: {what} leaves it out, so what is published "
            "would not be signed; let it be sent",
            path=signature,
        )
    if publication.gone:
        example = min(publication.gone)
        yield Reason(
            code=ReasonCode.PUBLISH_GONE,
            message=f"{example}{_more(publication.gone)} of the present release at {target} would "
            "be gone; publish the whole model, or say what is to go (--delete)",
            path=example,
        )
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
    why = publication.unvouched
    vouched = "" if why is None else f" (the signature there vouches for none of it: {why})"
    for file in coverage.unsigned:
        stays = there is not None and file.path in there.files
        if stays and file.path not in publication.sent and file.kind not in INERT:
            yield Reason(
                code=ReasonCode.PUBLISH_LEFT_BEHIND,
                message=f"{file.path} is at {target} now and would stay there, but the signature "
                f"does not cover it{vouched}; delete it in the same step (--delete of an upload, "
                "git rm before a push), or publish the whole model with it",
                path=file.path,
            )
