"""The shapes that the reference client measures itself with: sizes, hash functions and shards.

One file in the page cache, verified by both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from benchmarks import model, reference, report
from benchmarks.model import MB, Model
from benchmarks.report import Spread, Table
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source
from oms_gate.oms.digests import HASH_TYPES, HashType

_MEGABYTES = (1, 16, 256, 1000)
_SHARDS = (64 << 20, 256 << 20)


def measure(setting: Setting) -> Iterator[str]:
    """A table of each sweep."""
    sizes = [megabytes for megabytes in _MEGABYTES if megabytes <= setting.megabytes]
    with setting.scratch() as scratch:
        bench = _Bench(setting, Path(scratch))
        models = {megabytes: bench.make(megabytes) for megabytes in sizes}
        largest = models[sizes[-1]]
        yield "By size, sha256:\n"
        yield bench.compare([(f"{size} MB", each, "sha256", None) for size, each in models.items()])
        yield f"By hash function, {sizes[-1]} MB:\n"
        yield bench.compare([(each, largest, each, None) for each in HASH_TYPES])
        yield f"By shard, sha256, {sizes[-1]} MB:\n"
        shards = {"the whole file": None, **{f"{size >> 20} MiB": size for size in _SHARDS}}
        yield bench.compare([(label, largest, "sha256", size) for label, size in shards.items()])


class _Bench:
    def __init__(self, setting: Setting, folder: Path) -> None:
        self._setting = setting
        self._folder = folder
        self._numbers = count()
        self._tiny = self.make(1)

    def make(self, megabytes: int) -> Model:
        """A model of one file."""
        return model.make(self._place(), self._setting.key, count=1, size=megabytes * MB)

    def compare(self, cases: Sequence[tuple[str, Model, HashType, int | None]]) -> str:
        """Both clients, at each of: label, model, hash function and size of a shard."""
        candidates = {}
        for label, whole, hash_type, shard_size in cases:
            source = self._signed(whole, hash_type, shard_size)
            tiny = self._signed(self._tiny, hash_type, shard_size)
            key = {"key": str(self._setting.public_key)}
            candidates[f"ours {label}"] = Candidate(label, "ours.check", source, tiny, key)
            candidates[f"theirs {label}"] = Candidate(
                label,
                "peers.reference_client",
                source,
                tiny,
                {**key, "hash_type": hash_type, "shard_size": shard_size},
            )
        trials = self._setting.in_turns(candidates)
        rows = []
        for label, *_ in cases:
            ours, theirs = (report.seconds(trials, f"{who} {label}") for who in ("ours", "theirs"))
            megabytes = candidates[f"ours {label}"].source.bytes / MB
            rates = (
                Spread.of(megabytes / seconds for seconds in took).text(0)
                for took in (ours, theirs)
            )
            rows.append([label, *rates, Spread.of(report.over(theirs, ours)).text(2)])
        return Table(("", "oms-gate MB/s", "reference MB/s", "times faster"), rows).markdown()

    def _signed(self, whole: Model, hash_type: HashType, shard_size: int | None) -> Source:
        """Signed by the reference client: of shards it reads only what it wrote itself."""
        signed = whole.linked(self._place())
        reference.sign(signed.folder, self._setting.private_key, hash_type, shard_size)
        return signed.source

    def _place(self) -> Path:
        return self._folder / str(next(self._numbers))
