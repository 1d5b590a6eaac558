"""``oms-gate config``: is a configuration usable, and what would an OPA server need of it?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import typer

from oms_gate.config import GateConfig, load_config
from oms_gate.errors import ConfigError
from oms_gate.gate import Gate
from oms_gate.service_settings import ApiSettings, EventSettings
from oms_gate.settings import PolicySettings


def check(path: Path) -> int:
    """Load everything that the configuration names; 0 if all of it can be used.

    Exceptions that have ended are told on standard error.

    Raises:
        ConfigError: what cannot be used, with its place.
    """
    config = load_config(path)
    if not config.publishers and config.policy == PolicySettings():
        raise ConfigError(f"{path}: it names no publishers and no policy, so it admits nothing")
    with Gate.from_config(config) as gate:
        _check_services(path, config, gate)
        roots = len(gate.trust.keys) + len(gate.trust.certificates) + len(gate.trust.sigstore)
        facts = {
            "mode": config.mode,
            "assurance": config.assurance,
            "publishers": len(config.publishers),
            "requirements": len(config.requirements),
            "exceptions": len(config.exceptions),
            "trust roots": roots,
            "policy": f"{gate.policy.kind}, {gate.policy.revision}",
        }
    typer.echo(f"{path} can be used")
    for name, value in facts.items():
        typer.echo(f"  {name:<12} {value}")
    now = datetime.now(UTC)
    for exception in config.exceptions:
        if exception.expires_at <= now:
            typer.echo(
                f"warning: the exception of {exception.owner} ended at {exception.expires} "
                f"({exception.reason}); take it out, or give it another day",
                err=True,
            )
    return 0


def _check_services(path: Path, config: GateConfig, gate: Gate) -> None:
    """See that `oms-gate serve` finds the secrets of clients, receivers and reports.

    Raises:
        ConfigError: one cannot be used.
    """
    if (config.api, config.events) == (ApiSettings(), EventSettings()):
        return
    try:
        from oms_gate.server.clients import Clients
        from oms_gate.server.consequences import Consequences
        from oms_gate.server.event_routes import event_secrets
    except ImportError:  # Nothing can be served on this machine.
        return
    Clients(path, gate.held)
    event_secrets(config)
    Consequences(config).close()


def data(path: Path) -> int:
    """Print the data document for an OPA server.

    Raises:
        ConfigError: the configuration has a mistake.
    """
    typer.echo(json.dumps(load_config(path).data, indent=2))
    return 0
