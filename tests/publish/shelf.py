"""A registry in a folder, and what is published there: the flow without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oms_gate.limits import Limits
from oms_gate.publish.publication import Judgement, Publication
from oms_gate.publish.registry import Published
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.local import LocalStore
from oms_gate.streaming.hashing import ProgressCallback


@dataclass
class Shelf:
    """What is in a folder is there already; what is published is remembered.

    earlier: what `earlier_statements` says.
    """

    target: Reference
    folder: Path | None = None
    additive: bool = True
    earlier: Sequence[str] = ()
    got: dict[str, bytes] = field(default_factory=dict)

    @property
    def published(self) -> Snapshot | None:
        if self.folder is None:
            return None
        return LocalStore(Limits()).snapshot(Reference.parse(str(self.folder)))

    def earlier_statements(self) -> Iterable[str]:
        return self.earlier

    def publish(
        self,
        publication: Publication,
        judgement: Judgement,
        *,
        message: str,  # noqa: ARG002
        pull_request: bool = False,  # noqa: ARG002
        on_progress: ProgressCallback | None = None,  # noqa: ARG002
    ) -> Published:
        assert judgement.verdict.lets_through
        files = publication.result.files
        self.got = {path: publication.result.read(path, 1 << 30) or b"" for path in files}
        return Published(self.target.url)

    def close(self) -> None:
        pass
