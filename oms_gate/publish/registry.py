"""Where models are published, and how: each registry in its own way, and all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.publish.publication import Judgement, Publication
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    url: of the very revision, as `Reference.parse` reads it.
    pull_request: the page of the pull request that proposes it, or None.
    """

    url: str
    pull_request: str | None = None


class Registry(Protocol):
    """One model's place in a store, as it was found; what is published there is built on that."""

    @property
    def target(self) -> Reference:
        """The model."""

    @property
    def published(self) -> Snapshot | None:
        """What is there now, pinned; None if nothing is."""

    @property
    def additive(self) -> bool:
        """Whether what is there stays, unless it is deleted or replaced."""

    def earlier_statements(self) -> Iterable[str]:
        """SHA-256, in hex, of what the signatures stated that were there before the present one.

        Raises:
            StoreError: the store fails.
        """

    def publish(
        self,
        publication: Publication,
        judgement: Judgement,
        *,
        message: str,
        pull_request: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Published:
        """Let it be there, all of it or nothing: until the end, readers see what was there.

        Raises:
            StoreError: somebody else has published since, or the store refuses or fails.
            MeasureError: a file is not what was signed.
            UsageError: nothing can be published there.
        """

    def close(self) -> None:
        """Release the connections."""


def open_registry(target: Reference, gate: Gate) -> Registry:
    """The registry that a reference belongs to.

    Raises:
        UsageError: nothing can be published there.
        ConfigError: the store cannot be opened as it is configured.
        StoreError: the store refuses or fails.
    """
    if target.scheme == "hf":
        from oms_gate.publish.hub_registry import HubRegistry

        return HubRegistry(target, gate)
    if target.scheme in ("s3", "s3a"):
        from oms_gate.publish.s3_registry import S3Registry

        return S3Registry(target, gate)
    raise UsageError(
        f"{target.url} is no registry; publish to hf://organization/name or s3://bucket/prefix"
    )
