"""The reference client, ``model_signing``, called as its command line calls it.

So the start of its interpreter and its imports do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.model import SIGNATURE
from oms_gate.oms.digests import HashType


def sign(folder: Path, private_key: Path, hash_type: HashType, shard_size: int | None) -> None:
    """``model_signing sign key``, over whole files or shards of so many bytes."""
    from model_signing import signing

    signer: Any = signing.Config()  # type: ignore[no-untyped-call]
    signer.use_elliptic_key_signer(private_key=private_key)
    signer.set_hashing_config(_hashing((), hash_type, shard_size))
    signer.sign(folder, folder / SIGNATURE)


def verify(
    folder: Path,
    public_key: Path,
    ignored: Iterable[str] = (),
    hash_type: HashType = "sha256",
    shard_size: int | None = None,
) -> None:
    """``model_signing verify key``; `ignored` is not part of the model."""
    from model_signing import verifying

    verifier: Any = verifying.Config()  # type: ignore[no-untyped-call]
    verifier.use_elliptic_key_verifier(public_key=public_key)
    verifier.set_hashing_config(_hashing(ignored, hash_type, shard_size))
    verifier.verify(folder, folder / SIGNATURE)


def _hashing(ignored: Iterable[str], hash_type: HashType, shard_size: int | None) -> Any:
    from model_signing import hashing

    config: Any = hashing.Config()  # type: ignore[no-untyped-call]
    algorithm = "blake2" if hash_type == "blake2b" else hash_type
    if shard_size is None:
        config.use_file_serialization(hashing_algorithm=algorithm)
    else:
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=shard_size)
    paths = [Path(SIGNATURE), *map(Path, ignored)]
    return config.set_ignored_paths(paths=paths, ignore_git_paths=True)
