"""Processes that write one audit log: ``python -m tests.evidence.writers FOLDER COUNT LINES``.

They sign it with the key in the folder, if there is one.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence_settings import AuditLogSettings, GateSigner
from tests.evidence.logs import CONTEXT, verdict_on


def main(folder: Path, count: int, lines: int) -> int:
    """Fork that many writers; how many of them failed."""
    key = folder / "gate.key"
    signer = OwnSigner(GateSigner(key=str(key))) if key.exists() else None
    settings = AuditLogSettings(
        file=folder / "audit.jsonl", rotate_bytes=32_768, checkpoint_lines=40, wait_seconds=60
    )
    log = AuditLog.from_settings(settings, signer)
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number in range(lines):
                    log.write(verdict_on(f"m{number}"), CONTEXT)
                status = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                raise
            finally:
                os._exit(status)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
