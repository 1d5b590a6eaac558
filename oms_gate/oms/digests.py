"""The three hash functions that a manifest may use (OMS v1.0, hash algorithms)."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, Protocol, Self, get_args

HashType = Literal["sha256", "blake2b", "blake3"]

HASH_TYPES: Final[tuple[HashType, ...]] = get_args(HashType)
DIGEST_BYTES: Final[dict[HashType, int]] = {"sha256": 32, "blake2b": 64, "blake3": 32}


class Hasher(Protocol):
    """A hash function at work."""

    def update(self, buffer: bytes | bytearray | memoryview, /) -> object:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""

    def hexdigest(self) -> str:
        """The same in lower-case hex."""

    def copy(self) -> Self:
        """Another one that has seen the same bytes."""


def new_hasher(hash_type: HashType, threads: int = 1) -> Hasher:
    """A hasher that has seen no bytes yet; its digest has ``DIGEST_BYTES[hash_type]`` bytes.

    threads: how many it may use, if it is one that can.
    """
    if hash_type == "sha256":
        return hashlib.sha256()
    if hash_type == "blake2b":
        return hashlib.blake2b()
    from blake3 import blake3  # a compiled module that only few manifests need

    return blake3(max_threads=threads)
