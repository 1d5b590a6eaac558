"""Signed models of any size, on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.trial import Source
from tests import models
from tests.peers.content import Repeated, blocks_of

MB = 1_000_000
SIGNATURE = "model.sig"
_PATTERN_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """A folder with files and their signature."""

    folder: Path
    files: Mapping[str, Repeated]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file, the signature left out."""
        return {name: content.size for name, content in self.files.items()}

    @property
    def source(self) -> Source:
        """The model where it lies."""
        paths = {name: str(self.folder / name) for name in self.files}
        return Source(str(self.folder), self.sizes, paths)

    def linked(self, folder: Path) -> Model:
        """The same files, in another folder of the same file system, without a signature."""
        for name in self.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(self.folder / name, folder / name)
        return Model(folder, self.files)


def make(
    folder: Path,
    key: ec.EllipticCurvePrivateKey,
    *,
    count: int,
    size: int,
    name: str = "model-{:05}.safetensors",
    shard_size: int | None = None,
) -> Model:
    """Write and sign `count` files of `size` bytes each, no two of them alike.

    shard_size: bytes that are signed as one; None for whole files.
    """
    files = {
        name.format(number): Repeated(os.urandom(min(size, _PATTERN_BYTES)), size)
        for number in range(count)
    }
    folder.mkdir(parents=True)
    for path, content in files.items():
        with (folder / path).open("wb") as file:
            file.writelines(blocks_of(content))
    (folder / SIGNATURE).write_bytes(models.signature(files, key, shard_size=shard_size))
    return Model(folder, files)
