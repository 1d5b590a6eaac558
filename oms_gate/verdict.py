"""The verdict: what the gate decided about one model, why, and what it saw.

A verdict is data. The same JSON document (its schema is in ``docs/verdict.schema.json``) comes
from the command line, the library, and every service built on them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from oms_gate.reason_codes import ReasonCode

VERDICT_SCHEMA: Final = "oms-gate/verdict/v1"

VERDICT_FILE: Final = "oms-gate.verdict.json"
"""What the verdict on a model is called in the folder that the model was pulled into."""


_EXPLAINABLE = (ReasonCode.COVERAGE_MISSING, ReasonCode.COVERAGE_UNSIGNED)


def printable(text: str) -> str:
    """Escape what could forge or hide output: control, format and bidirectional characters.

    Names come from strangers; a verdict is read on terminals and in logs.
    """
    if text.isprintable():  # What has to be escaped never is.
        return text
    return "".join(
        character
        if unicodedata.category(character)[0] != "C" and character not in "\u2028\u2029"
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


Printable = Annotated[str, AfterValidator(printable)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reason(_Record):
    """One finding: a stable code and one sentence that says what happened and what to do."""

    code: ReasonCode
    message: Printable
    path: Printable | None = Field(default=None, description="The file it is about, if one.")
    line: int | None = Field(default=None, description="The line in that file, from 1, if one.")
    policy_code: Printable | None = Field(
        default=None, description="The code that a policy of the operator's own gave."
    )


class TrustRoot(_Record):
    """What the signature was checked against: the gate's configuration, never the model's."""

    name: Printable = Field(description="The name that the operator gave to it.")
    sha256: Printable = Field(
        description="SHA-256 of its DER form (of the file, for Sigstore), in hex."
    )


class Signer(_Record):
    """Who signed, as established by a verified signature."""

    method: Literal["key", "certificate", "sigstore"]
    identity: Printable = Field(
        description="The certificate's only subject alternative name; where there is none or more "
        "than one, its subject (RFC 4514). For a key, 'sha256:' and the digest of its SPKI."
    )
    issuer: Printable | None = Field(
        default=None,
        description="Sigstore: the OIDC issuer. Certificate: the issuer's name (RFC 4514).",
    )
    subject: Printable | None = Field(default=None, description="Certificate subject (RFC 4514).")
    alternative_names: tuple[Printable, ...] = ()
    claims: dict[str, Printable] = Field(
        default_factory=dict, description="Fulcio's certificate extensions, by their name."
    )
    chain: tuple[Printable, ...] = Field(
        default=(), description="Subjects from the leaf to the trust root (RFC 4514)."
    )
    expired_at: datetime | None = Field(
        default=None,
        description="Certificate: when the first certificate of the chain expired, if one has. A "
        "timestamp proves that the signature was made before.",
    )
    key_sha256: Printable = Field(description="SHA-256 of the signing key's DER SPKI, in hex.")
    root: TrustRoot


class SignatureTime(_Record):
    """A time at which the signature is proven to have existed."""

    source: Literal["transparency-log", "timestamp-authority"]
    time: datetime


class Signature(_Record):
    """The bundle, verified; or found to be the one that was pinned (see `PolicyUsed`)."""

    location: Printable = Field(description="Path beside the model, or URL.")
    sha256: Printable = Field(description="SHA-256 of the bundle file, in hex.")
    format: Literal["v1.0", "v0.2"] = Field(
        default="v1.0", description="Of OMS; v0.2 is accepted on request only."
    )
    root_digest: Printable = Field(
        description="SHA-256 over the resources' digests, in hex (OMS); in v0.2 nobody signed it."
    )
    serialization: Literal["files", "shards"]
    hash_type: Literal["sha256", "blake2b", "blake3"]
    times: tuple[SignatureTime, ...] = ()
    log_index: int | None = None


class Attestation(_Record):
    """A signed statement about the model beside its signature: verified, and bound to the model."""

    name: Printable = Field(description="What the gate's configuration calls it.")
    path: Printable = Field(description="The file beside the model.")
    sha256: Printable = Field(description="SHA-256 of that file, in hex.")
    predicate_type: Printable = Field(description="What is stated (in-toto), a URI.")
    signer: Signer
    model: bool = Field(
        description="Whether it is about the model as a whole: it states the root digest, or the "
        "digest of the signature file."
    )
    files: tuple[Printable, ...] = Field(
        default=(), description="Signed files that it is about, by their digests."
    )


class AcceptedSummary(_Record):
    """The summary of another gate (SLSA VSA) that stood for hashing the bytes here."""

    verifier: Printable = Field(description="What that gate calls itself, a URI.")
    location: Printable = Field(description="Where the summary is: a path or a URL.")
    sha256: Printable = Field(description="SHA-256 of that file, in hex.")
    signer: Signer
    levels: tuple[Printable, ...] = Field(
        description="What it says to have verified: OMS_BYTES, where every signed byte was hashed."
    )
    verified_at: datetime = Field(description="When, as it says.")


class FileFact(_Record):
    """One file of the listing, as policy and people see it."""

    path: Printable
    size: int | None = Field(default=None, description="Bytes, as the store says.")
    kind: str = Field(description="What it is to a loader: weights, code, config, document, ...")


IgnoreScope = Literal["default", "signer", "signature", "cache"]


class IgnoredFile(FileFact):
    """A file outside the signature's scope."""

    scope: IgnoreScope = Field(
        description="Whose doing that is: the format's (default), the signer's, or that it is the "
        "signature itself or a download client's bookkeeping (cache)."
    )


