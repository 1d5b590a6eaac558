"""The same publication with each line of huggingface_hub that is in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

PROJECT = Path(__file__).parents[2]
# What `make peers` installs beside the one of the environment.
VERSIONS = ("0.36.2", "1.33.0", "2.4.0")
TESTS = (
    "test_hub_registry.py::test_what_the_hub_answers",
    "test_hub_commit.py::TestWhatTheHubLeavesOut",
    "test_hub_commit.py::TestChangedMeanwhile::test_it_is_noticed",
    "test_hub_commit.py::test_a_source_that_fails_on_the_way",
    "test_upload.py::TestFolder::test_is_signed_and_is_one_commit",
)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tests_of_publication_pass_with(version: str) -> None:
    if version == huggingface_hub.__version__:
        pytest.skip("it is the environment's own")
    overlay = PROJECT / ".tools" / f"huggingface_hub-{version}"
    if not overlay.exists():
        pytest.skip(f"there is no {overlay}: run `make peers`")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(overlay), str(PROJECT)))}
    tests = [f"tests/publish/{name}" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
