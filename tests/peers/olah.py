"""A real pull-through mirror of the Hub: olah, in front of the stand-in.

with Olah(hub, folder) as mirror:
    HfApi(endpoint=mirror.endpoint).model_info("org/model")
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.peers.hub import HubStandIn

PROJECT = Path(__file__).parents[2]
_PACKAGES = PROJECT / ".tools" / "olah"
_SECONDS = 20


class Olah:
    """The mirror's process, a context manager. Skips the test where it is not installed.

    It is told to remember nothing of a repository's revisions, so that a commit is seen at once;
    files are kept in `folder`, with what it logs.
    """

    def __init__(self, hub: HubStandIn, folder: Path) -> None:
        if not _PACKAGES.exists():
            pytest.skip(f"there is no {_PACKAGES}: run `make peers`")
        self._hub = hub
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._place = f"127.0.0.1:{free.getsockname()[1]}"

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://{self._place}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        host, port = self._place.split(":")
        options = {
            "host": host,
            "port": port,
            "hf-scheme": "http",
            "hf-netloc": self._hub.api.url.removeprefix("http://"),
            "hf-lfs-netloc": self._hub.cdn.url.removeprefix("http://"),
            "mirror-netloc": self._place,
            "mirror-lfs-netloc": self._place,
            "repos-path": str(self._folder / "repositories"),
            "log-path": str(self._folder / "logs"),
            "metadata-cache-ttl": "0",
        }
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from olah.server import cli; cli()"),
                    *(word for name, value in options.items() for word in (f"--{name}", value)),
                ],
                env=os.environ | {"PYTHONPATH": str(_PACKAGES)},
                cwd=self._folder,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _SECONDS
        while not _listens(host, int(port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"olah did not start: {(self._folder / 'output').read_text()}")
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
