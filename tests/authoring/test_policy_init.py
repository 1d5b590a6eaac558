"""A folder to start a policy from: whole, usable, and never over something else."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from oms_gate.authoring.packs import packs
from oms_gate.authoring.starting import start_policy
from oms_gate.authoring.testing import run_tests
from oms_gate.errors import OmsGateError
from tests.commands import ROOT, oms_gate


def test_what_is_written_can_be_used(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "policy"
    made = oms_gate("policy", "init", folder)
    assert made.returncode == 0, made.stderr
    assert (
        f"wrote {len([path for path in folder.rglob('*') if path.is_file()])} files" in made.stdout
    )
    library = {path.name for path in (ROOT / "policies/lib").glob("*.rego")}
    written = {path.name for path in (folder / "lib").iterdir()}
    assert written == {name for name in library if not name.endswith("_test.rego")}
    checked = oms_gate("policy", "check", folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run_tests(folder)
    assert (tested.passed, tested.failed, tested.coverage) == (4, (), 100)


def test_nothing_is_overwritten_and_all_is_written_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/globs.rego").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    refused = oms_gate("policy", "init", tmp_path)
    assert refused.returncode == 2
    assert "globs.rego is there already" in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "lib/globs.rego").unlink()
    (tmp_path / "lib").rmdir()
    (tmp_path / "lib").write_text("no folder")
    with pytest.raises(OmsGateError, match="nothing was left in it"):
        start_policy(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["lib", "notes.txt"]


def test_a_link_to_nowhere_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "own.rego").symlink_to(tmp_path / "elsewhere")
    assert oms_gate("policy", "init", tmp_path).returncode == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("pack", packs())
def test_a_pack_can_be_used(tmp_path: Path, pack: str) -> None:
    start_policy(tmp_path, pack)
    assert (tmp_path / "gate.yaml").read_text() == (
        ROOT / f"examples/packs/{pack}/gate.yaml"
    ).read_text()
    tested = run_tests(tmp_path / "policy")
    assert tested.passed
    assert not tested.failed


def test_the_folder_of_a_pack_is_not_that_of_its_policy(tmp_path: Path) -> None:
    """The pack's data would be at another path there, and its tests fail for no reason."""
    pack = tmp_path / "pack"
    assert oms_gate("policy", "init", pack, "--pack", "team-key").returncode == 0
    for command in ("check", "test", "build"):
        refused = oms_gate("policy", command, pack)
        assert refused.returncode == 2, refused.stdout
        assert f"is in {pack}/policy" in refused.stderr


def test_packs_are_told_by_name(tmp_path: Path) -> None:
    listed = oms_gate("policy", "init", "--list").stdout.split()
    assert listed == packs()
    assert listed
    refused = oms_gate("policy", "init", tmp_path / "x", "--pack", "../../oms_gate")
    assert refused.returncode == 2
    assert f"those that come with the gate are: {', '.join(listed)}" in refused.stderr
    assert not (tmp_path / "x").exists()
    assert oms_gate("policy", "init").returncode == 2


def test_the_wheel_has_what_is_written() -> None:
    """The library, its schema, the packs and the cures of reasons are outside of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {
        "policies": "oms_gate/policies",
        "docs/reasons.md": "oms_gate/reasons.md",
        "examples/packs": "oms_gate/packs",
    }
    assert all((ROOT / source).exists() for source in included)
