"""Where the policy that comes with the gate is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def shipped(
    name: Literal["admission.rego", "admission.wasm", "input.schema.json", "lib", "examples"],
) -> Path:
    """A file or folder of ``policies/``: in the package once installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "policies" / name
    return installed if installed.exists() else package.parent / "policies" / name
