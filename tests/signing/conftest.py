"""Fixtures for those who sign with the help of services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms_gate.signing import services
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
