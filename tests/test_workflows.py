"""The workflows of the project itself: what they may do, what they are made of, what they run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import oms_gate

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PIN = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def load(path: Path) -> dict[str, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    document["on"] = document.pop(True)  # YAML 1.1 reads the word so.
    return document


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in document["jobs"].values() for step in job.get("steps", [])]


def release_job(name: str) -> dict[str, Any]:
    job: dict[str, Any] = load(ROOT / ".github/workflows/release.yml")["jobs"][name]
    return job


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the scripts of this one, a version and a changelog."""
    (tmp_path / ".ci").mkdir()
    for name in ("notes", "sign-off"):
        script = tmp_path / ".ci" / name
        script.write_bytes((ROOT / ".ci" / name).read_bytes())
        script.chmod(0o755)
    (tmp_path / "oms_gate").mkdir()
    (tmp_path / "oms_gate/__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [1.2.3] - 2026-01-01\n\n- A `thing`.\n\n## [1.2.30]\n\n- Other.\n"
    )
    return tmp_path


def run(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_and_nothing_is_pasted_into_a_script(path: Path) -> None:
    document = load(path)
    for line in path.read_text().splitlines():
        if "uses:" in line and "uses: ./" not in line:
            assert PIN.fullmatch(line.strip().removeprefix("- ")), line
    for step in steps(document):
        assert "${{" not in step.get("run", "")
        if " | " in step.get("run", ""):  # What fails in a pipe fails, by the shell's options.
            assert document["defaults"]["run"]["shell"] == "bash"
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_one_version_of_each_action_is_used() -> None:
    used: dict[str, set[str]] = {}
    for path in [*WORKFLOWS, ROOT / "action.yml"]:
        for action, rest in re.findall(r"uses: ([\w/-]+)@(.*)", path.read_text()):
            used.setdefault("/".join(action.split("/")[:2]), set()).add(rest)
    assert used
    assert {action: len(versions) for action, versions in used.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_may_do_more_than_it_must(path: Path) -> None:
    document = load(path)
    assert document["permissions"] in ({}, {"contents": "read"})
    for job in document["jobs"].values():
        assert isinstance(job.get("permissions", {}), dict)  # Not write-all.
        assert "secrets" not in job
    # Neither runs with the rights of the project on what strangers send.
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(document["on"])
    assert "secrets." not in path.read_text()
    if "pull_request" in document["on"]:
        for job in document["jobs"].values():
            rights = {**document["permissions"], **job.get("permissions", {})}
            assert {"id-token", "packages", "attestations"}.isdisjoint(rights)
            assert rights.get("contents") != "write"


def test_what_is_released_is_tested_first_and_made_without_rights() -> None:
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["build"]["permissions"] == {"contents": "read"}

    def needed(name: str) -> set[str]:
        direct = set(jobs[name].get("needs", []))
        return direct.union(*map(needed, direct))

    for name in set(jobs) - {"test", "build"}:
        assert needed(name) >= {"test", "build"}
    for name in ("pypi", "image", "chart", "publish"):
        assert "attest" in needed(name)


def test_what_is_released_is_attested_with_its_sbom() -> None:
    attested = [
        step["with"] for step in release_job("attest")["steps"] if "attest@" in step["uses"]
    ]
    assert {line for given in attested for line in given["subject-path"].split()} == {
        "dist/*.whl",
        "dist/*.tar.gz",
        "dist/*.cdx.json",
    }
    assert [given.get("sbom-path") for given in attested] == [None, "dist/oms-gate.cdx.json"]
    assert any(step.get("run") == "make sbom" for step in release_job("build")["steps"])
    (page,) = (step["run"] for step in release_job("publish")["steps"] if "run" in step)
    assert "dist/*.cdx.json" in page
    image = release_job("image")["steps"]
    assert [step["with"].get("sbom-path") for step in image if "attest@" in step.get("uses", "")]
    assert any("cosign sign --yes" in step.get("run", "") for step in image)
    assert any("--provenance mode=max --sbom true" in step.get("run", "") for step in image)


def test_notes_are_those_of_the_version(project: Path) -> None:
    assert run(project, ".ci/notes", "v1.2.3") == (0, "\n- A `thing`.\n")


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2.30", "v1.2", "v1.2.3-rc1", ""])
def test_another_tag_than_the_version_is_no_release(project: Path, tag: str) -> None:
    status, said = run(project, ".ci/notes", tag)
    assert status == 1
    assert "the version 1.2.3" in said


def test_a_release_that_the_changelog_does_not_know_is_none(project: Path) -> None:
    (project / "oms_gate/__init__.py").write_text('__version__ = "1.2"\n')
    status, said = run(project, ".ci/notes", "v1.2")
    assert status == 1
    assert "## [1.2]" in said


def test_the_version_here_can_be_read() -> None:
    status, said = run(ROOT, ".ci/notes", "no-tag")
    assert status == 1
    assert f"the version {oms_gate.__version__}:" in said


def test_every_commit_is_signed_off_by_its_author(project: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=A. U. Thor", "-c", "user.email=author@example.com"]
        status, said = run(project, "git", *identity, *words)
        assert status == 0, said
        return said.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message=Begin")
    base = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--signoff", "--message=Good")
    assert run(project, ".ci/sign-off", base, "HEAD") == (0, "")
    stranger = "Signed-off-by: Somebody Else <else@example.com>"
    for message in ("Nobody", f"Somebody else\n\n{stranger}"):
        git("commit", "--quiet", "--allow-empty", f"--message={message}")
        bad = git("rev-parse", "HEAD")
        git("commit", "--quiet", "--allow-empty", "--signoff", "--message=Good again")
        status, said = run(project, ".ci/sign-off", base, "HEAD")
        assert status == 1
        assert f"{bad} has no line" in said
        assert "Signed-off-by: A. U. Thor <author@example.com>" in said
