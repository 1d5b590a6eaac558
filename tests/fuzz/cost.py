"""What one input costs: ``python -m tests.fuzz.cost FOLDER``, a process for each input.

The folder holds a ``bundle`` and what is to be trusted: ``key.pem``, ``anchors.pem`` and
``trusted_root.json``, each if it is there, and ``limits.json``. Prints one line of JSON.
"""

from __future__ import annotations

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

from oms_gate.errors import StepError
from oms_gate.limits import Limits
from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, Trust
from oms_gate.oms.verify import inspect, verify


def main(folder: Path) -> None:
    """Verify and inspect the bundle, and say what came out, after how long and at what size."""
    trust = _trust(folder)
    limits = Limits.model_validate_json((folder / "limits.json").read_text())
    at = datetime.fromisoformat((folder / "at").read_text())
    bundle = (folder / "bundle").read_bytes()
    before = _mebibytes()
    verified, verify_seconds = _run(lambda: verify(bundle, trust, at=at, limits=limits))
    inspected, inspect_seconds = _run(lambda: inspect(bundle, limits))
    print(
        json.dumps(
            {
                "verify": verified,
                "verify_seconds": round(verify_seconds, 3),
                "inspect": inspected,
                "inspect_seconds": round(inspect_seconds, 3),
                "before_mebibytes": before,
                "peak_mebibytes": _mebibytes(),
            }
        )
    )


def _run(call: Callable[[], object]) -> tuple[str, float]:
    start = time.perf_counter()
    try:
        call()
        outcome = "accepted"
    except StepError as error:
        outcome = f"{error.reason.code}: {error}"
    return outcome, time.perf_counter() - start


def _trust(folder: Path) -> Trust:
    key, anchors, root = (
        (folder / name).read_bytes() if (folder / name).exists() else None
        for name in ("key.pem", "anchors.pem", "trusted_root.json")
    )
    return Trust(
        keys={"key": KeyRoot.from_pem("key", key)} if key else {},
        certificates={"anchors": CertificateRoot.from_pem("anchors", anchors)} if anchors else {},
        sigstore={"root": SigstoreRoot.from_json("root", root)} if root else {},
    )


def _mebibytes() -> int:
    """Most memory that this process has had, all of it counted."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
