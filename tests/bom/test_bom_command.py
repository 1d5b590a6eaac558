"""``oms-gate bom``, as its users see it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import models
from tests.bom.describing import FILES, KEY, properties, valid
from tests.commands import oms_gate

SIGNED: Mapping[str, bytes] = {**FILES, "model.sig": models.signature(FILES, KEY)}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "acme.pub").write_bytes(models.public_pem(KEY))
    return tmp_path / "acme.pub"


def test_standard_output_is_the_bill_alone(tmp_path: Path, key: Path) -> None:
    folder = models.write(tmp_path / "m", SIGNED)
    options = ("bom", folder, "--public-key", key)
    done = oms_gate(*options, SOURCE_DATE_EPOCH="1767225600")
    assert (done.returncode, done.stderr) == (0, "")
    assert valid(done.stdout)["metadata"]["timestamp"] == "2026-01-01T00:00:00+00:00"
    assert oms_gate(*options, SOURCE_DATE_EPOCH="1767225600").stdout == done.stdout
    declared = oms_gate(*options, "--spec-version", "1.7", "--assurance", "signature")
    model = valid(declared.stdout, "1.7")["metadata"]["component"]
    assert properties(model)["assurance"] == "signature"


def test_a_file(tmp_path: Path, key: Path) -> None:
    card = b"---\nlicense: 7\n---\n"
    files = {"README.md": card, "w.safetensors": FILES["model.safetensors"]}
    signed = {**files, "model.sig": models.signature(files, KEY)}
    folder = models.write(tmp_path / "m", signed)
    done = oms_gate("bom", folder, "--public-key", key, "-o", tmp_path / "m.cdx.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"written to {tmp_path / 'm.cdx.json'}" in done.stderr
    assert "! README.md: license must be text, but is int" in done.stderr
    valid((tmp_path / "m.cdx.json").read_text())
    nowhere = tmp_path / "none" / "x"
    lost = oms_gate("bom", folder, "--public-key", key, "--output", nowhere)
    assert lost.returncode == 3
    assert f"the model is admitted, but {nowhere} cannot be written" in lost.stderr
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    led_away = oms_gate("bom", folder, "--public-key", key, "--output", tmp_path / "link")
    assert (led_away.returncode, "is a link" in led_away.stderr) == (2, True)
    assert not (tmp_path / "elsewhere").exists()


def test_a_denied_model_leaves_the_file_as_it_was(tmp_path: Path, key: Path) -> None:
    changed = {**SIGNED, "config.json": b"{}"}
    folder, bill = models.write(tmp_path / "m", changed), tmp_path / "m.cdx.json"
    bill.write_text("before")
    done = oms_gate("bom", folder, "--public-key", key, "--output", bill)
    assert (done.returncode, done.stdout) == (1, "")
    assert "config.json was changed after signing" in done.stderr
    assert bill.read_text() == "before"
    gone = oms_gate("bom", tmp_path / "gone", "--public-key", key)
    assert (gone.returncode, gone.stdout) == (3, "")


@pytest.mark.parametrize("epoch", ["", "yesterday", "1" * 30])
def test_a_time_that_is_none(tmp_path: Path, key: Path, epoch: str) -> None:
    done = oms_gate("bom", tmp_path, "--public-key", key, SOURCE_DATE_EPOCH=epoch)
    assert done.returncode == 2
    assert "SOURCE_DATE_EPOCH" in done.stderr


def test_nobody_is_trusted_unasked(tmp_path: Path) -> None:
    done = oms_gate("bom", models.write(tmp_path / "m", SIGNED))
    assert done.returncode == 2
    assert "nobody is named" in done.stderr


def test_the_library_is_an_extra(tmp_path: Path, key: Path) -> None:
    """In an environment that has none of it, which is one where importing it fails."""
    (tmp_path / "without" / "cyclonedx").mkdir(parents=True)
    (tmp_path / "without" / "cyclonedx" / "__init__.py").write_text(
        "raise ModuleNotFoundError('not here', name='cyclonedx')"
    )
    path = os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")])
    done = oms_gate("bom", tmp_path, "--public-key", key, PYTHONPATH=path)
    assert done.returncode == 2
    assert "pip install 'oms-gate[bom]'" in done.stderr


def test_help_has_examples() -> None:
    done = oms_gate("bom", "--help")
    assert done.returncode == 0
    assert "oms-gate bom hf://" in done.stdout


def test_what_is_written_is_json_of_one_reading(tmp_path: Path, key: Path) -> None:
    files = {"README.md": "---\nlicense: Ünïcode 📜\n---\n".encode(), "w.bin2": b"x"}
    signed = {**files, "model.sig": models.signature(files, KEY)}
    done = oms_gate("bom", models.write(tmp_path / "m", signed), "--public-key", key)
    licences = json.loads(done.stdout)["metadata"]["component"]["licenses"]
    assert licences[0]["license"]["name"] == "Ünïcode 📜"
