"""A policy as it was started, and OPA's program; what is compiled twice is compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms_gate.authoring.starting import start_policy


@pytest.fixture(scope="session")
def compiled_policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests here keep what OPA compiled, by its content."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def _opa(opa: Path, compiled_policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_GATE_OPA", str(opa))
    monkeypatch.setenv("XDG_CACHE_HOME", str(compiled_policies))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy as it was started."""
    start_policy(tmp_path / "policy")
    return tmp_path / "policy"
