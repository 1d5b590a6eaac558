"""Which events are received, and what follows from them: ``events:`` in ``gate.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from oms_gate.policy.globs import Globs
from oms_gate.policy.publishers import ModelGlob
from oms_gate.settings import FilePath, Section

ModelPlace = Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[^/?#\\\s]+)+$")]


class HubEvents(Section):
    """Webhooks of the Hub, at ``/events/hub``."""

    secret_files: tuple[FilePath, ...] = Field(
        min_length=1,
        max_length=2,
        description="Files with the secret that webhooks have; a second one while it is changed.",
    )
    repositories: tuple[ModelGlob, ...] = Field(
        min_length=1,
        description="Globs over the repositories that are watched, such as hf://acme/*.",
    )

    @field_validator("repositories")
    @classmethod
    def _are_on_the_hub(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if not glob.startswith("hf://"):
                raise ValueError(f"{glob!r} names nothing on the Hub; write hf://org/name")
        return globs


class S3Events(Section):
    """Notifications of S3, MinIO and SeaweedFS, at ``/events/s3``."""

    token_files: tuple[FilePath, ...] = Field(
        min_length=1,
        max_length=2,
        description="Files with the bearer token of who notifies; a second one while it is "
        "changed.",
    )
    models: tuple[ModelPlace, ...] = Field(
        min_length=1,
        description="Where models are: s3://bucket/models/*/* says that a model is two folders "
        "below 'models'. '*' stands for one folder, or a part of its name.",
    )
    settle_seconds: float = Field(
        default=10,
        ge=0,
        description="How long a model must be left alone before it is decided about, in seconds.",
    )
    longest_settle_seconds: float = Field(
        default=600,
        ge=0,
        description="After which time it is decided about although it is written to, in seconds.",
    )

    @field_validator("models")
    @classmethod
    def _are_plain(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            if any(part in (".", "..") or "**" in part for part in place.split("/")):
                raise ValueError(
                    f"{place!r} does not say which folder a model is; write one '*' for each "
                    "folder, as s3://bucket/models/*/*"
                )
        return places


class WebhookReport(Section):
    """Where verdicts are sent."""

    url: str = Field(
        pattern=r"^https?://[^/@?#\s]+(/[^#\s]*)?$",
        description="Where verdicts are posted to; https, unless its host is under "
        "stores.private_hosts.",
    )
    secret_file: FilePath = Field(description="File with the secret that signs them.")
    outcomes: Literal["denied", "all"] = Field(
        default="denied", description="Which verdicts are sent."
    )


class ReportSettings(Section):
    """Who is told."""

    hub_discussion: bool = Field(
        default=False,
        description="Whether a denied commit is reported in its repository's discussions, once.",
    )
    webhook: WebhookReport | None = None


class QuarantineSettings(Section):
    """What becomes of denied models in S3."""

    action: Literal["none", "tag", "move"] = Field(
        default="none",
        description="tag: their objects are tagged denied. move: they are moved away.",
    )
    prefix: str | None = Field(
        default=None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[^/?#\\\s*]+)+$",
        description="Where to, as s3://bucket/quarantine; in no place of models.",
    )

    @model_validator(mode="after")
    def _knows_where_to(self) -> QuarantineSettings:
        if (self.action == "move") != (self.prefix is not None):
            raise ValueError("'prefix' belongs to 'action: move': give both, or neither")
        return self


class EventSettings(Section):
    """Events of the Hub and of S3: each new revision is decided about in the background."""

    hub: HubEvents | None = None
    s3: S3Events | None = None
    assurance: Literal["declared", "bytes"] = Field(
        default="bytes",
        description="How far each decision looks, at least. At 'declared', objects are tagged "
        "admitted whose bytes nobody has hashed.",
    )
    annotate: bool = Field(
        default=False, description="Whether objects of S3 are tagged with the verdict."
    )
    quarantine: QuarantineSettings = QuarantineSettings()
    reports: ReportSettings = ReportSettings()
    event_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Largest request with events that is read, in bytes.",
    )
    event_seconds: float = Field(
        default=10, gt=0, description="Longest wait for all of a request, in seconds."
    )
    event_records: int = Field(
        default=1000, ge=1, description="Most events of one request, as a count."
    )
    waiting: int = Field(
        default=1000, ge=1, description="Most models that wait to be decided about, as a count."
    )
    workers: int = Field(
        default=2, ge=1, le=64, description="Most models that are decided about at a time."
    )
    decision_seconds: float = Field(
        default=3600, gt=0, description="Longest time for one model, in seconds."
    )
    retries: int = Field(
        default=3,
        ge=0,
        le=20,
        description="Most new attempts where nothing could be decided, or done about it, as a "
        "count.",
    )
    retry_seconds: float = Field(
        default=30,
        gt=0,
        description="Wait before the first of them, in seconds; each next one waits twice as long.",
    )
    decided: int = Field(
        default=10_000,
        ge=1,
        description="Most models of which the last decision is remembered, as a count.",
    )

    def with_files(self, absolute: Callable[[Path], Path]) -> EventSettings:
        """The same, with each path of a file as `absolute` makes it."""
        hub, s3, webhook = self.hub, self.s3, self.reports.webhook
        return self.model_copy(
            update={
                "hub": hub
                and hub.model_copy(update={"secret_files": (*map(absolute, hub.secret_files),)}),
                "s3": s3
                and s3.model_copy(update={"token_files": (*map(absolute, s3.token_files),)}),
                "reports": self.reports.model_copy(
                    update={
                        "webhook": webhook
                        and webhook.model_copy(
                            update={"secret_file": absolute(webhook.secret_file)}
                        )
                    }
                ),
            }
        )

    @model_validator(mode="after")
    def _moves_out_of_the_way(self) -> EventSettings:
        prefix = self.quarantine.prefix
        if prefix is None or self.s3 is None:
            return self
        for place in self.s3.models:
            parts, own = prefix.split("/"), place.split("/")
            # What is moved there would be a model again, and be moved again.
            if urlsplit(prefix).netloc == urlsplit(place).netloc and _overlap(parts[3:], own[3:]):
                raise ValueError(
                    f"the quarantine at {prefix} is among the models at {place}; move it elsewhere"
                )
        return self


EVENT_SECTIONS: Final = (HubEvents, S3Events, QuarantineSettings, ReportSettings, WebhookReport)
"""The sections below ``events:``."""


def _overlap(prefix: list[str], place: list[str]) -> bool:
    """Whether what is below a prefix could be below a place of models, or the other way."""
    both = zip(prefix, place, strict=False)
    return all(part in Globs([wanted]) for part, wanted in both)
