"""``oms-gate history``: what does the gate remember of models?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from oms_gate.cli.render import print_table
from oms_gate.config import CONFIG_VARIABLE, load_config, open_history
from oms_gate.errors import ConfigError, UsageError
from oms_gate.history import History, Release
from oms_gate.history.observation import asked_of
from oms_gate.reference import Reference
from oms_gate.verdict import printable


def print_releases(
    config: Path | None, reference: str | None, limit: int | None, *, json: bool
) -> int:
    """Print the releases that were admitted, those of one model or of all; 0.

    Raises:
        UsageError: the reference cannot be the name of a model; or there is no configuration.
        ConfigError: the configuration cannot be used, or keeps no memory.
        HistoryError: the memory cannot be read.
    """
    history = configured_history(config)
    model = None if reference is None else Reference.parse(reference)
    asked = None if model is None else asked_of(model)[0] or None
    releases = history.releases(None if model is None else model.name, asked)[:limit]
    if json:
        for release in releases:
            typer.echo(release.model_dump_json())
    elif releases:
        print_table(
            ("model", "asked for", "revision", "signed by", "signed at", "first", "last", "times"),
            [_row(release) for release in releases],
        )
    if not releases:
        what = "any model" if reference is None else printable(reference)
        print(f"oms-gate: nothing is remembered of {what}", file=sys.stderr)  # noqa: T201
    return 0


def configured_history(config: Path | None) -> History:
    """The memory that a configuration names.

    Raises:
        UsageError: there is no configuration.
        ConfigError: it cannot be used, or keeps no memory.
    """
    if config is None:
        raise UsageError(
            "no configuration says where the memory is: give --config gate.yaml, or set "
            f"{CONFIG_VARIABLE}"
        )
    history = open_history(load_config(config))
    if history is None:
        raise ConfigError(
            f"{config}: it keeps no memory of models; name a file for it: history: "
            "{file: history.db}"
        )
    return history


def time_of(seconds: float | None) -> str:
    """A time in Unix seconds, for people; empty for none."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _row(release: Release) -> tuple[str, ...]:
    return (
        printable(release.model),
        printable(release.asked),
        release.revision.removeprefix("listing-sha256:")[:12],
        release.signer.identity,
        time_of(release.signed_at),
        time_of(release.first_seen),
        time_of(release.last_seen),
        str(release.count),
    )
