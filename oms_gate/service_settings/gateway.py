"""What the gateway serves, and its bounds: ``gateway:`` in ``gate.yaml``."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from oms_gate.service_settings.tokens import TokenDigest
from oms_gate.settings import Section

GIB = 1024**3

_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](?:/[^/?#\\\x00-\x1f\x7f]+)*")


class S3Repositories(Section):
    """Models of a bucket, which clients see as the repositories of an owner on the Hub."""

    owner: str = Field(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?$",
        description="Their owner: owner/name is the model prefix/name. The Hub is asked for none "
        "of this owner's models.",
    )
    prefix: str = Field(description="Where they are, such as s3://bucket/models.")
    readers: Literal["everybody"] | Annotated[tuple[TokenDigest, ...], Field(min_length=1)] = Field(
        description="Who may read them: everybody who reaches the gateway; or SHA-256, in hex, of "
        "each token (HF_TOKEN) that may.",
    )

    @field_validator("readers", mode="wrap")
    @classmethod
    def _are_said(cls, given: object, validated: ValidatorFunctionWrapHandler) -> object:
        try:
            return validated(given)
        except ValidationError:
            raise ValueError(
                "must be 'everybody', or the SHA-256 of each token that may, 64 hex digits: "
                'printf %s "$TOKEN" | sha256sum'
            ) from None

    @field_validator("prefix")
    @classmethod
    def _is_prefix(cls, prefix: str) -> str:
        prefix = prefix.rstrip("/")
        if not _PREFIX.fullmatch(prefix) or {".", ".."} & {*prefix.split("/")}:
            raise ValueError(f"{prefix!r} is no prefix in S3; write it as s3://bucket/models")
        return prefix


class GatewaySettings(Section):
    """The gateway that speaks the Hub's protocol."""

    upstream: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@?#]+(/[^?#]*)?$",
        description="Endpoint of the Hub or mirror that is asked; by default that of the hf:// "
        "store.",
    )
    repositories: tuple[S3Repositories, ...] = Field(
        default=(),
        description="Models of buckets that are served as if they were on the Hub, read with the "
        "gate's own credentials.",
    )
    cache_bytes: int = Field(
        default=200 * GIB,
        ge=1024 * 1024,
        description="Most bytes of verified files that are kept, and the size of the largest file "
        "that is served, in bytes.",
    )
    access_seconds: float = Field(
        default=60,
        ge=0,
        description="How long a client that may see a repository is believed to be allowed to, in "
        "seconds.",
    )
    denial_seconds: float = Field(
        default=30, ge=0, description="How long a denial is given again unasked, in seconds."
    )
    models: int = Field(
        default=256, ge=1, description="Most models that are known at a time, as a count."
    )
    checks: int = Field(
        default=8, ge=1, le=256, description="Most checks of models at a time, as a count."
    )
    waiting_checks: int = Field(
        default=256, ge=0, description="Most checks that wait for their turn, as a count."
    )
    transfers: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="Most files that are fetched from upstream at a time, as a count.",
    )
    waiting_transfers: int = Field(
        default=1024,
        ge=0,
        description="Most files that wait for their turn; those for which no client waits any more "
        "are not fetched then.",
    )
    connections: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Most connections to upstream for files, as a count, where fewer files are "
        "fetched than that.",
    )
    waiting_seconds: float = Field(
        default=8,
        gt=0,
        description="Longest wait of a client for a decision, and then for a byte, in seconds; "
        "huggingface_hub waits 10. "
        "What it waited for goes on, and is there for its next attempt.",
    )

    @field_validator("repositories")
    @classmethod
    def _have_owners(cls, given: tuple[S3Repositories, ...]) -> tuple[S3Repositories, ...]:
        owners = [each.owner.lower() for each in given]
        if twice := {owner for owner in owners if owners.count(owner) > 1}:
            raise ValueError(f"the owner '{min(twice)}' is given twice; give each its own")
        for outer, inner in permutations([f"{each.prefix}/" for each in given], 2):
            if inner != outer and inner.startswith(outer):
                raise ValueError(
                    f"the prefix '{inner}' is in '{outer}', by which others may read it; give each "
                    "a prefix of its own"
                )
        return given
