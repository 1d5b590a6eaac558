"""The codes of reasons: why a model was denied."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a model was denied. Stable: ``docs/reasons.md`` gives cause and cure of each."""

    # The signature itself.
    SIGNATURE_MISSING = "signature.missing"
    SIGNATURE_TOO_LARGE = "signature.too-large"
    SIGNATURE_NOT_PINNED = "signature.not-pinned"
    BUNDLE_MALFORMED = "bundle.malformed"
    BUNDLE_UNSUPPORTED = "bundle.unsupported"
    STATEMENT_MALFORMED = "statement.malformed"
    STATEMENT_UNSAFE_NAME = "statement.unsafe-name"
    STATEMENT_ROOT_DIGEST = "statement.root-digest"
    SIGNATURE_INVALID = "signature.invalid"
    TRUST_NOT_CONFIGURED = "trust.not-configured"
    KEY_UNTRUSTED = "key.untrusted"
    CERTIFICATE_UNTRUSTED = "certificate.untrusted"
    CERTIFICATE_EXPIRED = "certificate.expired"
    CERTIFICATE_NOT_YET_VALID = "certificate.not-yet-valid"
    CERTIFICATE_UNSUITABLE = "certificate.unsuitable"
    SIGSTORE_INVALID = "sigstore.invalid"

    # The signed manifest against the files.
    COVERAGE_MISSING = "coverage.missing"
    COVERAGE_UNSIGNED = "coverage.unsigned"
    COVERAGE_IGNORED = "coverage.ignored"
    FILE_CHANGED = "file.changed"
    FILE_SIZE = "file.size"
    ASSURANCE_UNAVAILABLE = "assurance.unavailable"

    # The publisher and the policy.
    PUBLISHER_UNKNOWN = "publisher.unknown"
    PUBLISHER_WRONG_SIGNER = "publisher.wrong-signer"
    PUBLISHER_EXPIRED_SIGNER = "publisher.expired-signer"
    POLICY_DENIED = "policy.denied"
    POLICY_UNDEFINED = "policy.undefined"
    POLICY_ILL_TYPED = "policy.ill-typed"
    POLICY_ERROR = "policy.error"
    POLICY_TIMEOUT = "policy.timeout"
    POLICY_UNREACHABLE = "policy.unreachable"
    POLICY_CIRCUIT_OPEN = "policy.circuit-open"
    POLICY_UNLOGGED = "policy.unlogged"

    # What was remembered of the model.
    HISTORY_SIGNER_CHANGED = "history.signer-changed"
    HISTORY_ROLLBACK = "history.rollback"
    HISTORY_UNREADABLE = "history.unreadable"

    # What the policy requires besides.
    REQUIREMENT_TIME = "requirement.time"
    REQUIREMENT_LOG = "requirement.log"
    REQUIREMENT_AGE = "requirement.age"
    REQUIREMENT_HASH_TYPE = "requirement.hash-type"
    REQUIREMENT_FORMAT = "requirement.format"
    REQUIREMENT_CLAIMS = "requirement.claims"
    ATTESTATION_UNRELATED = "attestation.unrelated"
    ATTESTATION_TOO_MANY = "attestation.too-many"
    ATTESTATION_MISSING = "attestation.missing"
    ATTESTATION_UNMET = "attestation.unmet"
    BOM_UNSIGNED = "bom.unsigned"
    BOM_MALFORMED = "bom.malformed"
    BOM_TOO_LARGE = "bom.too-large"
    BOM_TOO_MANY = "bom.too-many"
    BOM_MISSING = "bom.missing"

    # The store.
    STORE_NOT_FOUND = "store.not-found"
    STORE_REVISION_NOT_FOUND = "store.revision-not-found"
    STORE_FORBIDDEN = "store.forbidden"
    STORE_GATED = "store.gated"
    STORE_RENAMED = "store.renamed"
    STORE_UNAVAILABLE = "store.unavailable"
    STORE_PROTOCOL = "store.protocol"
    STORE_CHANGED = "store.changed"
    STORE_TOO_SLOW = "store.too-slow"
    STORE_REDIRECT_REFUSED = "store.redirect-refused"
    STORE_UNSAFE_FILE = "store.unsafe-file"
    STORE_TOO_MANY_FILES = "store.too-many-files"

    # What is about to be published.
    PUBLISH_SECRET = "publish.secret"  # noqa: S105 - a code
    PUBLISH_TRUST_ANCHOR = "publish.trust-anchor"
    PUBLISH_FORMAT = "publish.format"
    PUBLISH_LEFT_OUT = "publish.left-out"
    PUBLISH_LEFT_BEHIND = "publish.left-behind"
    PUBLISH_GONE = "publish.gone"
    PUBLISH_INCOMPLETE = "publish.incomplete"
    PUBLISH_STALE_SIGNATURE = "publish.stale-signature"
    PUBLISH_ROLLBACK = "publish.rollback"

    # The pod that uses models.
    POD_MODEL_UNKNOWN = "pod.model-unknown"
    POD_UNVERIFIED_PATH = "pod.unverified-path"
    POD_CHANGED = "pod.changed"
    POD_MALFORMED = "pod.malformed"

    # What is left of verdicts.
    EVIDENCE_UNWRITTEN = "evidence.unwritten"
    SUMMARY_UNAVAILABLE = "summary.unavailable"
    SUMMARY_MUTABLE = "summary.mutable"
    SUMMARY_MALFORMED = "summary.malformed"
    SUMMARY_UNTRUSTED = "summary.untrusted"
    SUMMARY_INSUFFICIENT = "summary.insufficient"
    SUMMARY_OTHER_MODEL = "summary.other-model"
    SUMMARY_OTHER_POLICY = "summary.other-policy"
    SUMMARY_EXPIRED = "summary.expired"

    # The gate and its machine.
    GUARD_FOLDER = "guard.folder"
    GUARD_UNCHECKED = "guard.unchecked"
    CACHE_CHANGED = "cache.changed"
    DEADLINE_EXCEEDED = "gate.deadline-exceeded"
    GATE_BUSY = "gate.busy"
    CLUSTER_UNAVAILABLE = "gate.cluster-unavailable"
    GATE_MISCONFIGURED = "gate.misconfigured"
    DISK_FULL = "gate.disk-full"
    SYSTEM_IO = "gate.system-io"
    INTERNAL_ERROR = "gate.internal-error"

    @property
    def undecided(self) -> bool:
        """Whether the gate could not come to a decision, as opposed to having decided."""
        return self in _UNDECIDED

    @property
    def of_store(self) -> bool:
        """Whether it is about the store: what that is in a moment, or to another, may differ."""
        return self.startswith("store.")


_UNDECIDED = frozenset(
    {
        ReasonCode.POLICY_ERROR,
        ReasonCode.POLICY_TIMEOUT,
        ReasonCode.POLICY_UNREACHABLE,
        ReasonCode.POLICY_CIRCUIT_OPEN,
        ReasonCode.POLICY_UNLOGGED,
        ReasonCode.HISTORY_UNREADABLE,
        ReasonCode.STORE_NOT_FOUND,
        ReasonCode.STORE_REVISION_NOT_FOUND,
        ReasonCode.STORE_FORBIDDEN,
        ReasonCode.STORE_GATED,
        ReasonCode.STORE_UNAVAILABLE,
        ReasonCode.EVIDENCE_UNWRITTEN,
        ReasonCode.DEADLINE_EXCEEDED,
        ReasonCode.GATE_BUSY,
        ReasonCode.CLUSTER_UNAVAILABLE,
        ReasonCode.GATE_MISCONFIGURED,
        ReasonCode.DISK_FULL,
        ReasonCode.SYSTEM_IO,
        ReasonCode.INTERNAL_ERROR,
    }
)