class Coverage(_Record):
    """The signed manifest against the listing."""

    signed: int = Field(description="Signed files that are present.")
    signed_bytes: int = Field(description="Their total size, as the store says.")
    missing: tuple[Printable, ...] = Field(default=(), description="Signed, but not there.")
    unsigned: tuple[FileFact, ...] = Field(default=(), description="There, but not signed.")
    ignored: tuple[IgnoredFile, ...] = Field(
        default=(), description="There, and outside the signature's scope."
    )
    declared: int = Field(
        default=0, description="Signed files whose digest, as the store declares it, agrees."
    )
    measured: int = Field(default=0, description="Signed files whose bytes were hashed here.")
    measured_bytes: int = Field(default=0, description="Bytes that were hashed here.")


class Delivery(_Record):
    """What was pulled into a folder."""

    folder: Printable = Field(description="Where it is: an absolute path.")
    files: tuple[Printable, ...] = Field(description="Paths in it, of the files of the model.")
    signature: Printable | None = Field(
        default=None, description="Path of the bundle beside them, if one was found."
    )
    bytes: int = Field(description="Size of the files.")
    transferred_bytes: int = Field(
        description="Bytes that came from the store; the rest was there, and was hashed again."
    )
    reused_bytes: int = Field(
        default=0,
        description="Bytes that were here already, of an earlier pull, and were hashed here: of "
        "what the store has now they say nothing.",
    )
    left_out: int = Field(default=0, description="Signed files that patterns have left out.")


class Assurance(StrEnum):
    """How far a verdict reaches, from the least to the most.

    signature: the signature is valid and its signer allowed; nothing is said of the content.
    declared: the store declares of each signed file the digest that was signed; nobody read them,
        and it may deliver something else.
    bytes: every signed byte was hashed here; of a pull, every byte that arrived.

    A model may be admitted with less than is required of it where another gate hashed it, which the
    configuration accepts (`Verdict.summary`).
    """

    SIGNATURE = "signature"
    DECLARED = "declared"
    BYTES = "bytes"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Assurance).index(self)


Operation = Literal["verify", "load", "pull", "admit", "publish", "proxy"]
"""What a model is wanted for: to look at its signature; into a process; into a folder; into a
cluster; into a registry; through a gateway."""


class Model(_Record):
    """The model that was checked."""

    url: Printable = Field(description="The reference, with the revision pinned where it has one.")
    name: Printable = Field(description="What publisher rules match: the URL without a revision.")
    revision: Printable | None = Field(
        default=None, description="Immutable: commit, version, or a digest over the listing."
    )


