"""The way out: a model to S3, and a push of which only a little is new."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import model, report
from benchmarks.model import MB
from benchmarks.report import Figure, Spread, Table, over, seconds
from benchmarks.servers.s3 import ServedS3
from benchmarks.setting import Setting
from benchmarks.trial import Candidate
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from tests.publish.repositories import Repository, pointer

_AIM_SECONDS = 5
_LARGE_BYTES = 10_000 * MB
_URL = "https://huggingface.co/acme/large"


def measure(setting: Setting) -> Iterator[str]:
    """A signed model in 8 files to S3; and the hook of a repository of 10 GB."""
    with setting.scratch() as place, ServedS3(Path(place)) as s3, setting.scratch() as folder:
        name = "part-{:05}.weights"
        size = setting.megabytes * MB // 8
        tiny = model.make(Path(folder, "tiny"), setting.key, count=1, size=MB, name=name).source
        whole = model.make(Path(folder, "model"), setting.key, count=8, size=size, name=name)
        ours = {"key": str(setting.public_key)}

        def candidate(label: str, call: str, **options: str) -> Candidate:
            to = {"to": f"s3://{s3.bucket}/acme"}
            return Candidate(label, call, whole.source, tiny, {**to, **options}, s3.environment)

        candidates = {
            "boto3": candidate("boto3's `upload_file`", "publishing.boto3_upload"),
            "judge": candidate("`oms-gate pre-publish`", "publishing.judge", **ours),
            "publish": candidate("`oms-gate publish`", "publishing.publish", **ours),
        }
        trials = setting.in_turns(candidates, s3.cpu_seconds)
    yield f"{setting.megabytes} MB in 8 files, to S3:\n"
    yield report.transfers(candidates, trials).markdown()
    rate = over(seconds(trials, "boto3"), seconds(trials, "publish"))
    yield report.figures(
        [Figure("`oms-gate publish`: rate, of boto3's `upload_file`", rate)]
    ).markdown()
    took = [_push(setting) for _ in range(setting.rounds)]
    yield "A push of a README to a repository of 10 GB, whose weights have not changed:\n"
    row = ["`oms-gate hooks pre-push`", Spread.of(took).text(2)]
    yield Table(("the hook, from its start to its end", "seconds"), [row]).markdown()
    yield report.figures([Figure("the hook: seconds", took, at_most=_AIM_SECONDS)]).markdown()


def _push(setting: Setting) -> float:
    """Seconds of the hook, which Git waits for."""
    with setting.scratch() as place:
        repository = Repository.new(Path(place, "large"))
        digest = secrets.token_hex(32)
        large = repository.large_file_place(digest)
        large.parent.mkdir(parents=True)
        with large.open("wb") as file:
            file.truncate(_LARGE_BYTES)
        commits = [
            repository.commit(
                {
                    "README.md": text,
                    "model.safetensors": pointer(digest, _LARGE_BYTES),
                    "model.sig": _signature(text, digest, setting),
                }
            )
            for text in (b"# A model\n", b"# A better model\n")
        ]
        config = Path(place, "gate.yaml")
        signers = [{"method": "key", "key": "bench"}]
        settings = {
            "trust": {"keys": {"bench": str(setting.public_key)}, "public_good": False},
            "publishers": [{"name": "bench", "models": ["acme/*"], "signers": signers}],
        }
        config.write_text(json.dumps(settings))
        before, after = commits
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "oms_gate", "hooks", "pre-push", "origin", _URL],
            cwd=repository.folder,
            env={**os.environ, "OMS_GATE_CONFIG": str(config)},
            input=f"refs/heads/main {after} refs/heads/main {before}\n".encode(),
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - started


def _signature(readme: bytes, weights_sha256: str, setting: Setting) -> bytes:
    manifest = Manifest(
        serialization="files",
        hash_type="sha256",
        shard_size=None,
        allow_symlinks=False,
        ignore_paths=(),
        resources=(
            Resource("README.md", hashlib.sha256(readme).hexdigest()),
            Resource("model.safetensors", weights_sha256),
        ),
    )
    return sign_with_key(payload_of(manifest, "model"), setting.key)
