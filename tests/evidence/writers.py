"""Processes that write one audit log: ``python -m tests.evidence.writers FOLDER COUNT LINES``.

They sign it with the key in the folder, if there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence_settings import AuditLogSettings, GateSigner
from tests.evidence.logs import CONTEXT, verdict_on
from tests.forks import failures


def main(folder: Path, count: int, lines: int) -> int:
    """Fork that many writers; how many of them failed."""
    key = folder / "gate.key"
    signer = OwnSigner(GateSigner(key=str(key))) if key.exists() else None
    settings = AuditLogSettings(
        file=folder / "audit.jsonl", rotate_bytes=32_768, checkpoint_lines=40, wait_seconds=60
    )
    log = AuditLog.from_settings(settings, signer)

    def write(_: int) -> None:
        for number in range(lines):
            log.write(verdict_on(f"m{number}"), CONTEXT)

    return failures(count, write)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
