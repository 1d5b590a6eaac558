"""The most expensive inputs that we can think of; ``python -m tests.fuzz.extremes`` measures each.

Where an attacker would need a trusted key or certificate, the input is validly signed with one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from oms_gate.limits import MIB
from oms_gate.oms.trust import SigstoreRoot
from tests.fuzz import trusted
from tests.fuzz.extremes import bundles, certificates, evidence, statements
from tests.fuzz.extremes.made import EXTREMES, LARGEST, Extreme
from tests.oms import forge

__all__ = (
    "EXTREMES",
    "SECONDS",
    "bundles",
    "certificates",
    "cost",
    "evidence",
    "most_mebibytes",
    "statements",
)

PROJECT = Path(__file__).parents[3]
SECONDS = 1.0
MEBIBYTES = 300  # and what a bundle has beyond the usual limit


def most_mebibytes(made: Extreme) -> int:
    """How much memory a process may need for an input."""
    return MEBIBYTES + max(0, len(made.bundle) - LARGEST) // MIB


def cost(made: Extreme) -> dict[str, Any]:
    """What an input costs in a process of its own (see `tests.fuzz.cost`)."""
    files = {
        "bundle": made.bundle,
        "limits.json": made.limits.model_dump_json().encode(),
        trusted.KEY: forge.public_pem(forge.key()),
        trusted.SIGSTORE: SigstoreRoot.public_good().raw,
    }
    if made.anchors:
        files[trusted.ANCHORS] = b"".join(party.pem for party in made.anchors)
    with tempfile.TemporaryDirectory(prefix="oms-gate-extreme-") as place:
        trusted.write(Path(place), files)
        command = [sys.executable, "-m", "tests.fuzz.cost", place, forge.NOW.isoformat()]
        done = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
        )
    return dict(json.loads(done.stdout))
