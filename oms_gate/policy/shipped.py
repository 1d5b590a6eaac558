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
    """The names of the packs: policies for a kind of organization, to start from."""
    names = {path.name for folder in _pack_folders() for path in folder.glob("[!.]*/")}
    return sorted(names)


def shipped_pack(name: str) -> dict[str, Path]:
    """The files of a pack by their paths in a policy's folder: its Rego, its data, its gate.yaml.

    Raises:
        UsageError: there is no such pack.
    """
    if name not in shipped_packs():
        known = ", ".join(shipped_packs()) or "none"
        raise UsageError(f"there is no pack {name!r}; those that come with the gate: {known}")
    return {
        path.relative_to(folder / name).as_posix(): path
        for folder in _pack_folders()
        for path in sorted((folder / name).rglob("[!.]*"))
        if path.is_file()
    }


def _pack_folders() -> tuple[Path, Path]:
    return _place("policies") / "examples", _place("packs", "examples/packs")


def _place(installed: str, checkout: str | None = None) -> Path:
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _PACKAGE.parent / (checkout or installed)
