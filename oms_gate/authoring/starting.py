"""A folder to start a policy from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from oms_gate.authoring.packs import pack_files
from oms_gate.errors import OmsGateError, UsageError
from oms_gate.policy.compiler import is_test
from oms_gate.policy.shipped import shipped

_START: Final = Path(__file__).parent / "start"
_POLICY: Final = "policy"


def start_policy(folder: Path, pack: str | None = None) -> list[Path]:
    """Write a policy to start from; the files that are there now and were not before.

    The folder has the library, the policy over it, an example of a rule and its test. With a pack,
    it has the pack's gate.yaml, and all of that below ``policy/`` with the pack's own rules and
    tests in place of the example.

    Raises:
        UsageError: a file of these is there already, or there is no such pack. Nothing is written.
        OmsGateError: the folder cannot be written. What was written is removed.
    """
    files = _start() if pack is None else _start_of_pack(pack)
    if there := sorted(name for name in files if os.path.lexists(folder / name)):
        raise UsageError(
            f"{folder / there[0]} is there already, and nothing is overwritten; name a new folder, "
            "or move away what is there"
        )
    _write(folder, files)
    return [folder / name for name in files]


def _start() -> dict[str, Path]:
    return {
        **_library(),
        "data.json": _START / "data.json",
        "own.rego": _START / "own.rego",
        "own_test.rego": _START / "own_test.rego",
    }


def _start_of_pack(pack: str) -> dict[str, Path]:
    chosen = pack_files(pack)
    beside = {name: path for name, path in chosen.items() if name.endswith(".yaml")}
    inside = _library() | {name: path for name, path in chosen.items() if name not in beside}
    return beside | {f"{_POLICY}/{name}": path for name, path in inside.items()}


def _library() -> dict[str, Path]:
    """What every policy has."""
    library = shipped("lib")
    names = sorted(path.name for path in library.glob("*.rego"))
    return {
        "README.md": _START / "README.md",
        ".regal/config.yaml": _START / "regal.yaml",
        "admission.rego": shipped("admission.rego"),
        "input.schema.json": shipped("input.schema.json"),
        **{f"lib/{name}": library / name for name in names if not is_test(name)},
    }


def _write(folder: Path, files: Mapping[str, Path]) -> None:
    made: list[Path] = []
    try:
        for name, source in files.items():
            path = folder / name
            missing = [parent for parent in path.parents if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                made.append(parent)
            content = source.read_bytes()
            with path.open("xb") as stream:
                made.append(path)
                stream.write(content)
    except OSError as error:
        for path in reversed(made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        raise OmsGateError(
            f"the folder {folder} cannot be written: {error.strerror}; nothing was left in it"
        ) from error
