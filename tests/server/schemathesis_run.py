"""Send the decision API whatever its OpenAPI document allows and forbids: ``make schemathesis``.

    python -m tests.server.schemathesis_run [--examples N] [options of schemathesis run]

The API runs over the Hub stand-in. Schemathesis is where ``make peers`` puts it; among the packages
of the tests it would run with each of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import models
from tests.peers.hub import HubStandIn
from tests.server.asking import TOKENS, publish, serving, settings

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = ROOT / ".tools" / "schemathesis-4.32.5"

_CONFIG = """\
[checks]
# What is refused beyond the schema: references that name no model, and stores that nobody allowed.
positive_data_acceptance.expected-statuses = [200, 202, 401, 403, 404, 422]
"""


def main() -> int:
    """Run it; 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="make schemathesis", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="for each operation")
    options, more = parser.parse_known_args()
    key = models.new_key()
    with tempfile.TemporaryDirectory() as folder, HubStandIn() as hub:
        os.environ["HF_ENDPOINT"] = hub.endpoint
        public = Path(folder) / "acme.pub"
        public.write_bytes(models.public_pem(key))
        publish(hub, key, "acme/model")
        with serving(settings(public, schemes=["hf"]), Path(folder)) as server:
            server.ask("hf://acme/model")
            return run(server.url, Path(folder), options.examples, more)


def run(url: str, folder: Path, examples: int, more: Sequence[str] = ()) -> int:
    """Run schemathesis on a server; its exit status.

    folder: for its configuration.
    examples: for each operation.
    """
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        *(f"{url}/openapi.json", "--header", f"Authorization: Bearer {TOKENS['ops']}"),
        *("--max-examples", str(examples), "--generation-deterministic", "--no-color"),
        *("--seed", "1", *more),
    ]
    environment = {**os.environ, "PYTHONPATH": str(SCHEMATHESIS), "PYTHONSAFEPATH": "1"}
    return subprocess.run(command, env=environment, cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
