"""What the tests of several stores share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a server of files serves: x.gguf."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "x.gguf").write_bytes(b"weights")
    return tmp_path / "www"
