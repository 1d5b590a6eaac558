"""``make bench``: streaming a model through the gate, against its limits.

A Hub stand-in in a process of its own serves a signed model of eight files. In each round, and in
this order, the same bytes are: transferred by a bare socket reader without hashing (raw); checked
by the gate; and downloaded by huggingface_hub and then checked where they lie (today). Prints
medians and their ratios, and the time of ``oms-gate --help``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.server import serve

MB = 1_000_000
FILES = 8


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1600, help="size of the model")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    options = parser.parse_args()

    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, FILES, options.megabytes * MB // FILES))
    server.start()
    # Should the server end, so does the wait for it.
    theirs.close()
    try:
        endpoint, public_key, urls = ours.recv()
        _measure(endpoint, public_key, urls, options.megabytes, options.rounds)
    finally:
        ours.send("stop")
        server.join()


def _measure(
    endpoint: str, public_key: bytes, urls: list[str], megabytes: int, rounds: int
) -> None:
    os.environ["HF_ENDPOINT"] = endpoint
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    from huggingface_hub import snapshot_download

    from oms_gate import Gate
    from oms_gate.config import GateConfig

    with tempfile.TemporaryDirectory(prefix="oms-gate-bench-") as folder:
        key = Path(folder, "key.pub")
        key.write_bytes(public_key)
        config = GateConfig.model_validate(
            {
                "trust": {"keys": {"key": key}, "public_good": False},
                "publishers": [
                    {
                        "name": "all",
                        "models": ["hf://**", "/**"],
                        "signers": [{"method": "key", "key": "key"}],
                    }
                ],
            }
        )

        with Gate.from_config(config) as gate:

            def check(reference: str) -> None:
                verdict = gate.check(reference)
                assert verdict.admitted, verdict.reasons

            def today() -> None:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    check(snapshot_download("org/model", local_dir=place))

            seconds: dict[str, list[float]] = {"raw": [], "gate": [], "today": []}
            for _ in range(rounds):
                seconds["raw"].append(_timed(lambda: _raw(urls)))
                seconds["gate"].append(_timed(lambda: check("hf://org/model")))
                seconds["today"].append(_timed(today))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{megabytes} MB in {FILES} files, median (least to most) of {rounds} rounds")
    for name, label in (
        ("raw", "transfer without hashing"),
        ("gate", "gate.check: transfer, hash, verify, decide"),
        ("today", "snapshot_download, then check the folder"),
    ):
        low, high = min(seconds[name]), max(seconds[name])
        print(
            f"  {label:<44} {medians[name]:6.2f} s ({low:.2f} to {high:.2f}) "
            f"{megabytes / medians[name]:6.0f} MB/s"
        )
    print(f"  of the raw transfer rate: {medians['raw'] / medians['gate']:.2f}")
    print(f"  faster than downloading first: {medians['today'] / medians['gate']:.1f} times")
    program = str(Path(sys.executable).with_name("oms-gate"))
    helps = [
        _timed(lambda: subprocess.run([program, "--help"], stdout=subprocess.DEVNULL, check=True))
        for _ in range(2 * rounds + 1)
    ]
    print(f"  oms-gate --help: {statistics.median(helps):.2f} s")


def _raw(urls: list[str]) -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=len(urls))

    def read(url: str) -> None:
        response = pool.request("GET", url, preload_content=False)
        while response.read1(1 << 20):
            pass
        response.release_conn()

    with ThreadPoolExecutor(len(urls)) as threads:
        list(threads.map(read, urls))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
