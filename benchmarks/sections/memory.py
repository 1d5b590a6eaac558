"""Memory, for models of very different sizes; and a verdict without reading one.

The stand-in serves zeros by itself, and the file on disk is sparse: neither takes room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.model import MB, SIGNATURE
from benchmarks.report import Spread, Table
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from tests.peers.content import Content, Repeated, sha256_of
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File

_AIM_MB = 150
_digest = cache(sha256_of)


def measure(setting: Setting) -> Iterator[str]:
    """Models of 1 GB and of 20 GB; each once, as the large ones take long."""
    sizes = (min(1000, setting.megabytes), min(20_000, 20 * setting.megabytes))
    options = {"key": str(setting.public_key)}
    with HubStandIn() as hub, TemporaryDirectory(dir=setting.disk) as folder:
        environment = {"HF_ENDPOINT": hub.endpoint}
        tiny = _publish(setting, hub, "org/tiny", _zeros(1, MB))
        candidates, declared = {}, {}
        for megabytes in sizes:
            for count in (8, 1):
                files = _zeros(count, megabytes * MB // count)
                source = _publish(setting, hub, f"org/model-{megabytes}-{count}", files)
                of = f"the Hub, {megabytes} MB in {count} file{'s' * (count > 1)}"
                candidates[of] = Candidate(of, "ours.check", source, tiny, options, environment)
                declared[of] = Candidate(
                    of,
                    "ours.check",
                    source,
                    tiny,
                    {**options, "assurance": "declared"},
                    environment,
                )
            sparse = _write(setting, Path(folder, str(megabytes)), _zeros(1, megabytes * MB))
            of = f"a folder, {megabytes} MB in 1 file"
            candidates[of] = Candidate(of, "ours.check", sparse, tiny, options, environment)
        trials = setting.in_turns(candidates, rounds=1)
        verdicts = setting.in_turns(declared)
    rows = []
    for of, (trial,) in trials.items():
        peak = trial.peak_bytes / MB
        reached = "yes" if peak <= _AIM_MB else "no"
        rate = candidates[of].source.bytes / MB / trial.seconds
        rows.append([of, f"{trial.seconds:.2f}", f"{rate:.0f}", f"{peak:.0f}", reached])
    yield "`Gate.check` at assurance `bytes`:\n"
    columns = ("", "seconds", "MB/s", "peak MB", f"at most {_AIM_MB}")
    yield Table(columns, rows).markdown()
    yield "`Gate.check` at assurance `declared`, which reads no weights:\n"
    times = {of: Spread.of(1000 * trial.seconds for trial in took) for of, took in verdicts.items()}
    yield Table(("", "ms"), [[of, spread.text(1)] for of, spread in times.items()]).markdown()


def _zeros(count: int, size: int) -> Mapping[str, Repeated]:
    return {
        f"model-{number:05}.safetensors": Repeated(bytes(1 << 20), size) for number in range(count)
    }


def _publish(
    setting: Setting, hub: HubStandIn, repository: str, files: Mapping[str, Repeated]
) -> Source:
    contents: dict[str, Content | File | None] = {
        name: File(content, sha256=_digest(content)) for name, content in files.items()
    }
    hub.create(repository, files={**contents, SIGNATURE: _signature(setting, files)})
    return Source(f"hf://{repository}", {name: content.size for name, content in files.items()})


def _write(setting: Setting, folder: Path, files: Mapping[str, Repeated]) -> Source:
    folder.mkdir()
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.truncate(content.size)
    (folder / SIGNATURE).write_bytes(_signature(setting, files))
    return Source(str(folder), {name: content.size for name, content in files.items()})


def _signature(setting: Setting, files: Mapping[str, Repeated]) -> bytes:
    """A bundle that hashes what is alike once."""
    manifest = Manifest(
        serialization="files",
        hash_type="sha256",
        shard_size=None,
        allow_symlinks=False,
        ignore_paths=(),
        resources=tuple(Resource(name, _digest(content)) for name, content in files.items()),
    )
    return sign_with_key(payload_of(manifest, "model"), setting.key)
