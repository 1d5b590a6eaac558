"""The lock of the image: all that pyproject.toml asks for, by digests, and nothing else."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.kubernetes.containerfile import ROOT, arguments, stages

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["server"],
]
IMAGE = ROOT / "requirements" / "image.txt"
BUILD = ROOT / "requirements" / "build.txt"
SBOM = ROOT / "requirements" / "sbom.txt"
PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)")
# Where the image runs; what is asked for elsewhere is no part of it.
ENVIRONMENT = {
    "python_version": "3.13",
    "python_full_version": "3.13.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def lines(path: Path) -> list[str]:
    """The requirements of a lock; continued lines are one, and comments none."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    return [re.sub(r"\s+", " ", line.strip()) for line in text.replace("\\\n", " ").splitlines()]


def pins(path: Path) -> dict[str, Version]:
    """Name and version of each."""
    found = [PIN.fullmatch(line) for line in lines(path)]
    return {match[1]: Version(match[2]) for match in found if match is not None}


def asked(requirements: Iterable[str], extra: str = "") -> Iterator[Requirement]:
    """Those that count in the image, for one extra of who asks."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate(
            {**ENVIRONMENT, "extra": extra}
        ):
            yield requirement


@pytest.mark.parametrize("path", [IMAGE, BUILD, SBOM], ids=lambda path: path.name)
def test_every_line_is_a_version_and_digests_of_its_files(path: Path) -> None:
    for line in lines(path):
        assert PIN.fullmatch(line), line  # No option, no URL, no index, no marker.
    assert "://" not in path.read_text()
    assert len(pins(path)) == len(lines(path))


@pytest.mark.parametrize(
    ("path", "requirements"),
    [
        (IMAGE, DEPENDENCIES),
        (BUILD, PROJECT["build-system"]["requires"]),
    ],
    ids=["image", "build"],
)
def test_what_the_project_asks_for_is_there(path: Path, requirements: list[str]) -> None:
    """After a change of pyproject.toml: make lock."""
    locked = pins(path)
    for requirement in asked(requirements):
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_what_those_ask_for_is_there_and_nothing_else() -> None:
    """As far as the versions here are those of the lock; when the image is made, pip checks all."""
    locked = pins(IMAGE)
    wanted: set[str] = set()
    unknown: set[str] = set()
    waiting = [*asked(DEPENDENCIES)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(locked[name], prereleases=True), requirement
        for extra in {"", *requirement.extras}:
            if f"{name}[{extra}]" in wanted:
                continue
            wanted |= {name, f"{name}[{extra}]"}
            here = importlib.metadata.distribution(name)
            if Version(here.version) == locked[name]:
                waiting += asked(here.requires or [], extra)
            else:
                unknown.add(name)
    assert unknown or locked.keys() <= wanted


def test_a_release_is_made_with_the_lock() -> None:
    """Whatever runs where distributions are made could change them."""
    makefile = (ROOT / "Makefile").read_text()
    version = re.search(r"^CYCLONEDX_VERSION := (.*)$", makefile, re.MULTILINE)
    assert version is not None
    assert pins(SBOM)["cyclonedx-bom"] == Version(version[1])
    for target in ("dist:", "sbom: $(CYCLONEDX)", "$(CYCLONEDX): requirements/sbom.txt"):
        (recipe,) = re.findall(rf"^{re.escape(target)}\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        installs = re.findall(r"pip(?: --python \S+)? install (?:.*\\\n)*.*", recipe)
        assert len(installs) == 1
        assert all(f"{option} " in installs[0] for option in ("--require-hashes", "--no-deps"))


def test_the_image_is_made_of_the_lock() -> None:
    first, *_ = stages()
    pip = [step for step in arguments(first, "RUN") if " pip " in step]
    pip = [step for step in pip if not step.endswith(" check")]
    for step in pip:
        assert " --no-deps " in step
        locked = "--require-hashes" in step and "--only-binary :all:" in step
        ours = "--no-index" in step and step.endswith((" .", "/wheels/oms_gate-*.whl"))
        assert locked != ours, step
    for path in (IMAGE, BUILD):
        assert any(step.endswith(f"--requirement requirements/{path.name}") for step in pip)
    assert any("--no-build-isolation" in step for step in pip if step.endswith(" ."))
    (base,) = {arguments(stage, "FROM")[0].split(" AS ")[0] for stage in stages()}
    assert f"/python:{ENVIRONMENT['python_version']}." in base
    assert f"IMAGE_PYTHON := {ENVIRONMENT['python_version']}\n" in (ROOT / "Makefile").read_text()
