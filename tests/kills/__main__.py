"""Kill ``oms-gate pull`` at random moments: ``python -m tests.kills --times 50``.

The command runs in a process of its own, against the Hub stand-in, and is killed (SIGKILL) at any
moment from its first request to after its end. Two revisions of a model take turns. After each
kill, what is under final names is the one or the other as a whole, or nothing; every now and then
a pull is let through to its end, and then the folder holds what was signed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.peers.content import Content, Repeated, bytes_of
from tests.peers.faults import Slow
from tests.peers.hub import HubStandIn

_COMPLETED_EVERY = 4
_BYTES_PER_SECOND = 4_000_000


def main() -> int:
    """Print what became of each kill; 0 if nothing was ever wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with HubStandIn() as hub, tempfile.TemporaryDirectory(prefix="oms-gate-kills-") as place:
        kill(hub, Path(place), options.times, random.Random(options.seed), print)
    return 0


def kill(
    hub: HubStandIn, place: Path, times: int, chance: random.Random, say: Callable[[str], object]
) -> int:
    """Kill so many pulls into a folder below `place`; how many were still at work then.

    Raises:
        AssertionError: something was wrong.
    """
    key = models.new_key()
    (place / "key.pub").write_bytes(models.public_pem(key))
    revisions = [_revision(seed) for seed in (1, 2)]
    signed = [{**files, "model.sig": models.signature(files, key)} for files in revisions]
    right = [{path: bytes_of(content) for path, content in files.items()} for files in signed]
    commits = [
        hub.create("acme/m", files=dict(signed[0])),
        hub.commit("acme/m", {**dict.fromkeys(signed[0]), **signed[1]}),
    ]
    hub.inject(Slow(_BYTES_PER_SECOND), "*.safetensors", origin="cdn")
    folder = place / "model"

    def pull(revision: int) -> subprocess.Popen[bytes]:
        reference = f"hf://acme/m@{commits[revision]}"
        program = str(Path(sys.executable).with_name("oms-gate"))
        return subprocess.Popen(
            [program, "pull", reference, str(folder), "--public-key", str(place / "key.pub"), "-q"],
            env=os.environ | {"HF_ENDPOINT": hub.endpoint},
        )

    found: dict[str, bytes] = {}
    at_work, longest = 0, 0.0
    for number in range(1, times + 1):
        # To the other one there is always something to do, and to a new folder most.
        if chance.random() < 0.2:
            shutil.rmtree(folder, ignore_errors=True)
        revision = 1 - right.index(found) if found else chance.randrange(2)
        completes = number % _COMPLETED_EVERY == 1
        hub.clear()
        with pull(revision) as process:
            # Until then it is busy with itself.
            while not hub.requests and process.poll() is None:
                time.sleep(0.005)
            started = time.monotonic()
            if not completes:
                time.sleep(chance.uniform(0, longest))
                at_work += process.poll() is None
                process.kill()
            status = process.wait()
            longest = max(longest, time.monotonic() - started)
        found = _tree(folder)
        say(f"{number:4}: exit status {status:3}, then {len(found)} files")
        assert not found or found in right, f"wrong after kill {number}: {sorted(found)}"
        assert status in ((0,) if completes else (0, -signal.SIGKILL))
        if completes:
            assert found == right[revision]
            assert {path.name for path in place.iterdir()} == {"model", "key.pub"}
    return at_work


def _revision(seed: int) -> dict[str, Content]:
    """Some files of all sizes, a part of which is the same in each revision."""
    own = bytes([seed])
    return {
        **models.FILES,
        "own.json": own,
        f"only-{seed}/x.json": own,
        "shared-1.safetensors": Repeated(b"shared", 1_000_000),
        "own-1.safetensors": Repeated(own * 7, 1_500_000),
        "own-2.safetensors": Repeated(own * 9, 500_000),
    }


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != VERDICT_FILE
    }


if __name__ == "__main__":
    sys.exit(main())
