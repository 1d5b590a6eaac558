"""A program that loads models through a cache: ``python -m tests.cache.loading FOLDER KEY URL...``.

Each is fetched as a whole, by a cache of its own, and must be what the tests' models are; then it
says so. KEY is the file of the public key that is trusted for models of acme.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from oms_gate.cache import Cache
from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.reference import Reference

_ROOT = Path(__file__).parents[2]


def main(folder: Path, key: str, urls: Sequence[str]) -> None:
    """Load each of the models, one after the other."""
    config = {
        "trust": {"keys": {"acme": key}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
    }
    with Gate.from_config(GateConfig.model_validate(config)) as gate:
        for url in urls:
            with Cache(gate, folder) as cache:
                model = cache.model(Reference.parse(url))
                model.fetch(model.files)
                for name, size in model.files.items():
                    with model.open(name) as stream:
                        assert len(stream.read()) == size
                print(f"loaded {url}", flush=True)


def loading(folder: Path, key: Path, *urls: str) -> subprocess.Popen[str]:
    """Start the program."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cache.loading", str(folder), str(key), *urls],
        cwd=_ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
