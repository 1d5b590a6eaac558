"""A folder in the page cache: the gate and the reference client, at two hash functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, reference, report
from benchmarks.model import MB
from benchmarks.report import Figure, over, seconds
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Trials
from oms_gate.oms.digests import HashType

_HASH_TYPES: tuple[HashType, ...] = ("sha256", "blake3")


def measure(setting: Setting) -> Iterator[str]:
    """A model in 8 files, and in one."""
    for count in (8, 1):
        with setting.scratch() as folder:
            candidates = _candidates(setting, Path(folder), count)
            trials = setting.in_turns(candidates)
        yield f"{setting.megabytes} MB in {count} file{'s' * (count > 1)}:\n"
        yield report.transfers(candidates, trials, served=False).markdown()
        yield report.figures(_figures(trials)).markdown()


def _candidates(setting: Setting, folder: Path, count: int) -> dict[str, Candidate]:
    tiny = model.make(folder / "tiny", setting.key, count=1, size=MB)
    size = setting.megabytes * MB // count
    whole = model.make(folder / "model", setting.key, count=count, size=size)
    found = {"read": Candidate("read, nothing hashed", "raw.read", whole.source, tiny.source)}
    key = str(setting.public_key)
    for hash_type in _HASH_TYPES:
        own, warm = (
            each.linked(folder / hash_type / each.folder.name).source for each in (whole, tiny)
        )
        for source in (own, warm):
            reference.sign(Path(source.reference), setting.private_key, hash_type, None)
        found[hash_type] = Candidate(
            f"`Gate.check`, {hash_type}", "ours.check", own, warm, {"key": key}
        )
        found[f"reference {hash_type}"] = Candidate(
            f"`model_signing verify key`, {hash_type}",
            "peers.reference_client",
            own,
            warm,
            {"key": key, "hash_type": hash_type},
        )
    return found


def _figures(trials: Trials) -> Iterator[Figure]:
    ours, theirs = seconds(trials, "sha256"), seconds(trials, "reference sha256")
    yield Figure("sha256: times faster than the reference", over(theirs, ours), at_least=1)
    blake3 = seconds(trials, "blake3")
    yield Figure(
        "blake3: times faster than the reference at blake3",
        over(seconds(trials, "reference blake3"), blake3),
        at_least=1,
    )
    yield Figure(
        "blake3: times faster than the reference at sha256", over(theirs, blake3), at_least=3
    )
    yield Figure("sha256: rate, of reading alone", over(seconds(trials, "read"), ours))
