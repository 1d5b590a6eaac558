"""Many small files on the Hub, on bare loopback and with a latency that a network has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import model, report
from benchmarks.report import Figure, Spread, Table, over
from benchmarks.servers import latency
from benchmarks.servers.hub import ServedHub
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source, Trials

_SIZE = 10 << 10
_MILLISECONDS = 10
# What takes one file after another takes long, and as long for each of a few as of many.
_PART = 10


def measure(setting: Setting) -> Iterator[str]:
    """Every file is a regular one, which the Hub gives without a redirect."""
    count = setting.small_files
    with ExitStack() as stack:
        folder = Path(stack.enter_context(setting.scratch()))
        hub = stack.enter_context(ServedHub(folder, small=True))
        sources = [
            hub.publish(
                model.make(
                    folder / "org" / name,
                    setting.key,
                    count=files,
                    size=_SIZE,
                    name="tokens-{:05}.txt",
                )
            )
            for name, files in (("many", count), ("part", max(1, count // _PART)), ("tiny", 1))
        ]
        port = stack.enter_context(latency.link(hub.nginx.port, _MILLISECONDS))
        for title, endpoint in (
            ("bare loopback", hub.endpoint),
            (f"each request {_MILLISECONDS} ms late", f"http://127.0.0.1:{port}"),
        ):
            candidates = _candidates(setting, endpoint, *sources)
            trials = setting.in_turns(candidates, hub.cpu_seconds)
            yield f"Files of 10 KiB, {title}:\n"
            yield _rates(candidates, trials).markdown()
            yield report.figures(_figures(candidates, trials)).markdown()


def _candidates(
    setting: Setting, endpoint: str, many: Source, part: Source, tiny: Source
) -> dict[str, Candidate]:
    def there(source: Source) -> Source:
        urls = {name: f"{endpoint}{urlsplit(url).path}" for name, url in source.urls.items()}
        return replace(source, urls=urls)

    def candidate(label: str, call: str, source: Source, **options: object) -> Candidate:
        return Candidate(
            label,
            call,
            there(source),
            there(tiny),
            options,
            {"HF_ENDPOINT": endpoint},
            setting.memory,
        )

    key = str(setting.public_key)
    return {
        "one": candidate("one raw request after another, hashed", "raw.one_after_another", part),
        "raw": candidate("raw transfer over 8 connections", "raw.transfer", many, connections=8),
        "check": candidate("`Gate.check`", "ours.check", many, key=key),
        "file system": candidate(
            "`HfFileSystem`, one file after another, hashed",
            "peers.hub_file_system",
            part,
            threads=1,
        ),
        "today": candidate(
            "`snapshot_download` to tmpfs, then `model_signing verify key`",
            "peers.hub_download_then_verify",
            part,
            key=key,
        ),
    }


def _rates(candidates: dict[str, Candidate], trials: Trials) -> Table:
    rows = []
    for name, candidate in candidates.items():
        took = trials[name]
        seconds = Spread.of(trial.seconds for trial in took)
        rows.append(
            [
                candidate.label,
                str(len(candidate.source.files)),
                seconds.text(2),
                f"{len(candidate.source.files) / seconds.median:.0f}",
                Spread.of(trial.cpu_seconds for trial in took).text(2),
                Spread.of(trial.server_cpu_seconds for trial in took).text(2),
                f"{max(trial.peak_bytes for trial in took) / 1e6:.0f}",
            ]
        )
    return Table(("", "files", "seconds", "files/s", "CPU s", "server CPU s", "peak MB"), rows)


def _figures(candidates: dict[str, Candidate], trials: Trials) -> Iterator[Figure]:
    a_file = {
        name: [trial.seconds / len(candidate.source.files) for trial in trials[name]]
        for name, candidate in candidates.items()
    }
    yield Figure(
        "`check`: rate, of one request after another",
        over(a_file["one"], a_file["check"]),
        at_least=5,
    )
    yield Figure("`check`: rate, of the raw transfer's", over(a_file["raw"], a_file["check"]))
    yield Figure(
        "`check`: times faster than `HfFileSystem`", over(a_file["file system"], a_file["check"])
    )
    yield Figure(
        "`check`: times faster than `snapshot_download`, then verify",
        over(a_file["today"], a_file["check"]),
    )
