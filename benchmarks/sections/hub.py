"""The Hub: its stand-in, with nginx as the CDN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.sections import remote
from benchmarks.servers.hub import ServedHub
from benchmarks.setting import Setting

# How many files, and the part of the raw transfer's rate that is aimed at.
_SHAPES = ((8, 0.50), (1, 0.43))


def measure(setting: Setting) -> Iterator[str]:
    """A model in 8 files, and in one."""
    for count, aim in _SHAPES:
        with setting.scratch() as folder, ServedHub(Path(folder)) as hub:
            tiny = model.make(Path(folder, "org/tiny"), setting.key, count=1, size=MB)
            size = setting.megabytes * MB // count
            whole = model.make(Path(folder, "org/model"), setting.key, count=count, size=size)
            served = remote.Remote(
                hub.publish(whole),
                hub.publish(tiny),
                {"HF_ENDPOINT": hub.endpoint},
                "`snapshot_download`",
                "peers.hub_download_then_verify",
                ("`HfFileSystem`", "peers.hub_file_system"),
            )
            candidates = remote.candidates(setting, served)
            trials = setting.in_turns(candidates, hub.cpu_seconds)
        yield f"{setting.megabytes} MB in {count} file{'s' * (count > 1)}:\n"
        yield report.transfers(candidates, trials).markdown()
        yield report.figures(
            remote.figures(setting, served, trials, raw_aim=aim, faster=4)
        ).markdown()
