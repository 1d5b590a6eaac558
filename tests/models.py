"""Models for tests: small ones, signed with a key that the test made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from tests.peers.content import Content, blocks_of, size_of


def safetensors(size: int = 1000) -> bytes:
    """Weights of so many bytes, in a well-formed file."""
    # The header gets as long whatever numbers are in it.
    header = f'{{"w": {{"dtype": "U8", "shape": [{size:7}], "data_offsets": [0, {size:7}]}}}}'
    data = size - 8 - len(header)
    header = header.replace(f"{size:7}", f"{data:7}")
    return len(header).to_bytes(8, "little") + header.encode() + (bytes(range(256)) * size)[:data]


FILES: Mapping[str, bytes] = {
    "README.md": b"# A model\n",
    "config.json": b'{"model_type": "tiny"}\n',
    "model.safetensors": safetensors(256_000),
}


def new_key() -> ec.EllipticCurvePrivateKey:
    """A signing key."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Its public half, as operators configure it."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def signature(
    files: Mapping[str, Content],
    key: ec.EllipticCurvePrivateKey,
    *,
    hash_type: HashType = "sha256",
    shard_size: int | None = None,
    ignore_paths: Sequence[str] = (),
) -> bytes:
    """A bundle over all of `files`, in whole or in shards of so many bytes."""
    resources = []
    for path, content in files.items():
        if shard_size is None:
            resources.append(Resource(path, _digest(content, hash_type)))
            continue
        for start in range(0, size_of(content), shard_size):
            end = min(start + shard_size, size_of(content))
            resources.append(Resource(path, _digest(content, hash_type, start, end), start, end))
    manifest = Manifest(
        serialization="files" if shard_size is None else "shards",
        hash_type=hash_type,
        shard_size=shard_size,
        allow_symlinks=False,
        ignore_paths=tuple(ignore_paths),
        resources=tuple(sorted(resources, key=lambda resource: resource.name)),
    )
    return sign_with_key(payload_of(manifest, "model"), key)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put files into a folder, which is made."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def _digest(content: Content, hash_type: HashType, start: int = 0, stop: int | None = None) -> str:
    hasher = new_hasher(hash_type)
    for block in blocks_of(content, start, stop):
        hasher.update(block)
    return hasher.hexdigest()
