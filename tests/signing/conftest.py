"""Fixtures for those who sign: a model, a key, and services that help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oms_gate.signing import services
from tests import models
from tests.signing.signed import KEY
from tests.sigstore.server import SigstoreServer


@pytest.fixture
def server() -> Iterator[SigstoreServer]:
    """The services of a private Sigstore, a timestamp authority among them."""
    with SigstoreServer() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service is waited for longer than a moment."""
    monkeypatch.setattr(services, "SERVICE_SECONDS", 0.4)


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub"
    path.write_bytes(models.public_pem(KEY))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write(tmp_path / "model", models.FILES)
