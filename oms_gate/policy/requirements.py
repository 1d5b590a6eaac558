"""Requirements: what models need besides a trusted signer (``requirements:`` in ``gate.yaml``).

All requirements that apply to a model, in what it is wanted for and where, must be met. They
tighten what publisher rules grant, and never grant anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from oms_gate.policy.kinds import Kind
from oms_gate.policy.publishers import Format, KnownSigner, ModelGlob, Name, Rule
from oms_gate.verdict import Operation

_KUBERNETES_GLOB = re.compile(r"[a-z0-9.*-]+")


def _kubernetes_glob(text: str) -> str:
    # One that matches nothing would leave all namespaces without the requirement.
    if not _KUBERNETES_GLOB.fullmatch(text):
        raise ValueError(
            f"'{text}' can match no name in Kubernetes: those have small letters, digits, '-' and "
            "'.', and '*' stands for any of them"
        )
    return text


NameGlob = Name
KubernetesGlob = Annotated[Name, AfterValidator(_kubernetes_glob)]


class _Part(Rule):
    # A list in YAML is a tuple here.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Where(_Part):
    """What a requirement is about: all that is given must hold."""

    models: tuple[ModelGlob, ...] | None = Field(
        default=None, min_length=1, description="Globs over model names, as of publisher rules."
    )
    operations: tuple[Operation, ...] | None = Field(
        default=None, min_length=1, description="What the model is wanted for."
    )
    namespaces: tuple[KubernetesGlob, ...] | None = Field(
        default=None, min_length=1, description="Globs over Kubernetes namespaces."
    )
    namespace_labels: Mapping[Name, str] | None = Field(
        default=None, min_length=1, description="Labels that the namespace has."
    )
    service_accounts: tuple[KubernetesGlob, ...] | None = Field(
        default=None, min_length=1, description="Globs over the pod's service account."
    )


class WantedAttestation(_Part):
    """An attestation that a model must have.

    It must be about the model as a whole, or, together with others like it, about each of the
    signed files of the kinds weights, pickle and archive. One that a newer one about the same
    replaces does not count.
    """

    predicate_type: NameGlob = Field(
        description="What is stated (in-toto): a URI, or a glob over URIs."
    )
    signers: tuple[KnownSigner, ...] = Field(min_length=1, description="Who may state it.")
    builders: tuple[NameGlob, ...] | None = Field(
        default=None,
        min_length=1,
        description="SLSA provenance: globs over the builder's id (runDetails.builder.id).",
    )
    sources: tuple[NameGlob, ...] | None = Field(
        default=None,
        min_length=1,
        description="SLSA provenance: globs over the URIs of what it was built from "
        "(buildDefinition.resolvedDependencies), one of which must match.",
    )
    max_age_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="How old it may be, in days: the build, the scan, or else the signature.",
    )
    no_findings: tuple[Literal["critical", "high", "medium", "low"], ...] | None = Field(
        default=None,
        min_length=1,
        description="Vulnerability scan: severities of which it may have no finding.",
    )


class Requirement(_Part):
    """What models need."""

    name: Name = Field(description="What messages call it.")
    where: Where = Where()
    effect: Literal["deny", "warn"] = Field(
        default="deny", description="What becomes of a model that does not meet it."
    )
    assurance: Literal["bytes", "declared"] | None = Field(
        default=None, description="How far the gate has to look, at least."
    )
    hash_types: tuple[Literal["sha256", "blake2b", "blake3"], ...] | None = Field(
        default=None, min_length=1, description="The digests that may be signed."
    )
    proven_time: Literal[True] | None = Field(
        default=None, description="Whether a log or a timestamp must prove when it was signed."
    )
    transparency_log: Literal[True] | None = Field(
        default=None, description="Whether the signature must be in a transparency log."
    )
    max_age_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="How long ago it may have been signed, by a proven time, in days."
    )
    unexpired: Literal[True] | None = Field(
        default=None, description="Whether the signer's certificate must still be valid."
    )
    restricted_formats: tuple[Format, ...] | None = Field(
        default=None,
        min_length=1,
        description="Formats that only signers may publish whose publisher rule has them under "
        "allow_formats.",
    )
    signed_kinds: tuple[Kind, ...] | None = Field(
        default=None,
        min_length=1,
        description="Kinds of which every file must be signed, whatever publisher rules allow.",
    )
    ignored_kinds: tuple[Kind, ...] | None = Field(
        default=None, description="The only kinds that a signer may leave out of the signature."
    )
    claims: Mapping[Name, Annotated[tuple[NameGlob, ...], Field(min_length=1)]] | None = Field(
        default=None,
        min_length=1,
        description="Sigstore: globs over what the signer's certificate claims, by the claim.",
    )
    same_signer: Literal[True] | None = Field(
        default=None,
        description="Whether the signer must be one that is pinned to the model; the first is.",
    )
    attestations: tuple[WantedAttestation, ...] | None = Field(
        default=None, min_length=1, description="Statements that must be there."
    )
    boms: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Bills of materials that must be there, signed, by their names under boms.",
    )

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if not self.model_dump(exclude_none=True, exclude={"name", "where", "effect"}):
            raise ValueError("it requires nothing; give at least one of what models need")
        return self