class PolicyUsed(_Record):
    """The policy that decided.

    pinned: signer and policy were judged elsewhere, for one signature file and no other.
    """

    engine: Literal["wasm", "server", "pinned"]
    revision: Printable = Field(
        description="Digest of policy and data, or what the server says; where it is pinned, the "
        "SHA-256 of that signature file, in hex."
    )
    decision_id: Printable | None = Field(
        default=None,
        description="What the engine's decision log calls this decision, if it has one.",
    )


class Verdict(_Record):
    """The gate's answer about one model."""

    schema_version: Literal["oms-gate/verdict/v1"] = Field(default=VERDICT_SCHEMA, alias="schema")
    outcome: Literal["admitted", "denied"]
    undecided: bool = Field(
        default=False,
        description="Whether it is denied only because the gate could not come to a decision.",
    )
    mode: Literal["enforce", "annotate"] = "enforce"
    model: Model
    assurance: Assurance | None = Field(
        default=None,
        description="What was proven; null where the gate stopped before. Of a delivery, it is "
        "about the files that arrived.",
    )
    reasons: tuple[Reason, ...] = Field(default=(), description="Why denied; empty if admitted.")
    warnings: tuple[Reason, ...] = ()
    signer: Signer | None = Field(
        default=None, description="Null where nobody was verified, as of a pinned signature."
    )
    signature: Signature | None = None
    coverage: Coverage | None = None
    attestations: tuple[Attestation, ...] = ()
    summary: AcceptedSummary | None = Field(
        default=None,
        description="What was relied on in place of hashing the bytes here; null where nothing "
        "was.",
    )
    annotations: dict[Printable, Printable] = Field(default_factory=dict)
    policy: PolicyUsed | None = None
    delivery: Delivery | None = Field(
        default=None, description="What arrived; null where nothing did, or was to."
    )
    timings: dict[str, float] = Field(
        default_factory=dict, description="Seconds spent in each step of the flow."
    )
    checked_at: datetime
    gate_version: Printable

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.admitted == bool(self.reasons):
            raise ValueError("a model is denied if, and only if, there are reasons")
        if self.undecided != (not self.admitted and all(r.code.undecided for r in self.reasons)):
            raise ValueError("a verdict is undecided if, and only if, all its reasons are")
        if self.delivery is not None and not self.lets_through:
            raise ValueError("nothing of a denied model is delivered")
        return self

    @property
    def admitted(self) -> bool:
        """Whether the model passed every check."""
        return self.outcome == "admitted"

    @property
    def lets_through(self) -> bool:
        """Whether the model may be used: admitted, or denied in ``mode: annotate``."""
        return self.admitted or self.mode == "annotate"

    @property
    def is_passing(self) -> bool:
        """Of a denial: whether the store may be as it should be in a moment, not the model."""
        return self.undecided or any(reason.code.of_store for reason in self.reasons)

    def with_findings(
        self,
        reasons: Sequence[Reason],
        warnings: Sequence[Reason],
        explained: Collection[str | None] = (),
    ) -> Verdict:
        """The same verdict with what was found besides; a reason more is one to deny.

        explained: paths of which `reasons` say why the signature does not cover them.
        """
        told = tuple(
            reason
            for reason in self.reasons
            if reason.code not in _EXPLAINABLE or reason.path not in explained
        )
        every = (*told, *reasons)
        found = {
            "outcome": "denied" if every else "admitted",
            "undecided": bool(every) and all(reason.code.undecided for reason in every),
            "reasons": every,
            "warnings": (*self.warnings, *warnings),
            # Of what is denied now, nothing is to arrive.
            "delivery": None if every and self.mode == "enforce" else self.delivery,
        }
        return Verdict(**{**dict(self), **found})

    def to_json(self) -> str:
        """The verdict as a JSON document of the published schema."""
        return self.model_dump_json(by_alias=True, indent=2)
