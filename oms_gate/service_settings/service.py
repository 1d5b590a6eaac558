"""How a service is run: ``service:`` in ``gate.yaml``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms_gate.settings import Section

KIB = 1024


class ServiceSettings(Section):
    """Bounds of all that is served, whoever asks. Those of connections are for each process."""

    log_format: Literal["text", "json"] = Field(
        default="text", description="How events are logged: a line of text, or of JSON, for each."
    )
    drain_seconds: float = Field(
        default=30,
        ge=0,
        description="How long transfers may go on once the service was told to end, in seconds.",
    )
    connections: int = Field(
        default=1024, ge=1, description="Most connections of one process, as a count."
    )
    header_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for a handshake, or for a whole request head, in seconds.",
    )
    idle_seconds: float = Field(
        default=75,
        gt=0,
        description="How long a connection is kept without a request, in seconds.",
    )
    header_bytes: int = Field(
        default=16 * KIB,
        ge=KIB,
        description="Largest request line, and largest header of a request, in bytes.",
    )
    headers: int = Field(default=64, ge=8, description="Most headers of a request, as a count.")
    body_bytes: int = Field(
        default=1024 * KIB, ge=KIB, description="Largest body of a request that is read, in bytes."
    )
    answer_seconds: float = Field(
        default=60,
        gt=0,
        description="Longest time until an answer begins, in seconds; a file may take longer.",
    )
    stall_seconds: float = Field(
        default=30,
        gt=0,
        description="How long a client may be slower than minimum_bytes_per_second, in seconds.",
    )
    minimum_bytes_per_second: int = Field(
        default=512,
        ge=1,
        description="Slowest client that is waited for, in bytes per second over stall_seconds.",
    )
    restarts: int = Field(
        default=10,
        ge=0,
        description="Most processes that are begun anew within restart_seconds, as a count; one "
        "more ends the service.",
    )
    restart_seconds: float = Field(
        default=60, gt=0, description="The time in which restarts are counted, in seconds."
    )
