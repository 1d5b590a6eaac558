"""The hash functions give published digests."""

from __future__ import annotations

import pytest

from oms_gate.oms.digests import DIGEST_BYTES, HASH_TYPES, HashType, new_hasher

# Of the three bytes "abc", as published with each function.
ABC = {
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "blake2b": "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    "blake3": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
}


@pytest.mark.parametrize("hash_type", HASH_TYPES)
def test_hashers_give_the_published_digests(hash_type: HashType) -> None:
    hasher = new_hasher(hash_type)
    for part in (b"a", bytearray(b"b"), memoryview(b"c")):
        hasher.update(part)
    assert hasher.hexdigest() == ABC[hash_type]
    assert hasher.digest().hex() == ABC[hash_type]
    assert len(hasher.digest()) == DIGEST_BYTES[hash_type]
