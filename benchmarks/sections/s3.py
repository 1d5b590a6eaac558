"""S3: SeaweedFS, which takes as much of the processor as its client does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.report import Figure, over, seconds
from benchmarks.sections import remote
from benchmarks.servers.s3 import ServedS3
from benchmarks.setting import Setting
from benchmarks.trial import Trials


def measure(setting: Setting) -> Iterator[str]:
    """A model in 8 files, and in one."""
    for count in (8, 1):
        with setting.scratch() as place, ServedS3(Path(place)) as s3:
            with setting.scratch() as folder:
                tiny = model.make(Path(folder, "tiny"), setting.key, count=1, size=MB)
                size = setting.megabytes * MB // count
                whole = model.make(Path(folder, "model"), setting.key, count=count, size=size)
                served = remote.Remote(
                    s3.publish(whole),
                    s3.publish(tiny),
                    s3.environment,
                    "boto3's `download_file`",
                    "peers.s3_download_then_verify",
                    ("`s3fs`", "peers.s3_file_system"),
                )
            candidates = remote.candidates(setting, served)
            candidates["sha256"] = served.candidate("sha256 in memory, one thread", "raw.sha256")
            trials = setting.in_turns(candidates, s3.cpu_seconds)
        yield f"{setting.megabytes} MB in {count} file{'s' * (count > 1)}:\n"
        yield report.transfers(candidates, trials).markdown()
        ideal = Figure(
            "`check`: rate, of the CPU ideal",
            over(_ideal(served, trials), seconds(trials, "check")),
            at_least=0.85,
        )
        others = remote.figures(setting, served, trials, raw_aim=None, faster=3)
        yield report.figures([ideal, *others]).markdown()


def _ideal(served: remote.Remote, trials: Trials) -> list[float]:
    """Seconds, round by round, if no core ever waited.

    That is all the processor's time that the fastest raw transfer took, client and server, and
    that of hashing, spread over the cores.
    """
    raw = min(
        (trials[f"raw {connections}"] for connections in served.connections),
        key=lambda took: sum(trial.seconds for trial in took),
    )
    return [
        (transfer.cpu_seconds + transfer.server_cpu_seconds + hashing.cpu_seconds)
        / (os.cpu_count() or 1)
        for transfer, hashing in zip(raw, trials["sha256"], strict=True)
    ]
