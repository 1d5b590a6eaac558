"""What all sections share: sizes, rounds, places and the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.trial import Candidate, Trial, Trials, run


@dataclass(frozen=True)
class Setting:
    """
    megabytes: size of a model that is not said to have another. rounds: trials of each candidate.
    small_files: how many a model of small files has. memory, disk: folders in main memory (tmpfs)
    and on disk. key signs all models, and public_key is the path of its public half.
    """

    megabytes: int
    rounds: int
    small_files: int
    memory: Path
    disk: Path
    key: ec.EllipticCurvePrivateKey
    private_key: Path
    public_key: Path

    def scratch(self) -> AbstractContextManager[str]:
        """A folder in main memory that is deleted in the end."""
        return TemporaryDirectory(prefix="oms-gate-bench-", dir=self.memory)

    @property
    def places(self) -> Mapping[str, Path]:
        """Where models are written to, as the report calls it."""
        return {"disk": self.disk, "tmpfs": self.memory}

    def in_turns(
        self,
        candidates: Mapping[str, Candidate],
        server_cpu: Callable[[], float] = lambda: 0.0,
        rounds: int | None = None,
    ) -> Trials:
        """Run all candidates, then all again, so that what disturbs the machine disturbs all."""
        trials: dict[str, list[Trial]] = {name: [] for name in candidates}
        for _ in range(self.rounds if rounds is None else rounds):
            for name, candidate in candidates.items():
                trials[name].append(run(candidate, server_cpu))
        return trials
