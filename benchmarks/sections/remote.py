"""One model in a store: the raw limit, the gate, and what users do today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Figure, over, peaks, seconds
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source, Trials


@dataclass(frozen=True)
class Remote:
    """A model in a store, and how its users read it today.

    downloader: what they download with. today: the call that downloads and then verifies.
    file_system: the call that reads through fsspec, and its label.
    """

    source: Source
    tiny: Source
    environment: Mapping[str, str]
    downloader: str
    today: str
    file_system: tuple[str, str]

    def candidate(
        self, label: str, call: str, place: Path | None = None, **options: object
    ) -> Candidate:
        """Who takes this model."""
        return Candidate(label, call, self.source, self.tiny, options, self.environment, place)

    @property
    def connections(self) -> list[int | None]:
        """What the raw limit is looked for with: one file may be faster in ranges than whole."""
        return [None] if len(self.source.files) > 1 else [None, 4]


def candidates(setting: Setting, remote: Remote) -> dict[str, Candidate]:
    """All of them, by what `figures` calls them."""
    key = str(setting.public_key)
    file_system, reader = remote.file_system
    found = {
        f"raw {connections}": remote.candidate(
            f"raw transfer, {_streams(connections)}", "raw.transfer", connections=connections
        )
        for connections in remote.connections
    }
    found["check"] = remote.candidate("`Gate.check`", "ours.check", key=key)
    found["file system"] = remote.candidate(f"{file_system}, read and hashed", reader)
    for name, place in setting.places.items():
        found[f"today {name}"] = remote.candidate(
            f"{remote.downloader} to {name}, then `model_signing verify key`",
            remote.today,
            place,
            key=key,
        )
        for connections in remote.connections:
            found[f"download {connections} {name}"] = remote.candidate(
                f"raw download to {name}, {_streams(connections)}",
                "raw.download",
                place,
                connections=connections,
            )
        found[f"pull {name}"] = remote.candidate(
            f"`Gate.pull` to {name}", "ours.pull", place, key=key
        )
    return found


def figures(
    setting: Setting, remote: Remote, trials: Trials, *, raw_aim: float | None, faster: float
) -> Iterator[Figure]:
    """The gate against the others; the aims are those at the raw transfer's rate and at today."""
    check = seconds(trials, "check")
    raw = seconds(trials, *(f"raw {connections}" for connections in remote.connections))
    yield Figure("`check`: rate, of the raw transfer's", over(raw, check), at_least=raw_aim)
    yield Figure(
        f"`check`: times faster than {remote.file_system[0]}",
        over(seconds(trials, "file system"), check),
    )
    for name in setting.places:
        yield Figure(
            f"`check`: times faster than {remote.downloader} to {name}, then verify",
            over(seconds(trials, f"today {name}"), check),
            at_least=faster,
        )
    yield _memory("`check`", peaks(trials, "check"))
    for name in setting.places:
        pull = seconds(trials, f"pull {name}")
        plain = (f"download {connections} {name}" for connections in remote.connections)
        alone = [trial.laps["download"] for trial in trials[f"today {name}"]]
        yield Figure(
            f"`pull` to {name}: time, of the raw download's",
            over(pull, seconds(trials, *plain)),
            at_most=1.15,
        )
        yield Figure(
            f"`pull` to {name}: time, of {remote.downloader} alone", over(pull, alone), at_most=1
        )
        yield _memory(f"`pull` to {name}", peaks(trials, f"pull {name}"))


def _memory(label: str, megabytes: list[float]) -> Figure:
    return Figure(f"{label}: peak MB", megabytes, at_most=150, digits=0)


def _streams(connections: int | None) -> str:
    return "one stream a file" if connections is None else f"ranges over {connections} connections"
