"""A huggingface_hub that is made otherwise than the guard knows it: no guard is pretended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from tests.delivery.pulling import signed
from tests.peers.hub import HubStandIn

# What the guarded program does with the edited library.
_DOWNLOAD = 'hf_hub_download("acme/m", "config.json")'
_PROGRAM = """
from huggingface_hub import hf_hub_download
from oms_gate import AdmissionDenied, ConfigError, Gate, guard
gate = Gate.from_config({config!r})
for _ in range(2):
    try:
        with guard(gate):
            {call}
            print("went on")
    except (AdmissionDenied, ConfigError) as error:
        print(type(error).__name__, error)
hf_hub_download("mallory/m", "config.json")
print("is as it was")
"""

# A file of the library, what is edited in it, and what is said then.
EDITS = {
    "functions that are not wrapped": (
        "file_download.py",
        "@validate_hf_hub_args\n@flag_as_download_call\ndef hf_hub_download(",
        "def hf_hub_download(",
        "hf_hub_download is not wrapped in a decorator",
    ),
    "a parameter less": (
        "_snapshot_download.py",
        "    ignore_patterns: list[str] | str | None = None,",
        "    skip_patterns: list[str] | str | None = None,",
        "snapshot_download has no parameter ignore_patterns",
    ),
    "another method of the file system": (
        "hf_file_system.py",
        "    def get_file(self",
        "    def fetch_file(self",
        "HfFileSystem has no get_file",
    ),
    "another transport": (
        "utils/_http.py",
        "_GLOBAL_CLIENT_FACTORY",
        "_FACTORY",
        "its transport is none that is known",
    ),
    "another transport of Xet": (
        "utils/_xet.py",
        "def get_xet_session(",
        "def xet_session(",
        "its Xet transport is none that is known",
    ),
}


@pytest.fixture
def run(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, settings: dict[str, Any], tmp_path: Path
) -> Callable[..., list[str]]:
    """Edit a copy of the library, and run the program with it; what it printed."""
    hub.create("acme/m", files=signed(key))
    hub.create("mallory/m", files=signed(key))
    config = tmp_path / "gate.yaml"
    config.write_text(yaml.safe_dump(settings))
    package = tmp_path / "edited" / "huggingface_hub"

    def run(name: str, old: str, new: str, call: str = _DOWNLOAD) -> list[str]:
        source = Path(huggingface_hub.__file__).parent
        shutil.copytree(source, package)
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))
        project = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(config=str(config), call=call)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(package.parent), project))},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("edit", EDITS)
def test_it_refuses_to_be_on(run: Callable[..., list[str]], edit: str) -> None:
    name, old, new, said = EDITS[edit]
    refused, again, *rest = run(name, old, new)
    assert re.match(rf"ConfigError huggingface_hub [\d.]+ cannot be guarded: {said};", refused)
    # What was replaced before it was noticed is back.
    assert again == refused
    assert rest == ["is as it was"]


def test_a_parameter_that_it_does_not_know_is_a_refusal(run: Callable[..., list[str]]) -> None:
    """It may lead to another file."""
    refused, again, *rest = run(
        "file_download.py",
        "    local_files_only: bool = False,\n    headers",
        "    local_files_only: bool = False,\n    mirror: str | None = None,\n    headers",
        'hf_hub_download("acme/m", "config.json"); '
        'hf_hub_download("acme/m", "config.json", mirror="x")',
    )
    assert refused.startswith("AdmissionDenied hf://acme/m was denied: hf_hub_download was given")
    assert again == refused
    assert rest == ["is as it was"]
