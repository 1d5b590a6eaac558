"""The Hub's files over connections that are capped, as a CDN's often are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.report import Figure, over, seconds
from benchmarks.servers.hub import ServedHub
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source, Trials

_BYTES_PER_SECOND = 60 << 20
_CONNECTIONS = 8


def measure(setting: Setting) -> Iterator[str]:
    """A model of half the size in 8 files, and in one."""
    megabytes = setting.megabytes // 2
    for count in (8, 1):
        with (
            setting.scratch() as folder,
            ServedHub(Path(folder), bytes_per_second=_BYTES_PER_SECOND) as hub,
        ):
            tiny, whole, eighth = (
                hub.publish(
                    model.make(Path(folder, "org", name), setting.key, count=files, size=size)
                )
                for name, files, size in (
                    ("tiny", 1, MB),
                    ("model", count, megabytes * MB // count),
                    ("eighth", 1, megabytes * MB // _CONNECTIONS),
                )
            )
            candidates = _candidates(setting, hub.endpoint, tiny, whole, eighth)
            trials = setting.in_turns(candidates, hub.cpu_seconds)
        yield f"{megabytes} MB in {count} file{'s' * (count > 1)}, 60 MiB/s a connection:\n"
        yield report.transfers(candidates, trials).markdown()
        yield report.figures(_figures(trials)).markdown()


def _candidates(
    setting: Setting, endpoint: str, tiny: Source, whole: Source, eighth: Source
) -> dict[str, Candidate]:
    key = str(setting.public_key)

    def candidate(
        label: str,
        call: str,
        source: Source = whole,
        place: Path | None = None,
        **options: object,
    ) -> Candidate:
        return Candidate(label, call, source, tiny, options, {"HF_ENDPOINT": endpoint}, place)

    return {
        "eighth": candidate(
            "an eighth of the model, raw, over one connection", "raw.transfer", eighth
        ),
        "raw": candidate(
            f"raw transfer, ranges over {_CONNECTIONS} connections",
            "raw.transfer",
            connections=_CONNECTIONS,
        ),
        "check": candidate("`Gate.check`", "ours.check", key=key),
        "today": candidate(
            "`snapshot_download` to tmpfs, then `model_signing verify key`",
            "peers.hub_download_then_verify",
            place=setting.memory,
            key=key,
        ),
        "download": candidate(
            f"raw download to disk, ranges over {_CONNECTIONS} connections",
            "raw.download",
            place=setting.disk,
            connections=_CONNECTIONS,
        ),
        "pull": candidate("`Gate.pull` to disk", "ours.pull", place=setting.disk, key=key),
    }


def _figures(trials: Trials) -> Iterator[Figure]:
    check = seconds(trials, "check")
    yield Figure(
        f"`check`: rate, of {_CONNECTIONS} times that of one connection",
        over(seconds(trials, "eighth"), check),
        at_least=0.85,
    )
    yield Figure("`check`: rate, of the raw transfer's", over(seconds(trials, "raw"), check))
    yield Figure(
        "`check`: times faster than `snapshot_download`, then verify",
        over(seconds(trials, "today"), check),
    )
    pull = seconds(trials, "pull")
    yield Figure(
        "`pull` to disk: time, of the raw download's",
        over(pull, seconds(trials, "download")),
        at_most=1.15,
    )
    yield Figure(
        "`pull` to disk: time, of `snapshot_download` alone",
        over(pull, [trial.laps["download"] for trial in trials["today"]]),
        at_most=1,
    )
