"""How a service is run: ``service:`` in ``gate.yaml``."""

from __future__ import annotations

from pydantic import Field

from oms_gate.settings import Section


class ServiceSettings(Section):
    """Bounds of all that is served, whoever asks."""

    drain_seconds: float = Field(
        default=30,
        ge=0,
        description="How long transfers may go on once the service was told to end, in seconds.",
    )
