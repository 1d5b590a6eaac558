"""Pulls for tests: a gate that trusts one key, and a look at what has arrived."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, ReasonCode, Verdict
from oms_gate.config import GateConfig
from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.peers.content import Content

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "verdict.schema.json").read_text())

_gates: dict[str, Gate] = {}


def deliver(
    settings: Mapping[str, Any], reference: object, folder: Path, **options: Any
) -> Verdict:
    """Pull; the verdict is of its schema, and lies beside the model if that has arrived."""
    verdict = gate_of(settings).deliver(str(reference), folder, **options)
    jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)
    if verdict.delivery is not None:
        assert (folder / VERDICT_FILE).read_text() == verdict.to_json()
    return verdict


def gate_of(settings: Mapping[str, Any]) -> Gate:
    """The gate that is configured so: one for a module, since to compile its policy takes long."""
    text = json.dumps(settings)
    if text not in _gates:
        _gates[text] = Gate.from_config(GateConfig.model_validate_json(text))
    return _gates[text]


def close_gates() -> None:
    """Close those that `gate_of` has made."""
    while _gates:
        _gates.popitem()[1].close()


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def signed(
    key: ec.EllipticCurvePrivateKey, files: Mapping[str, Content] = models.FILES, **options: Any
) -> dict[str, Content]:
    """Files and their bundle."""
    return {**files, "model.sig": models.signature(files, key, **options)}


def tree(folder: Path) -> dict[str, bytes]:
    """All files in a folder but the verdict, by path; there is nothing but files and folders."""
    found = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        if not path.is_dir():
            assert path.is_file()
            found[str(path.relative_to(folder))] = path.read_bytes()
    found.pop(VERDICT_FILE, None)
    return found


def untouched(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What changes where anything is written in a folder."""
    return {
        path: (status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
        for path in folder.rglob("*")
        for status in [path.lstat()]
    }


def mount(*arguments: object) -> None:
    """Mount something, or skip the test where that cannot be done."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def small_volume(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own at a folder that is not there yet, until the block ends."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount file systems")
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)
