"""``oms-gate storage-initializer``: pulls as KServe asks its storage initializer for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import TypeAdapter, ValidationError

from oms_gate.cli import pull
from oms_gate.cli.admission import Admission, SignerOptions
from oms_gate.errors import ConfigError, UsageError
from oms_gate.gate import Gate
from oms_gate.kserve import kserve_reference

FILES_VARIABLE: Final = "OMS_GATE_CONFIG_FILES"
"""Has the configuration where no file can be: KServe gives its containers no volumes of others'.

A JSON object of texts by the name of their file: ``gate.yaml``, and those that it names.
"""


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
    with ExitStack() as stack:
        if config is None and (files := os.environ.get(FILES_VARIABLE)):
            folder = stack.enter_context(TemporaryDirectory(prefix="oms-gate-config-"))
            config = _written(files, Path(folder))
        settings = Admission(config, SignerOptions(), None, None).settings(models[0])
        gate = stack.enter_context(Gate.from_config(settings))
        for model, folder in zip(models, arguments[1::2], strict=True):
            if status := pull.into(gate, model, folder, json=json, quiet=quiet):
                return status
    return 0


def _written(files: str, folder: Path) -> Path:
    """Write the configuration of the environment down; the path of its ``gate.yaml``."""
    try:
        texts = TypeAdapter(dict[str, str]).validate_json(files)
    except ValidationError as error:
        raise ConfigError(
            f"{FILES_VARIABLE} is not a JSON object of texts by the names of files"
        ) from error
    for name, text in texts.items():
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"{FILES_VARIABLE}: {name!r} is no file below its folder")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    if "gate.yaml" not in texts:
        raise ConfigError(f"{FILES_VARIABLE} has no gate.yaml")
    return folder / "gate.yaml"
