"""Relying on another gate's verification summary in place of hashing the bytes of a model.

The place where summaries lie is trusted with nothing. What a summary must say is known before it
is read: it is about this model at this immutable revision, its signature, the digests that were
signed, and the policy that has just decided here; somebody who is expected has signed it, and not
long ago.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from oms_gate.errors import ConfigError, EvidenceError, SignatureError, StoreError
from oms_gate.evidence.gates import is_by
from oms_gate.evidence.summary import LEVELS, Subject, Summary, read_summary
from oms_gate.evidence_settings import SUMMARY_ENDING, AcceptedVerifier
from oms_gate.limits import Limits
from oms_gate.oms.attestation import VerifiedAttestation, verify_attestation
from oms_gate.oms.quoting import quoted
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, within
from oms_gate.verdict import AcceptedSummary, Assurance, PolicyUsed, Reason

_UNREADABLE: Final = frozenset(
    {
        ReasonCode.SIGNATURE_TOO_LARGE,
        ReasonCode.BUNDLE_MALFORMED,
        ReasonCode.BUNDLE_UNSUPPORTED,
        ReasonCode.STATEMENT_MALFORMED,
    }
)

# What an OPA server's revision is where its bundles have none: the address of the decision.
_URLS: Final = ("http://", "https://", "unix://")

OpenSnapshot = Callable[[Reference], Snapshot]


@dataclass(frozen=True)
class SummaryReader:
    """Looks for a summary that says that every signed byte of a model was hashed.

    accepted: whose, and where they are.
    open_snapshot: lists what is where they are.
    trust: what their signatures are verified with.
    at: the time of this check.
    """

    accepted: Sequence[AcceptedVerifier]
    open_snapshot: OpenSnapshot
    trust: Trust
    at: datetime
    limits: Limits

    def find(
        self, snapshot: Snapshot, subject: Subject, policy: PolicyUsed
    ) -> tuple[AcceptedSummary | None, tuple[Reason, ...]]:
        """The first summary that can be relied on, if one can; and why the others cannot.

        snapshot: the model.
        policy: that has decided about it, with which it is admitted.

        Raises:
            ConfigError: a place cannot be opened as it is configured.
        """
        if not snapshot.immutable:
            return None, (_mutable(subject.model.url),)
        refused: list[Reason] = []
        for gate in self.accepted:
            if gate.folder is None:
                continue
            place = _place(gate.folder, subject)
            try:
                return self._relied_on(gate, place, subject, policy), tuple(refused)
            except EvidenceError as error:
                message = (
                    f"the summary {place} does not count: {error.reason.message}; what it "
                    "would have spared is hashed here"
                )
                refused.append(Reason(code=error.reason.code, message=message))
        return None, tuple(refused)

    def _relied_on(
        self, gate: AcceptedVerifier, place: str, subject: Subject, policy: PolicyUsed
    ) -> AcceptedSummary:
        content = self._content(place)
        attestation = self._verified(gate, content)
        summary = read_summary(attestation)
        _check_verifier(summary, gate)
        _check_result(summary)
        _check_subject(summary, subject)
        check_policy(summary, policy)
        _check_time(summary, gate, self.at)
        return AcceptedSummary(
            verifier=summary.verifier,
            location=place,
            sha256=hashlib.sha256(content).hexdigest(),
            signer=attestation.signer,
            levels=summary.levels,
            verified_at=datetime.fromtimestamp(summary.time, UTC),
        )

    def _content(self, place: str) -> bytes:
        try:
            snapshot = self.open_snapshot(Reference.parse(place))
            if not snapshot.single:
                raise EvidenceError(ReasonCode.SUMMARY_UNAVAILABLE, "it is a folder")
            path = next(iter(snapshot.files))
            limit = self.limits.bundle_bytes
            content = within(self.limits.listing_seconds, lambda: snapshot.read(path, limit))
        except ConfigError as error:
            raise ConfigError(f"the place of summaries {place} cannot be used: {error}") from error
        except StoreError as error:
            missing = error.reason.code is ReasonCode.STORE_NOT_FOUND
            fault = "there is none" if missing else f"it cannot be read ({error.reason.message})"
            raise EvidenceError(ReasonCode.SUMMARY_UNAVAILABLE, fault) from error
        if content is None:
            raise EvidenceError(
                ReasonCode.SUMMARY_MALFORMED,
                f"it is larger than {limit} bytes (limits.bundle_bytes)",
            )
        return content

    def _verified(self, gate: AcceptedVerifier, content: bytes) -> VerifiedAttestation:
        try:
            verified = verify_attestation(content, self.trust, at=self.at, limits=self.limits)
        except SignatureError as error:
            unreadable = error.reason.code in _UNREADABLE
            raise EvidenceError(
                ReasonCode.SUMMARY_MALFORMED if unreadable else ReasonCode.SUMMARY_UNTRUSTED,
                error.reason.message,
            ) from error
        if not any(is_by(known, verified.signer) for known in gate.signers):
            raise EvidenceError(
                ReasonCode.SUMMARY_UNTRUSTED,
                f"it was signed by {quoted(verified.signer.identity)} (root "
                f"{quoted(verified.signer.root.name)}), who is none of the signers of "
                f"{gate.verifier}",
            )
        return verified


def _place(folder: str, subject: Subject) -> str:
    """Where a summary is to be: the file that is named, or the one of this name in the folder."""
    if folder.endswith(SUMMARY_ENDING):
        return folder
    return f"{folder.rstrip('/')}/{subject.name(Assurance.BYTES)}"


def _mutable(url: str) -> Reason:
    return Reason(
        code=ReasonCode.SUMMARY_MUTABLE,
        message=f"no summary counts for {url}: its store names no revision that can never be other "
        "bytes, as a commit of the Hub is, or a version or SHA-256 of every object in S3; every "
        "byte is hashed here instead",
    )


def _check_verifier(summary: Summary, gate: AcceptedVerifier) -> None:
    if summary.verifier != gate.verifier:
        raise EvidenceError(
            ReasonCode.SUMMARY_UNTRUSTED,
            f"it says that it is by {quoted(summary.verifier)}, and its signer counts for "
            f"{gate.verifier} only",
        )


def _check_result(summary: Summary) -> None:
    if summary.result != "PASSED":
        raise EvidenceError(
            ReasonCode.SUMMARY_INSUFFICIENT, f"its result is {quoted(summary.result)}, not PASSED"
        )
    if LEVELS[Assurance.BYTES] not in summary.levels:
        found = ", ".join(map(quoted, summary.levels)) or "none"
        raise EvidenceError(
            ReasonCode.SUMMARY_INSUFFICIENT,
            f"it has the level {found}, and not {LEVELS[Assurance.BYTES]}: not every byte was "
            "hashed",
        )


def _check_subject(summary: Summary, subject: Subject) -> None:
    model, found = subject.model, None
    if summary.resource != model.url:
        found = f"it is about {quoted(summary.resource)}, and not about {model.url}"
    elif summary.revision != model.revision:
        found = f"it is about the revision {quoted(summary.revision)}, and not {model.revision}"
    elif subject.signature.sha256 not in summary.inputs:
        found = "another signature file was verified for it"
    elif summary.digests != subject.digests:
        found = "what it is about has other digests than were signed"
    if found is not None:
        raise EvidenceError(ReasonCode.SUMMARY_OTHER_MODEL, found)


def check_policy(summary: Summary, policy: PolicyUsed) -> None:
    """
    Raises:
        EvidenceError: ``summary.other-policy``, it need not be the one that has decided here.
    """
    if (summary.engine, summary.policy) != (policy.engine, policy.revision):
        raise EvidenceError(
            ReasonCode.SUMMARY_OTHER_POLICY,
            f"another policy decided for it: {quoted(summary.policy)} ({quoted(summary.engine)}), "
            f"where this gate's is {policy.revision} ({policy.engine})",
        )
    if policy.engine == "server" and policy.revision.startswith(_URLS):
        raise EvidenceError(
            ReasonCode.SUMMARY_OTHER_POLICY,
            "the OPA server does not say which revision of its bundles decides, so it may be "
            "another policy; have it load bundles with revisions",
        )


def _check_time(summary: Summary, gate: AcceptedVerifier, now: datetime) -> None:
    age = now.timestamp() - summary.time
    if age < -gate.skew_seconds:
        raise EvidenceError(
            ReasonCode.SUMMARY_EXPIRED,
            f"it is from the future, by {-age:.0f} seconds (skew_seconds: {gate.skew_seconds:g}); "
            "see to the clocks",
        )
    if age > gate.max_age_seconds:
        raise EvidenceError(
            ReasonCode.SUMMARY_EXPIRED,
            f"it is {age:.0f} seconds old (max_age_seconds: {gate.max_age_seconds:g}); that gate "
            "has to look again",
        )
