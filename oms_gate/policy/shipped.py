"""Where the policies that come with the gate are."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from oms_gate.errors import UsageError

_PACKAGE: Final = Path(__file__).parents[1]


def shipped(name: Literal["admission.rego", "admission.wasm", "input.schema.json", "lib"]) -> Path:
    """A file or folder of ``policies/``: in the package once installed, beside it in a checkout."""
    return _place("policies") / name


def shipped_packs() -> list[str]:
    """The names of the packs: rules for a kind of organization, to start from."""
    return sorted(path.name for path in _configurations().glob("[!.]*/"))


def shipped_pack(name: str) -> dict[str, Path]:
    """The files of a pack by their paths: its Rego with tests, its data.json, its gate.yaml.

    Raises:
        UsageError: there is no such pack.
    """
    if name not in shipped_packs():
        known = ", ".join(shipped_packs()) or "none"
        raise UsageError(f"there is no pack {name!r}; those that come with the gate are: {known}")
    files = {path.name: path for path in _policies().glob("*.rego")}
    for folder in (_policies() / name, _configurations() / name):
        for path in sorted(folder.rglob("[!.]*")):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path
    return files


def _policies() -> Path:
    """Of the packs; beside them is what the tests of all of them use."""
    return _place("policies") / "examples"


def _configurations() -> Path:
    return _place("packs", "examples/packs")


def _place(installed: str, checkout: str | None = None) -> Path:
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _PACKAGE.parent / (checkout or installed)
