"""The Hub's files over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.report import Figure, over, seconds
from benchmarks.servers import authority
from benchmarks.servers.hub import ServedHub
from benchmarks.setting import Setting
from benchmarks.trial import Candidate


def measure(setting: Setting) -> Iterator[str]:
    """A model in 8 files, and in one."""
    for count in (8, 1):
        with setting.scratch() as folder:
            trusted, certificate = authority.make(Path(folder))
            root = Path(folder, "models")
            tiny = model.make(root / "org/tiny", setting.key, count=1, size=MB)
            size = setting.megabytes * MB // count
            whole = model.make(root / "org/model", setting.key, count=count, size=size)
            with ServedHub(root, certificate=certificate) as hub:
                models = hub.publish(whole), hub.publish(tiny)
                environment = {"HF_ENDPOINT": hub.endpoint, "REQUESTS_CA_BUNDLE": str(trusted)}
                candidates = {
                    name: Candidate(label, call, *models, options, environment)
                    for name, label, call, options in (
                        ("raw", "raw transfer, one stream a file", "raw.transfer", {}),
                        (
                            "raw 4",
                            "raw transfer, ranges over 4 connections",
                            "raw.transfer",
                            {"connections": 4},
                        ),
                        ("check", "`Gate.check`", "ours.check", {"key": str(setting.public_key)}),
                    )
                }
                trials = setting.in_turns(candidates, hub.cpu_seconds)
        yield f"{setting.megabytes} MB in {count} file{'s' * (count > 1)}:\n"
        yield report.transfers(candidates, trials).markdown()
        raw = seconds(trials, "raw", "raw 4")
        rate = over(raw, seconds(trials, "check"))
        yield report.figures(
            [Figure("`check`: rate, of the raw transfer's", rate, at_least=0.73)]
        ).markdown()
