"""``oms-gate config``: is a configuration usable, and what would an OPA server need of it?"""

from __future__ import annotations

import json
from pathlib import Path

import typer

from oms_gate.config import load_config
from oms_gate.errors import ConfigError
from oms_gate.gate import Gate
from oms_gate.settings import PolicySettings


def check(path: Path) -> int:
    """Load everything that the configuration names; 0 if all of it can be used.

    Raises:
        ConfigError: what cannot be used, with its place.
    """
    config = load_config(path)
    if not config.publishers and config.policy == PolicySettings():
        raise ConfigError(f"{path}: it names no publishers and no policy, so it admits nothing")
    with Gate.from_config(config) as gate:
        roots = len(gate.trust.keys) + len(gate.trust.certificates) + len(gate.trust.sigstore)
        facts = {
            "mode": config.mode,
            "assurance": config.assurance,
            "publishers": len(config.publishers),
            "trust roots": roots,
            "policy": f"{gate.policy.kind}, {gate.policy.revision}",
        }
    typer.echo(f"{path} can be used")
    for name, value in facts.items():
        typer.echo(f"  {name:<11} {value}")
    return 0


def data(path: Path) -> int:
    """Print the data document for an OPA server.

    Raises:
        ConfigError: the configuration has a mistake.
    """
    typer.echo(json.dumps(load_config(path).data, indent=2))
    return 0
