"""Every bound of the gate, by name and with its unit.

A bound that is reached is a denial, never a truncation: a model that is larger, slower or
more numerous than its operator allows is refused with the name of the limit to raise.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class Limits(BaseModel):
    """The bounds of one check; `limits:` in ``gate.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    bundle_bytes: int = Field(
        default=16 * MIB, ge=1024, description="Largest signature bundle that is read, in bytes."
    )
    json_depth: int = Field(
        default=32, ge=8, le=200, description="Deepest nesting of JSON in a bundle, in levels."
    )
    resources: int = Field(
        default=200_000, ge=1, description="Most entries of a signed manifest, as a count."
    )
    attestation_bytes: int = Field(
        default=4 * MIB,
        ge=1024,
        description="Largest file of attestations beside a model that is read, in bytes.",
    )
    attestation_values: int = Field(
        default=100_000,
        ge=100,
        description="Most values (objects, lists and their members) of one attestation, as a "
        "count.",
    )
    attestations: int = Field(
        default=64,
        ge=1,
        description="Most attestations of one model that are looked at, as a count.",
    )
    bom_bytes: int = Field(
        default=4 * MIB,
        ge=1024,
        description="Largest bill of materials in a model that is read, in bytes.",
    )
    bom_values: int = Field(
        default=100_000,
        ge=100,
        description="Most values (objects, lists and their members) of one, as a count.",
    )
    boms: int = Field(
        default=8,
        ge=1,
        description="Most bills of materials of one model that are looked at, as a count.",
    )
    bom_files: int = Field(
        default=5000,
        ge=1,
        description="Most files of a model of which a bill of materials is made, as a count.",
    )
    card_bytes: int = Field(
        default=MIB,
        ge=1024,
        description="Largest README.md, and largest config.json, of which a bill of materials "
        "tells what they say, in bytes.",
    )
    files: int = Field(
        default=100_000, ge=1, description="Most files in the listing of one model, as a count."
    )
    listing_seconds: float = Field(
        default=120,
        gt=0,
        description="Longest wait for a listing, or for the signature, in seconds.",
    )
    listing_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        description="Largest page of a listing that is read, in bytes.",
    )
    connections: int = Field(
        default=8, ge=1, le=64, description="Most connections of one check, as a count."
    )
    connect_seconds: float = Field(
        default=10, gt=0, description="Longest wait for a connection, in seconds."
    )
    read_seconds: float = Field(
        default=30, gt=0, description="Longest silence of a server that is answering, in seconds."
    )
    minimum_bytes_per_second: int = Field(
        default=4096,
        ge=0,
        description="Slowest transfer that is waited for, in bytes per second over read_seconds.",
    )
    retries: int = Field(
        default=3, ge=0, le=10, description="Most new attempts after a broken answer, as a count."
    )
    redirects: int = Field(
        default=5, ge=0, le=20, description="Most redirects of one request, as a count."
    )
    total_seconds: float = Field(
        default=6 * 3600, gt=0, description="Longest duration of one check, in seconds."
    )
    policy_seconds: float = Field(
        default=5, ge=0.05, description="Longest evaluation of the policy, in seconds."
    )
    policy_memory_bytes: int = Field(
        default=256 * MIB, ge=4 * MIB, description="Most memory of the policy, in bytes."
    )
    history_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for other processes that write the gate's memory, in seconds.",
    )
    policy_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="Most new attempts within policy_seconds where an OPA server gives no answer, "
        "as a count.",
    )
    policy_failures: int = Field(
        default=5,
        ge=1,
        description="Failures of an OPA server in a row after which it is left alone, as a count.",
    )
    policy_rest_seconds: float = Field(
        default=10, gt=0, description="How long it is left alone then, in seconds."
    )
    policy_bundle_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        description="Largest policy bundle that is fetched, in bytes.",
    )
    policy_bundle_seconds: float = Field(
        default=30, gt=0, description="Longest wait for a policy bundle over HTTP, in seconds."
    )
    reload_seconds: float = Field(
        default=5,
        ge=0.05,
        description="How often, at most, a process that lasts looks whether the files that decide "
        "were changed, in seconds.",
    )
    decision_seconds: float = Field(
        default=300,
        ge=0,
        description="How long a process that loads models uses a decision again, and what a branch "
        "named, in seconds.",
    )
    small_file_bytes: int = Field(
        default=8 * MIB,
        ge=0,
        description="Largest file without a declared digest that is read at `declared` assurance, "
        "in bytes.",
    )
    inspected_bytes: int = Field(
        default=16 * MIB,
        ge=0,
        description="How much of a file that is neither text nor weights is searched for secrets "
        "before it is published, from its start, in bytes.",
    )
    history_commits: int = Field(
        default=50,
        ge=0,
        description="Most earlier commits, or versions, in which a publication looks for the "
        "signature that it has, as a count.",
    )
