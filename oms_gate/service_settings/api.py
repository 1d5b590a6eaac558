"""Who may ask the decision API: ``api:`` in ``gate.yaml``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from oms_gate.limits import MIB
from oms_gate.policy.publishers import ModelGlob
from oms_gate.service_settings.tokens import TokenDigest
from oms_gate.settings import FilePath, Section

# Stores that are known by names of their own. No reference of a client's may be a path of the
# gate's disk, or name a web server.
ObjectStore = Literal["hf", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"]


class ApiClient(Section):
    """Somebody who may ask, and what about. Its name is that of its tenant."""

    name: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="What it is called; its user name where it logs in to the page.",
    )
    token_sha256: tuple[TokenDigest, ...] = Field(
        default=(), description="SHA-256 of each of its bearer tokens, in hex."
    )
    token_file: FilePath | None = Field(
        default=None,
        description="File with its bearer tokens, one a line; read again when it changes.",
    )
    certificate: str | None = Field(
        default=None,
        min_length=1,
        description="Subject (RFC 4514), or the only alternative name (DNS, e-mail or URI), of its "
        "certificate by the authority that the service asks for.",
    )
    operator: bool = Field(
        default=False,
        description="Whether it sees the verdicts of all clients, of the gateway and of events.",
    )
    config: FilePath | None = Field(
        default=None,
        description="A gate.yaml by which its questions are decided, instead of this one.",
    )
    models: tuple[ModelGlob, ...] | None = Field(
        default=None,
        description="Globs over the models that it may ask about; without, all in 'schemes'.",
    )
    checks: int = Field(
        default=16, ge=1, description="Most checks for it, at work or waiting, as a count."
    )

    @model_validator(mode="after")
    def _can_be_known(self) -> Self:
        if not (self.token_sha256 or self.token_file or self.certificate):
            raise ValueError(
                f"nobody can be known as '{self.name}'; give 'token_sha256', 'token_file' or "
                "'certificate'"
            )
        return self


class ApiSettings(Section):
    """The decision API, and the page with its verdicts. Without clients, neither is served."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    clients: tuple[ApiClient, ...] = Field(default=(), description="Who may ask.")
    schemes: tuple[ObjectStore, ...] = Field(
        default=("hf", "s3"),
        description="Of the references that clients may name: the gate itself asks these stores.",
    )
    record: FilePath | None = Field(
        default=None,
        description="SQLite database with the recent verdicts, made where there is none; by "
        "default oms-gate/verdicts.db in the user's folder for state.",
    )
    recorded: int = Field(
        default=5000,
        ge=1,
        description="Most verdicts that it keeps of each client, of the gateway, and of events, "
        "as a count.",
    )
    recorded_bytes: int = Field(
        default=64 * MIB, ge=1024, description="Most bytes that these take for each, in bytes."
    )
    record_seconds: float = Field(
        default=2,
        gt=0,
        description="Longest wait for other processes that write the record, in seconds.",
    )
    page_verdicts: int = Field(
        default=50, ge=1, le=1000, description="Verdicts on a page of the record, as a count."
    )
    wait_seconds: float = Field(
        default=20,
        ge=0,
        description="Longest wait of a client for a verdict, in seconds; a check that takes longer "
        "goes on, and its verdict is there for who asks for it.",
    )
    denial_seconds: float = Field(
        default=10, ge=0, description="How long a denial is given again unasked, in seconds."
    )
    checks: int = Field(
        default=8, ge=1, le=256, description="Most checks of models at a time, as a count."
    )
    waiting_checks: int = Field(
        default=64, ge=0, description="Most checks that wait for their turn, as a count."
    )
    verdicts: int = Field(
        default=1000, ge=1, description="Most verdicts that are given again unasked, as a count."
    )
    request_bytes: int = Field(
        default=64 * 1024, ge=1024, description="Largest request that is read, in bytes."
    )
    request_values: int = Field(
        default=2000, ge=10, description="Most values in the JSON of a request, as a count."
    )
    request_seconds: float = Field(
        default=10, gt=0, description="Longest wait for a request to arrive, in seconds."
    )

    @property
    def record_file(self) -> Path:
        """The database with the recent verdicts."""
        if self.record is not None:
            return self.record
        base = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        return base / "oms-gate" / "verdicts.db"

    def with_files(self, absolute: Callable[[Path], Path]) -> Self:
        """The same, with each path of a file as `absolute` makes it."""
        clients = [
            client.model_copy(
                update={
                    "token_file": client.token_file and absolute(client.token_file),
                    "config": client.config and absolute(client.config),
                }
            )
            for client in self.clients
        ]
        return self.model_copy(
            update={"clients": tuple(clients), "record": self.record and absolute(self.record)}
        )

    @model_validator(mode="after")
    def _nobody_is_somebody_else(self) -> Self:
        for what, known in (
            ("name", [client.name for client in self.clients]),
            ("token", [digest for client in self.clients for digest in client.token_sha256]),
            ("certificate", [client.certificate for client in self.clients if client.certificate]),
        ):
            if len(set(known)) < len(known):
                raise ValueError(f"two clients have the same {what}; give each its own")
        return self
