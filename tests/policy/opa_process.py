"""A real OPA server in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-this-test"
AUTHORIZATION = f"""
package system.authz
default allow := false
allow if input.identity == "{TOKEN}"
allow if input.path[0] == "health"
"""


@dataclass(frozen=True)
class OpaServer:
    url: str

    def put(self, path: str, content: str) -> None:
        """Load a policy or data, as the operator of a server would."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self.url}/v1/{path}"
        requests.put(url, content.encode(), headers=headers, timeout=10).raise_for_status()


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def run_opa(opa: Path, folder: Path, *arguments: str) -> Iterator[OpaServer]:
    """Run ``opa run --server`` in a folder until the block ends."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(opa), "run", "--server", "--disable-telemetry", "--log-level=error"]
    log = folder / "opa.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--addr", f"http://{address}", *arguments],
            cwd=folder,
            stdout=output,
            stderr=output,
            env={"HOME": str(folder)},
        )
    try:
        server = OpaServer(f"http://{address}")
        _wait(server, process, log)
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(server: OpaServer, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{server.url}/health", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"opa does not answer: {log.read_text()}")
