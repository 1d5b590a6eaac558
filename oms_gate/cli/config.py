"""``oms-gate config``: is a configuration usable, and what would an OPA server need of it?"""

from __future__ import annotations

import json
from pathlib import Path

import typer

from oms_gate.config import load_config
from oms_gate.gate import Gate
from oms_gate.policy.publishers import data_document


def check(path: Path) -> int:
    """Load everything that the configuration names; 0 if all of it can be used.

    Raises:
        ConfigError: what cannot be used, with its place.
    """
    config = load_config(path)
    with Gate.from_config(config) as gate:
        trust = gate.trust
        roots = len(trust.keys) + len(trust.certificates) + len(trust.sigstore)
        typer.echo(
            f"{path} is valid: mode {config.mode}, assurance {config.assurance}, "
            f"{len(config.publishers)} publishers, {roots} trust roots, policy "
            f"{gate.policy.kind} {gate.policy.revision}"
        )
    return 0


def data(path: Path) -> int:
    """Print the data document for an OPA server.

    Raises:
        ConfigError: the configuration has a mistake.
    """
    typer.echo(json.dumps(data_document(load_config(path).publishers), indent=2))
    return 0
