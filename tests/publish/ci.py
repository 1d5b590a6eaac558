"""What runs the scripts of CI templates, as GitHub and GitLab do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
_EXPRESSION = re.compile(r"\$\{\{ (inputs|steps)\.([\w-]+)(?:\.outputs\.([\w-]+))? \}\}")


def load(path: str) -> dict[str, Any]:
    """A YAML file of the project."""
    document: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return document


@dataclass
class Action:
    """The composite action, with the project installed for it.

    outputs: of the steps that ran, and of the whole.
    log: what they printed.
    """

    folder: Path
    environment: Mapping[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""

    def run(self, **given: str) -> int:
        """Run its steps up to one that fails; the exit status. Inputs have _ for -."""
        document = load("action.yml")
        inputs = {name: str(value.get("default", "")) for name, value in document["inputs"].items()}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        place = self.folder / "runner" / "oms-gate"
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "bin").exists():
            (place / "bin").symlink_to(PROGRAMS)
        status = 0
        for step in document["runs"]["steps"]:
            if step["id"] in ("python", "install"):
                continue
            if "if" in step:
                assert step["if"] == "inputs.verify != 'false'"
                if inputs["verify"] == "false":
                    continue
            status = self._step(step, inputs)
            if status:
                break
        self.outputs["action"] = {
            name: self._value(output["value"], inputs)
            for name, output in document["outputs"].items()
        }
        return status

    def _step(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> int:
        output = self.folder / f"{step['id']}.output"
        output.write_text("")
        variables = {name: self._value(text, inputs) for name, text in step["env"].items()}
        runner = {"RUNNER_TEMP": str(self.folder / "runner"), "GITHUB_OUTPUT": str(output)}
        done = shell(step["run"], self.folder, {**self.environment, **runner, **variables})
        self.log += done.stdout + done.stderr
        lines = output.read_text().splitlines()
        self.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
        return done.returncode

    def _value(self, text: str, inputs: Mapping[str, str]) -> str:
        expression = _EXPRESSION.fullmatch(text)
        assert expression is not None, text
        context, name, output = expression.groups()
        if context == "inputs":
            return inputs[name]
        return self.outputs.get(name, {}).get(output, "")


def shell(
    script: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script as a CI system's ``shell: bash`` does, with the project's programs in PATH."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
