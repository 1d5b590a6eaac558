"""The Containerfile. `make image-steps` takes its steps; here is what must be so of its text."""

from __future__ import annotations

import json
import re
import shlex

import yaml

import oms_gate
from tests.kubernetes.chart import CHART, of_kind, one
from tests.kubernetes.containerfile import ROOT, arguments, environment, stages

KNOWN = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "ENTRYPOINT"}


def test_every_stage_has_the_same_pinned_base() -> None:
    bases = {arguments(stage, "FROM")[0].split(" AS ")[0] for stage in stages()}
    (base,) = bases  # Another Python than the environment's would not run it.
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)


def test_nothing_comes_from_elsewhere() -> None:
    instructions = [instruction for stage in stages() for instruction in stage]
    assert {instruction.word for instruction in instructions} <= KNOWN  # No ADD, and no ARG.
    assert all("://" not in instruction.arguments for instruction in instructions)
    *_, final = stages()
    assert arguments(final, "RUN") == []
    assert arguments(final, "COPY") == ["--from=build /opt/oms-gate /opt/oms-gate"]
    words = " ".join(instruction.arguments for instruction in instructions).lower()
    assert not re.search(r"token|password|secret|_key", words)


def test_it_runs_as_nobody_on_a_read_only_file_system() -> None:
    *_, final = stages()
    assert arguments(final, "USER") == ["65532:65532"]
    assert [instruction.word for instruction in final][-2:] == ["USER", "ENTRYPOINT"]
    assert arguments(final, "ENTRYPOINT") == ['["oms-gate"]']
    variables = environment(final)
    assert variables["PATH"].startswith("/opt/oms-gate/bin:")
    assert variables["HOME"] == "/tmp"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"


def test_labels() -> None:
    *_, final = stages()
    (text,) = arguments(final, "LABEL")
    labels = dict(word.split("=", 1) for word in shlex.split(text))
    name = "org.opencontainers.image"
    assert labels[f"{name}.version"] == oms_gate.__version__
    assert labels[f"{name}.licenses"] == "Apache-2.0"
    base = f"{labels[f'{name}.base.name']}@{labels[f'{name}.base.digest']}"
    assert arguments(final, "FROM") == [base]


def test_the_build_sees_only_what_it_copies() -> None:
    """Docker and Podman read a file each."""
    text = (ROOT / ".containerignore").read_text()
    assert (ROOT / "Containerfile.dockerignore").read_text() == text
    first, *_ = stages()
    copied = {source for line in arguments(first, "COPY") for source in line.split()[:-1]}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_the_chart_runs_what_the_image_has() -> None:
    """No container of the gate needs a shell, and none runs as somebody else."""
    objects = list(yaml.safe_load_all((CHART / "manifests/oms-gate.yaml").read_text()))
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 65532
    assert "command" not in pod["containers"][0]
    assert of_kind(objects, "Pod") == []
    assert json.loads(arguments(stages()[-1], "ENTRYPOINT")[0]) == ["oms-gate"]
