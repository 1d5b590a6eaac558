"""Kill gateways at random moments: ``python -m tests.gateway.kills --seconds 120``.

Two gateways, in processes of their own, share their folder and are killed (SIGKILL) and started
again while clients download from them what upstream sends right, wrong, or not at all; see
`tests.gateway.plays`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oms_gate.config import GateConfig
from tests import models
from tests.gateway import plays
from tests.gateway.resuming import Upstream
from tests.gateway.running import running
from tests.peers.hub import HubStandIn

_SERVE = "serve"


def main() -> int:
    """Print what was played; 0 if nothing was ever wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.kills", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    with HubStandIn() as hub, tempfile.TemporaryDirectory(prefix="oms-gate-kills-") as place:
        upstream, key, seed = Upstream(hub), models.new_key(), options.seed
        public = Path(place, "acme.pub")
        public.write_bytes(models.public_pem(key))
        folder = Path(place, "caches")
        processes = [Process(settings(public), folder, hub.endpoint) for _ in range(2)]
        try:
            while time.monotonic() < until:
                chance = random.Random(seed)
                name = f"acme/play-{seed}"
                right = plays.publish(hub, name, key, chance)
                path = f"/{name}/resolve/main/{plays.WEIGHTS}"
                story = plays.play(
                    upstream, processes, path, right, chance, disturb=_killing(processes, chance)
                )
                print(f"seed {seed}: {len(right)} bytes, {len(story)} steps", flush=True)
                seed += 1
        finally:
            upstream.go_on()
            for process in processes:
                process.kill()
    return 0


def settings(public_key: Path) -> dict[str, Any]:
    """What ``gate.yaml`` says of both."""
    return {
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 5, "connect_seconds": 2, "retries": 0},
        "gateway": plays.SETTINGS,
    }


class Process:
    """A gateway in a process of its own."""

    def __init__(self, settings: dict[str, Any], folder: Path, upstream: str) -> None:
        self._command = [sys.executable, "-m", __spec__.name, _SERVE, str(folder)]
        self._settings = json.dumps(settings)
        self._environment = os.environ | {"HF_ENDPOINT": upstream}
        self.start()

    def start(self) -> None:
        """Begin, on another port than before."""
        self._process = subprocess.Popen(
            [*self._command, self._settings],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.endpoint = self._process.stdout.readline().strip()
        assert self.endpoint

    def kill(self) -> None:
        """End at once, whatever is being done."""
        self._process.kill()
        with self._process:
            pass


def _killing(processes: Sequence[Process], chance: random.Random) -> Any:
    def kill() -> None:
        time.sleep(chance.uniform(0, 0.05))
        process = chance.choice(processes)
        process.kill()
        process.start()

    return kill


def _serve(folder: str, settings: str) -> int:
    config = GateConfig.model_validate_json(settings)
    with running(config, Path(folder)) as gateway:
        print(gateway.endpoint, flush=True)
        # Until whoever has started it has gone.
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(_serve(*sys.argv[2:]) if sys.argv[1:2] == [_SERVE] else main())
