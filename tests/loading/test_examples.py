"""The examples as their readers run them, and every file of the model that they open."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.loading.real_model import PROJECT, real_files, run_python, signed_files
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

EXAMPLES = PROJECT / "examples"
AUDITED = Path(__file__).with_name("audited.py")
NAME = "acme/minilm"


def digests(files: Mapping[str, Content]) -> set[str]:
    contents = (c.read_bytes() if isinstance(c, Path) else bytes(c) for c in files.values())  # type: ignore[arg-type]
    return {hashlib.sha256(content).hexdigest() for content in contents}


def run(
    example: Path, settings: dict[str, Any], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return run_python(
        [str(AUDITED), str(folder / "opened"), str(example), *arguments], settings, folder
    )


def check_opened(folder: Path, files: Mapping[str, Content]) -> None:
    """Every file of the model that was opened is one that was verified."""
    names = {Path(path).name for path in files}
    opened = {Path(line) for line in (folder / "opened").read_text().splitlines()}
    # This project has a README.md, too, which libraries read that look for packages.
    elsewhere = {path for path in opened if not path.is_relative_to(PROJECT)}
    of_model = {path for path in elsewhere if path.name in names and path.is_file()}
    assert of_model
    snapshots = folder / "cache" / "roots"
    for path in of_model:
        assert path.is_relative_to(snapshots), f"{path} was opened, which was not verified"
        assert hashlib.sha256(path.read_bytes()).hexdigest() in digests(files)
    assert not [path for path in opened if {"blobs", "models--acme--minilm"} <= {*path.parts}]


@pytest.fixture
def files(embeddings: dict[str, Content]) -> dict[str, Content]:
    """One model for all: the real one, with weights that need no more than NumPy."""
    small = {path: c for path, c in real_files().items() if path != "model.safetensors"}
    return {**small, **{path: c for path, c in embeddings.items() if path not in small}}


@pytest.mark.parametrize(
    ("example", "printed"),
    [
        ("transformers_model.py", "bert [101, 2040, 2772, 2023, 2944, 1029, 102]"),
        ("guarded_service.py", "30522 "),
        ("model2vec_embeddings.py", "(2, 4)"),
        ("sentence_embeddings.py", "(2, 384)"),
        ("vllm_generate.py", ""),
    ],
)
def test_an_example_opens_verified_files_only(
    settings: dict[str, Any],
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    embeddings: dict[str, Content],
    tmp_path: Path,
    example: str,
    printed: str,
) -> None:
    library = {"sentence_embeddings.py": "sentence_transformers", "vllm_generate.py": "vllm"}
    needed = library.get(example)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: with PyTorch it needs gigabytes")
    model = embeddings if example.startswith("model2vec") else files
    hub.create(NAME, files=signed_files(model, key))
    done = run(EXAMPLES / example, settings, tmp_path, NAME)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    check_opened(tmp_path, model)

    hub.commit(NAME, {"model.sig": None})
    denied = run(EXAMPLES / example, settings, tmp_path, NAME)
    assert denied.returncode == 1
    assert denied.stderr.rstrip().endswith("[signature.missing]")


def test_the_notebook(
    settings: dict[str, Any],
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its cells in their order, as a kernel runs them."""
    hub.create(NAME, files=signed_files(files, key))
    hub.create("acme/other", files=files)
    monkeypatch.setenv("MODEL", NAME)
    monkeypatch.setenv("OTHER_MODEL", "acme/other")
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(cell.get("outputs", []) == [] for cell in cells)
    program = tmp_path / "notebook.py"
    program.write_text("\n".join(code))
    done = run(program, settings, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hf://acme/other" in done.stdout
    assert done.stdout.rstrip().endswith("[signature.missing]")
    check_opened(tmp_path, files)


def test_every_example_is_run() -> None:
    here = Path(__file__).read_text()
    elsewhere = (Path(__file__).parents[1] / "filesystem").rglob("test_*.py")
    tested = here + "".join(path.read_text() for path in elsewhere)
    for example in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")):
        assert example.name in tested
