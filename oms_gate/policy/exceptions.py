"""Exceptions: findings that deny no model for a while (``exceptions:`` in ``gate.yaml``)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import ConfigDict, Field

from oms_gate.policy.publishers import ModelGlob, Name, PathGlob, Rule

ExceptedCode = Literal[
    "coverage.missing",
    "coverage.unsigned",
    "coverage.ignored",
    "publisher.expired-signer",
    "history.rollback",
    "requirement.time",
    "requirement.log",
    "requirement.age",
    "requirement.hash-type",
    "requirement.format",
    "requirement.claims",
    "attestation.missing",
    "attestation.unmet",
    "bom.missing",
]


class PolicyException(Rule):
    """Findings that are warnings until a day has passed.

    Who may sign a model is no matter of exceptions: that is what publisher rules are for.
    """

    # A list in YAML is a tuple here.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    reason: Name = Field(description="Why; it is shown with the warning.")
    owner: Name = Field(description="Who answers for it.")
    expires: date = Field(lt=date.max, description="The last day (UTC) on which it counts.")
    models: tuple[ModelGlob, ...] = Field(
        min_length=1, description="Globs over model names, as of publisher rules."
    )
    codes: tuple[ExceptedCode, ...] = Field(min_length=1, description="Reason codes.")
    paths: tuple[PathGlob, ...] | None = Field(
        default=None, min_length=1, description="Globs over paths; without, whatever the path."
    )

    @property
    def expires_at(self) -> datetime:
        """The moment from which on it does not count."""
        return datetime.combine(self.expires + timedelta(days=1), datetime.min.time(), UTC)
