"""How the gate works in a cluster: ``kubernetes:`` in ``gate.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from oms_gate.kubernetes.clients import CLIENTS, Client


class KubernetesSettings(BaseModel):
    """What admission asks for, and what the injected init containers are made of."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    image: str | None = Field(
        default=None,
        min_length=1,
        description="The gate's image, for the init containers; by digest, best.",
    )
    assurance: Literal["signature", "declared"] = Field(
        default="signature",
        description="How far admission looks itself; the init container hashes every byte.",
    )
    admission_seconds: float = Field(
        default=8,
        gt=0,
        le=29,
        description="Longest wait of the API server for an answer, in seconds; a check that takes "
        "longer goes on, and its result is there for the next attempt.",
    )
    denial_seconds: float = Field(
        default=10, ge=0, description="How long a denial is given again unasked, in seconds."
    )
    checks: int = Field(
        default=16, ge=1, le=256, description="Most checks of models at a time, as a count."
    )
    namespace_checks: int = Field(
        default=64,
        ge=1,
        description="Most checks for one namespace, at work or waiting, as a count.",
    )
    waiting_checks: int = Field(
        default=256, ge=0, description="Most checks that wait for their turn, as a count."
    )
    verdicts: int = Field(
        default=10_000, ge=1, description="Most verdicts that are remembered, as a count."
    )
    review_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=4096,
        description="Largest request of the API server that is read, in bytes.",
    )
    models: int = Field(default=32, ge=1, description="Most models of one object, as a count.")
    words: int = Field(
        default=20_000,
        ge=1,
        description="Most words of all commands and scripts of one pod, as a count.",
    )
    characters: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Most characters of them and of all variables, expanded, as a count.",
    )
    schemes: tuple[str, ...] = Field(
        default=("hf", "s3"),
        description="Of the references that objects may name: the gate itself asks these stores.",
    )
    environment: Mapping[str, str] = Field(
        default_factory=dict,
        description="Further variables of the init containers, such as HF_ENDPOINT.",
    )
    config_map: str | None = Field(
        default=None,
        description="A ConfigMap of the workload's namespace whose gate.yaml the init containers "
        "use for stores, limits and evidence. What was decided is not in its power.",
    )
    resources: Mapping[str, Any] = Field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        description="Resources of the init containers, as Kubernetes has them.",
    )
    clients: tuple[Client, ...] = Field(
        default=(), description="Programs that load models, besides those that the gate knows."
    )

    @property
    def all_clients(self) -> tuple[Client, ...]:
        """The operator's clients, and those that the gate knows."""
        return (*self.clients, *CLIENTS)
