"""One trial: a candidate takes a model, in a process of its own.

The candidate takes a tiny model first, so that no import and no first use of a library counts.
What is measured then is the work: its wall time, the CPU time of all threads, and the most memory
that the process ever had, interpreter and libraries included.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.servers import peak_bytes

# What a user's environment says of stores, proxies and tokens does not reach a trial.
_FOREIGN = re.compile(r"(?i)(HF_|HUGGING|AWS_|XDG_|OMS_GATE_|SSL_CERT|REQUESTS_CA).*|.*_proxy")


@dataclass(frozen=True)
class Source:
    """Where a model is, for those who know its name and for those who only read its files.

    reference: as a gate names it. files: the size of each in bytes, the signature left out.
    urls: where a raw reader gets each file, or its path on disk.
    """

    reference: str
    files: Mapping[str, int]
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of the model."""
        return sum(self.files.values())


Laps = Mapping[str, float]
"""Seconds of the parts of a work that has parts."""

Work = Callable[[Source, Path], Laps | None]
"""Takes a model; the path is a folder that does not exist yet, for what is written."""


@dataclass(frozen=True)
class Candidate:
    """Who takes a model, and how.

    label: for the report. call: ``module.function`` below `benchmarks.candidates`, which is given
    `options` and returns the work. place: where a folder for what is written is made.
    """

    label: str
    call: str
    source: Source
    tiny: Source
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    place: Path | None = None


@dataclass(frozen=True)
class Trial:
    """What came of one.

    peak_bytes: most memory of the candidate's process. server_cpu_seconds: of the servers that
    it was served by.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    laps: Laps
    server_cpu_seconds: float = 0.0


Trials = Mapping[str, list[Trial]]
"""What came of each candidate, one trial a round."""


def run(candidate: Candidate, server_cpu: Callable[[], float] = lambda: 0.0) -> Trial:
    """Run a candidate once.

    server_cpu: the CPU seconds of the servers so far.

    Raises:
        RuntimeError: the candidate failed, with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="oms-gate-bench-", dir=candidate.place) as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)},
            "HOME": folder,
            "HF_HOME": f"{folder}/huggingface",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",  # the stand-in has none
            "AWS_EC2_METADATA_DISABLED": "true",
            **candidate.environment,
        }
        task = {
            "call": candidate.call,
            "options": candidate.options,
            "models": [asdict(candidate.tiny), asdict(candidate.source)],
            "folder": folder,
        }
        before = server_cpu()
        process = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(task),
            cwd=Path(__file__).parents[1],
            env=environment,
            capture_output=True,
            text=True,
        )
        spent = server_cpu() - before
    if process.returncode:
        raise RuntimeError(
            f"{candidate.label} ({candidate.call}) failed:\n{process.stderr[-3000:]}"
        )
    return Trial(**json.loads(process.stdout.splitlines()[-1]), server_cpu_seconds=spent)


def main() -> None:
    """The process of one trial: reads what to do, and prints what was measured, in JSON."""
    task = json.load(sys.stdin)
    module, _, name = task["call"].partition(".")
    prepare = getattr(import_module(f"benchmarks.candidates.{module}"), name)
    work: Work = prepare(**task["options"])
    tiny, model = (Source(**each) for each in task["models"])
    folder = Path(task["folder"])
    work(tiny, folder / "tiny")
    start, cpu_start = time.perf_counter(), time.process_time()
    laps = work(model, folder / "model")
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_bytes": peak_bytes(os.getpid()),
                "laps": laps or {},
            }
        )
    )


if __name__ == "__main__":
    main()
