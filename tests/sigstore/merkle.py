"""The Merkle tree of a log (RFC 6962, 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The hash of the tree over these leaves, of which there is at least one."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    middle = _middle(len(leaves))
    return hashlib.sha256(
        b"\x01" + root_hash(leaves[:middle]) + root_hash(leaves[middle:])
    ).digest()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from one leaf to the root, from below."""
    if len(leaves) == 1:
        return []
    middle = _middle(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_hash(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_hash(leaves[:middle])]


def _middle(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
