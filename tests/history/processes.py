"""Processes that share a memory: ``python -m tests.history.processes FILE COUNT ROUNDS``.

They begin with a line on standard input. Each admits the same model, signed by itself, and then
others, until it is done or killed; it prints its number and how that went, such as ``3 pinned`` or
``3 denied``.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from oms_gate.history import History
from oms_gate.limits import Limits
from tests.forks import failures
from tests.history.remembering import admit, key_signer, observed


def write(file: Path, number: int, rounds: int) -> None:
    """See the module."""
    history = History(file, Limits(history_seconds=60))
    own = observed(f"by {number}", signer=key_signer(str(number)))
    told = history.recall(own)
    while not told.pinned or told.signer_pinned:
        now = history.record(own, told, datetime.now(UTC))
        if now is None:
            os.write(1, b"%d pinned\n" % number)
            break
        told = now
    else:
        os.write(1, b"%d denied\n" % number)
    for turn in range(rounds):
        admit(history, observed(f"s{turn}", model=f"hf://acme/m{number}"), datetime.now(UTC))


def main(file: Path, count: int, rounds: int) -> int:
    """Fork that many writers; how many of them failed."""
    sys.stdin.readline()
    return failures(count, lambda number: write(file, number, rounds))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
