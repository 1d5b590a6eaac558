"""A folder on its way to S3: as it is, and judged."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from benchmarks.candidates.ours import open_gate
from benchmarks.trial import Source, Work


def boto3_upload(to: str) -> Work:
    """``upload_file`` of boto3 for each file, as ``aws s3 cp`` has it."""
    import boto3

    client = boto3.client("s3")
    bucket, _, prefix = to.removeprefix("s3://").partition("/")

    def upload(folder: Path, name: str) -> None:
        for path in sorted(folder.iterdir()):
            client.upload_file(str(path), bucket, f"{prefix}/{name}/{path.name}")

    return _elsewhere(upload)


def judge(to: str, key: str) -> Work:
    """``oms-gate pre-publish``: nothing is sent."""
    return _release(to, key, publish=False)


def publish(to: str, key: str) -> Work:
    """``oms-gate publish`` of a model that was signed before."""
    return _release(to, key, publish=True)


def _release(to: str, key: str, *, publish: bool) -> Work:
    from oms_gate.publish.registry import open_registry
    from oms_gate.publish.release import Upload, release_folder
    from oms_gate.reference import Reference

    gate = open_gate(key, "bytes")

    def release(folder: Path, name: str) -> None:
        registry = open_registry(Reference.parse(f"{to}/{name}"), gate)
        try:
            came = release_folder(gate, registry, Upload(folder), publish=publish)
        finally:
            registry.close()
        assert came.verdict.admitted, came.verdict.reasons

    return _elsewhere(release)


def _elsewhere(upload: Callable[[Path, str], None]) -> Work:
    """Each time to another place, where nothing is."""

    def work(source: Source, _: Path) -> None:
        upload(Path(source.reference), secrets.token_hex(4))

    return work
