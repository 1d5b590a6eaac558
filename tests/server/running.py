"""A running ``oms-gate serve``, and a client that sends what it likes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
# A policy that is not compiled: what these services serve decides about nothing. And nobody looks
# whether files have changed, unless told to.
GATE = {
    "policy": {"server": {"url": "http://127.0.0.1:9"}},
    "limits": {"reload_seconds": 3600},
}
_SECONDS = 30.0


class Running:
    """A service of trial parts; a context manager."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        **service: Any,
    ) -> None:
        """
        service: section of gate.yaml.
        """
        self.config = folder / "gate.yaml"
        self.config.write_text(json.dumps(GATE | {"service": service}))
        self.cache = folder / "cache"
        self._log = folder / "service.log"
        ports = ("--port", "0", "--health-port", "0")
        files = ("-c", str(self.config), "--cache", str(self.cache))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.server.trial", "serve", *files, *ports, *options],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        opened = re.findall(r"127\.0\.0\.1:(\d+)", line)
        if not opened:
            self.stop()
            raise AssertionError(f"it did not start: {line!r}\n{self.log}")
        self.port, self.health_port = int(opened[0]), int(opened[-1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What was logged, as JSON, under this name."""
        return [found for found in map(json.loads, self.log.splitlines()) if found["event"] == name]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        return _get(f"http://127.0.0.1:{self.port}{path}", headers)

    def health(self, path: str) -> tuple[int, str]:
        return _get(f"http://127.0.0.1:{self.health_port}{path}", {})

    def metric(self, line: str) -> float:
        """The value of a metric, which is written as Prometheus does; 0 where there is none."""
        for found in self.health("/metrics")[1].splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        return 0

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)

    def raw(self, sent: bytes) -> bytes:
        """What is answered to these bytes until the connection is closed."""
        with self.connected() as connection:
            connection.sendall(sent)
            return received(connection)

    def processes(self) -> set[int]:
        """Processes that serve."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return set(map(int, path.read_text().split()))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def received(connection: socket.socket) -> bytes:
    """Everything until the other side ends."""

    def chunks() -> Iterator[bytes]:
        try:
            while chunk := connection.recv(65536):
                yield chunk
        except ConnectionResetError:
            pass

    return b"".join(chunks())


def until(condition: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Wait until it is true; what it gives then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


def _get(url: str, headers: Mapping[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
