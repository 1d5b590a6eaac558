"""The progress bar: there for what takes long, gone where nobody wants one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.loading.real_model import run_python
from tests.peers import faults
from tests.peers.hub import HubStandIn

PROGRAM = """
from huggingface_hub import hf_hub_download

from oms_gate import guard

with guard():
    hf_hub_download("acme/m", "config.json")
    hf_hub_download("acme/m", "model.safetensors")
"""


@pytest.mark.parametrize("wanted", [True, False])
def test_a_long_transfer_has_a_bar(
    settings: dict[str, Any],
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: bool,
) -> None:
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    hub.create("acme/m", files=files)
    hub.inject(faults.Slow(300_000), "*model.safetensors")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "0" if wanted else "1")
    done = run_python(["-c", PROGRAM], settings, tmp_path)
    assert done.returncode == 0, done.stderr
    if wanted:
        assert "hf://acme/m: 100%" in done.stderr
        assert "config.json" not in done.stderr
    else:
        assert "acme/m" not in done.stderr
