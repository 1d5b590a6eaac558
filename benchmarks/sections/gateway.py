"""The gateway against a proxy that looks at nothing, and against no proxy at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.report import Figure, Spread, Table, over, seconds
from benchmarks.servers import Served, cpu_seconds, peak_bytes, serving
from benchmarks.servers.gateway import configuration
from benchmarks.servers.hub import ServedHub
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source, Trial, Trials, run

_AIM = 0.60
_SMALL_FILES = 1000
_SMALL_BYTES = 10 << 10
_SHARD_BYTES = 64 << 20
_PART_BYTES = 1 << 20


@dataclass(frozen=True)
class _Way:
    """How a client gets at a model.

    label: for the report.
    call, options: see `Candidate`.
    through: starts what is between them, if anything is, anew for each trial.
    again: whether the same client was there before.
    """

    label: str
    call: str
    through: Callable[[], AbstractContextManager[Served]] | None = None
    again: bool = False
    place: Path | None = None


def measure(setting: Setting) -> Iterator[str]:
    """A model in 8 files, in one, in many small ones; and a part of a sharded one."""
    for count in (8, 1):
        size = setting.megabytes * MB // count
        yield f"{setting.megabytes} MB in {count} file{'s' * (count > 1)}:\n"
        yield from _transfers(setting, count, size)
    files = min(setting.small_files, _SMALL_FILES)
    yield f"{files} files of 10 KiB, over 8 connections:\n"
    yield from _transfers(setting, files, _SMALL_BYTES, connections=8)
    yield "The same files, not in LFS, so that upstream itself gives them:\n"
    yield from _transfers(setting, files, _SMALL_BYTES, connections=8, small=True)
    yield from _parts(setting)


def _transfers(
    setting: Setting,
    count: int,
    size: int,
    *,
    connections: int | None = None,
    small: bool = False,
) -> Iterator[str]:
    with setting.scratch() as folder, ServedHub(Path(folder), small=small) as hub:
        tiny = hub.publish(model.make(Path(folder, "org/tiny"), setting.key, count=1, size=MB))
        whole = hub.publish(
            model.make(Path(folder, "org/model"), setting.key, count=count, size=size)
        )
        ways = _ways(setting, hub.endpoint)
        trials: dict[str, list[Trial]] = {name: [] for name in ways}
        peaks: dict[str, list[int]] = {name: [] for name in ways}
        for _ in range(setting.rounds):
            for name, way in ways.items():
                trial, peak = _trial(way, hub, whole, tiny, connections)
                trials[name].append(trial)
                peaks[name].append(peak)
    yield _table(ways, whole, trials, peaks).markdown()
    yield report.figures(_figures(setting, trials)).markdown()


def _parts(setting: Setting) -> Iterator[str]:
    """What a client waits for who wants a part of a file that nobody has asked for before."""
    size = setting.megabytes * MB
    with setting.scratch() as folder, ServedHub(Path(folder)) as hub:
        sources = {
            label: hub.publish(
                model.make(
                    Path(folder, "org", name),
                    setting.key,
                    count=1,
                    size=size,
                    shard_size=shard_size,
                )
            )
            for label, name, shard_size in (
                ("signed in shards of 64 MiB", "shards", _SHARD_BYTES),
                ("signed as a whole", "whole", None),
            )
        }
        took: dict[str, list[list[float]]] = {label: [] for label in sources}
        for _ in range(setting.rounds):
            for label, source in sources.items():
                with _gateway(setting, hub.endpoint, setting.memory) as between:
                    (url,) = _through(between, source).urls.values()
                    # The decision is no part of it.
                    _read(Request(url, method="HEAD"))
                    took[label].append([_read_part(url, size // 2) for _ in range(2)])
    yield f"1 MiB from the middle of a file of {setting.megabytes} MB:\n"
    rows = [
        [label, *(Spread.of(1000 * each[turn] for each in rounds).text(1) for turn in (0, 1))]
        for label, rounds in took.items()
    ]
    yield Table(("milliseconds", "cache empty", "again"), rows).markdown()


def _read_part(url: str, start: int) -> float:
    begun = time.perf_counter()
    _read(Request(url, headers={"Range": f"bytes={start}-{start + _PART_BYTES - 1}"}))
    return time.perf_counter() - begun


def _read(request: Request) -> None:
    with urlopen(request) as answer:
        answer.read()


def _ways(setting: Setting, upstream: str) -> dict[str, _Way]:
    def gateway(place: Path) -> Callable[[], AbstractContextManager[Served]]:
        return lambda: _gateway(setting, upstream, place)

    found = {
        "raw": _Way("raw transfer from upstream", "raw.transfer"),
        "proxy": _Way(
            "… through an aiohttp proxy, nothing hashed",
            "raw.transfer",
            lambda: serving("proxy", upstream),
        ),
    }
    for name, place in setting.places.items():
        found[f"cold {name}"] = _Way(
            f"… through the gateway, cache on {name}, empty", "raw.transfer", gateway(place)
        )
    for name, place in setting.places.items():
        found[f"warm {name}"] = _Way(
            f"… through the gateway, cache on {name}, all there",
            "raw.transfer",
            gateway(place),
            again=True,
        )
    found["download"] = _Way(
        "`snapshot_download` to tmpfs from upstream", "peers.hub_download", place=setting.memory
    )
    found["download cold"] = _Way(
        "… through the gateway, cache on tmpfs, empty",
        "peers.hub_download",
        gateway(setting.memory),
        place=setting.memory,
    )
    return found


@contextmanager
def _gateway(setting: Setting, upstream: str, place: Path) -> Iterator[Served]:
    """A gateway with an empty cache."""
    with TemporaryDirectory(prefix="oms-gate-bench-", dir=place) as cache:
        config = json.dumps(configuration(upstream, setting.public_key))
        with serving("gateway", config, cache) as served:
            yield served


def _trial(
    way: _Way, hub: ServedHub, whole: Source, tiny: Source, connections: int | None
) -> tuple[Trial, int]:
    """One trial, and the most memory of what was in between."""
    with ExitStack() as stack:
        options = {"connections": connections} if way.call == "raw.transfer" else {}
        if way.through is None:
            environment = {"HF_ENDPOINT": hub.endpoint}
            candidate = Candidate(way.label, way.call, whole, tiny, options, environment, way.place)
            return run(candidate, hub.cpu_seconds), 0
        between = stack.enter_context(way.through())
        candidate = Candidate(
            way.label,
            way.call,
            _through(between, whole),
            _through(between, tiny),
            options,
            {"HF_ENDPOINT": between.url},
            way.place,
        )
        if way.again:
            run(candidate)
        trial = run(candidate, lambda: hub.cpu_seconds() + cpu_seconds(between.pid))
        return trial, peak_bytes(between.pid)


def _through(between: Served, source: Source) -> Source:
    """The same model from there."""
    repository = source.reference.removeprefix("hf://")
    urls = {}
    for name, url in source.urls.items():
        path = urlsplit(url).path
        # What is in LFS has a URL of its own, at another origin.
        is_resolved = "/resolve/" in path
        urls[name] = between.url + (path if is_resolved else f"/{repository}/resolve/main/{name}")
    return replace(source, urls=urls)


def _table(
    ways: Mapping[str, _Way],
    source: Source,
    trials: Trials,
    peaks: Mapping[str, list[int]],
) -> Table:
    rows = []
    for name, way in ways.items():
        took = Spread.of(trial.seconds for trial in trials[name])
        peak = max(peaks[name])
        rows.append(
            [
                way.label,
                took.text(2),
                f"{source.bytes / MB / took.median:.0f}",
                f"{len(source.files) / took.median:.0f}",
                Spread.of(trial.cpu_seconds for trial in trials[name]).text(2),
                Spread.of(trial.server_cpu_seconds for trial in trials[name]).text(2),
                f"{peak / MB:.0f}" if peak else "",
            ]
        )
    return Table(
        ("", "seconds", "MB/s", "files/s", "client CPU s", "servers CPU s", "peak MB in between"),
        rows,
    )


def _figures(setting: Setting, trials: Trials) -> Iterator[Figure]:
    for state, aim in (("cold", _AIM), ("warm", None)):
        for name in setting.places:
            yield Figure(
                f"{state} on {name}: rate, of the proxy's",
                over(seconds(trials, "proxy"), seconds(trials, f"{state} {name}")),
                at_least=aim,
            )
    yield Figure(
        "cold on tmpfs: rate, of the raw transfer's",
        over(seconds(trials, "raw"), seconds(trials, "cold tmpfs")),
    )
    yield Figure(
        "`snapshot_download`, cold: time, of that from upstream",
        over(seconds(trials, "download cold"), seconds(trials, "download")),
    )
