"""What the gateway serves, and its bounds: ``gateway:`` in ``gate.yaml``."""

from __future__ import annotations

from pydantic import Field

from oms_gate.settings import Section

GIB = 1024**3


class GatewaySettings(Section):
    """The gateway that speaks the Hub's protocol."""

    upstream: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@?#]+(/[^?#]*)?$",
        description="Endpoint of the Hub or mirror that is asked; by default that of the hf:// "
        "store.",
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
        description="Longest wait of a client for a byte, in seconds; huggingface_hub waits 10. "
        "What it waited for goes on, and is there for its next attempt.",
    )
