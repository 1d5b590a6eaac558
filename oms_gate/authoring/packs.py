"""Packs: rules for a kind of organization, to start from."""

from __future__ import annotations

from pathlib import Path

from oms_gate.errors import UsageError
from oms_gate.policy.shipped import shipped


def packs() -> list[str]:
    """The names of the packs that come with the gate."""
    return sorted(path.name for path in _configurations().glob("[!.]*/"))


def pack_files(name: str) -> dict[str, Path]:
    """The files of a pack by their paths: its Rego with tests, its data.json, its gate.yaml.

    Raises:
        UsageError: there is no such pack.
    """
    if name not in packs():
        known = ", ".join(packs())
        raise UsageError(f"there is no pack {name!r}; those that come with the gate are: {known}")
    policies = shipped("examples")
    # What the tests of all of them use.
    files = {path.name: path for path in policies.glob("*.rego")}
    for folder in (policies / name, _configurations() / name):
        for path in sorted(folder.rglob("[!.]*")):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path
    return files


def refuse_whole_pack(folder: Path) -> None:
    """See that a policy's folder is meant, and not the one of a pack that the policy is in.

    There OPA would find the policy's data at another path than rules ask for.

    Raises:
        UsageError: it is that of a pack.
    """
    policy = folder / "policy"
    if (folder / "gate.yaml").is_file() and (policy / "admission.rego").is_file():
        raise UsageError(f"the policy of {folder} is in {policy}; name that folder")


def _configurations() -> Path:
    """In the package once installed, in the examples of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "packs"
    return installed if installed.is_dir() else package.parent / "examples/packs"
