"""fsspec's own tests of what reads: whatever they write goes around, and is signed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests import abstract

from oms_gate.filesystem import OmsFileSystem
from tests import models


class _Publishing(OmsFileSystem):
    """A file system whose writing methods write to the store itself, and sign the model again."""

    model: Path
    key: ec.EllipticCurvePrivateKey
    store = LocalFileSystem(auto_mkdir=True)
    cachable = False

    def touch(self, path: str) -> None:  # type: ignore[override]
        self.pipe(path, b"content")

    def pipe(self, path: str, value: bytes) -> None:  # type: ignore[override]
        self.store.pipe_file(path, value)
        self.sign()

    def mkdir(self, path: str, create_parents: bool = True) -> None:  # type: ignore[override]
        self.store.mkdir(path, create_parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # type: ignore[override]
        self.store.makedirs(path, exist_ok=exist_ok)

    def rm(self, path: str, recursive: bool = False) -> None:  # type: ignore[override]
        self.store.rm(path, recursive=recursive)

    def sign(self) -> None:
        files = {
            name.removeprefix(f"{self.model}/"): self.store.cat_file(name)
            for name in self.store.find(str(self.model))
            if not name.endswith("model.sig")
        }
        bundle = models.signature(files, self.key)
        (self.model / "model.sig").write_bytes(bundle)


class _Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture
    def fs(
        self, options: dict[str, Any], tmp_path: Path, key: ec.EllipticCurvePrivateKey
    ) -> _Publishing:
        fs = _Publishing(target_protocol="file", **options)
        fs.model = tmp_path / "model"
        fs.key = key
        return fs

    @pytest.fixture
    def fs_path(self, fs: _Publishing) -> str:
        return str(fs.model)

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> str:
        (tmp_path / "local").mkdir()
        return str(tmp_path / "local")


class TestGet(abstract.AbstractGetTests, _Fixtures):  # type: ignore[misc]
    """Every one of them."""


class TestOpen(_Fixtures):
    """fsspec's tests of opening and piping write first; here is what they look at afterwards."""

    def test_what_is_opened_is_what_is_there(self, fs: _Publishing, fs_path: str) -> None:
        name = f"{fs_path}/target"
        fs.pipe(name, b"data")
        with fs.open(name, "rb") as file:
            assert file.read() == b"data"
        assert fs.cat_file(name) == b"data"
