"""The time until the command line answers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Spread, Table
from benchmarks.setting import Setting


def measure(setting: Setting) -> Iterator[str]:
    """``oms-gate --help``."""
    program = str(Path(sys.executable).with_name("oms-gate"))
    times = []
    for _ in range(2 * setting.rounds + 1):
        start = time.perf_counter()
        subprocess.run([program, "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    yield Table(("", "seconds"), [["`oms-gate --help`", Spread.of(times).text(2)]]).markdown()
