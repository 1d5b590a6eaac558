"""``oms-gate storage-initializer``: pulls as KServe asks its storage initializer for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oms_gate.cli import pull
from oms_gate.cli.admission import Admission, SignerOptions
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.kserve import kserve_reference


def run(arguments: Sequence[str], config: Path | None, *, json: bool, quiet: bool) -> int:
    """Pull one model after the other and print; the exit status of the last.

    arguments: by turns a model, as KServe writes it, and the folder for it.

    Raises:
        UsageError: they are no pairs, or one of them cannot be used.
        ConfigError: the configuration cannot be used.
    """
    if len(arguments) % 2:
        raise UsageError(
            f"the folder for {arguments[-1]} is missing; give each model with its folder: SRC DEST"
        )
    pull.check_output(json=json, quiet=quiet)
    models = list(map(kserve_reference, arguments[::2]))
    settings = Admission(config, SignerOptions(), None, None).settings(models[0])
    with Gate.from_config(settings) as gate:
        for model, folder in zip(models, arguments[1::2], strict=True):
            if status := pull.into(gate, model, folder, json=json, quiet=quiet):
                return status
    return 0
