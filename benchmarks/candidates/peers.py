"""What users have today: downloads and then the reference client, and fsspec with hashing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import reference
from benchmarks.model import SIGNATURE
from benchmarks.trial import Laps, Source, Work
from oms_gate.oms.digests import HashType

BLOCK_BYTES = 8 << 20


def hub_download() -> Work:
    """``snapshot_download`` into a folder."""
    from huggingface_hub import snapshot_download

    def work(source: Source, place: Path) -> None:
        snapshot_download(source.reference.removeprefix("hf://"), local_dir=place)

    return work


def hub_download_then_verify(key: str) -> Work:
    """The same, then ``model_signing verify key``."""
    # Into a local folder, the download keeps its notes beside the model.
    return _then_verify(hub_download(), key, ignored=[".cache"])


def s3_download_then_verify(key: str) -> Work:
    """``download_file`` of boto3 for each file, then ``model_signing verify key``."""
    import boto3

    client = boto3.client("s3")

    def download(source: Source, place: Path) -> None:
        bucket, _, prefix = source.reference.removeprefix("s3://").partition("/")
        for name in [*source.files, SIGNATURE]:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, f"{prefix}/{name}", str(place / name))

    return _then_verify(download, key)


def hub_file_system(threads: int = 8) -> Work:
    """Open, read and hash each file through ``HfFileSystem``."""
    from huggingface_hub import HfFileSystem

    return _read_through(HfFileSystem(), threads)


def s3_file_system(threads: int = 8) -> Work:
    """Open, read and hash each file through ``s3fs``."""
    from s3fs import S3FileSystem

    return _read_through(S3FileSystem(), threads)


def reference_client(
    key: str, hash_type: HashType = "sha256", shard_size: int | None = None
) -> Work:
    """``model_signing verify key`` of a folder."""

    def work(source: Source, _: Path) -> None:
        reference.verify(
            Path(source.reference), Path(key), hash_type=hash_type, shard_size=shard_size
        )

    return work


def _then_verify(
    download: Callable[[Source, Path], Laps | None], key: str, ignored: Iterable[str] = ()
) -> Work:
    def work(source: Source, place: Path) -> Laps:
        start = time.perf_counter()
        download(source, place)
        middle = time.perf_counter()
        reference.verify(place, Path(key), ignored)
        return {"download": middle - start, "verify": time.perf_counter() - middle}

    return work


def _read_through(file_system: Any, threads: int) -> Work:
    def work(source: Source, _: Path) -> None:
        def one(name: str) -> str:
            hasher = hashlib.sha256()
            path = f"{source.reference.partition('://')[2]}/{name}"
            with file_system.open(path, "rb", block_size=BLOCK_BYTES) as file:
                while block := file.read(BLOCK_BYTES):
                    hasher.update(block)
            return hasher.hexdigest()

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, source.files))

    return work
