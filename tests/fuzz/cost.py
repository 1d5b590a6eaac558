"""What one input costs: ``python -m tests.fuzz.cost FOLDER``, a process for each input.

The folder holds the ``bundle``, its ``limits.json`` and what is trusted (see `trusted`). Prints
one line of JSON. Seconds are those of the processor, so that what else runs does not count.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

# What verification imports when it needs it is to be in memory before anything is measured.
import blake3  # noqa: F401
import rfc3161_client  # noqa: F401
import sigstore.verify  # noqa: F401

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.verify import inspect, verify
from tests.fuzz import trusted


def main(folder: Path, at: datetime) -> None:
    """Verify and inspect the bundle, and say what came out, after how long and at what size."""
    trust = trusted.load(folder)
    limits = Limits.model_validate_json((folder / "limits.json").read_text())
    bundle = (folder / "bundle").read_bytes()
    verified, verify_seconds = _run(lambda: verify(bundle, trust, at=at, limits=limits))
    gc.collect()  # What the one leaves in cycles is not the other's.
    inspected, inspect_seconds = _run(lambda: inspect(bundle, limits))
    found = {
        "verified": verified,
        "verify_seconds": round(verify_seconds, 3),
        "inspected": inspected,
        "inspect_seconds": round(inspect_seconds, 3),
        "mebibytes": _mebibytes(),
    }
    sys.stdout.write(json.dumps(found))


def _run(call: Callable[[], object]) -> tuple[str, float]:
    start = time.process_time()
    try:
        call()
        outcome = "accepted"
    except SignatureError as error:
        outcome = error.reason.code.value
    return outcome, time.process_time() - start


def _mebibytes() -> int:
    """The most memory that this process has had, all of it counted."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]))
