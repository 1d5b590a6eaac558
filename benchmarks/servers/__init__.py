"""Who serves models: the Hub stand-in with nginx as its CDN, SeaweedFS, a slow link, and what
stands between them and a client."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A process that serves on a port of this machine."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[Served]:
    """Run a module of this package that prints its port; until the block ends."""
    command = [sys.executable, "-m", f"{__name__}.{module}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Served(process.pid, int(process.stdout.readline()))
        finally:
            process.terminate()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children so far."""
    # The name, which may hold spaces, ends with the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had."""
    # What getrusage calls the peak may be that of the parent, from before the exec.
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert peak is not None
    return int(peak[1]) * 1024
