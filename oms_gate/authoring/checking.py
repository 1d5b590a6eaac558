"""Whether a policy can be used, and what is the matter with it, by the checks of OPA and regal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oms_gate.authoring.packs import refuse_whole_pack
from oms_gate.config import GateConfig, load_config, open_engine
from oms_gate.errors import ConfigError, UsageError
from oms_gate.limits import Limits
from oms_gate.policy.compiler import policy_sources, unpacked
from oms_gate.policy.program import IGNORE_HIDDEN, find_opa, run_program
from oms_gate.policy.shipped import shipped
from oms_gate.policy.wasm import HostBuiltinError, WasmEngine
from oms_gate.verdict import printable


@dataclass(frozen=True)
class Problem:
    """One thing that is the matter.

    by: what found it: ``opa check``, ``opa fmt``, ``opa build``, ``regal`` or ``oms-gate``.
    file, line: where; None if it is about the policy as a whole.
    """

    by: str
    message: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    checks: what was looked at.
    skipped: what was not, and why.
    """

    problems: tuple[Problem, ...]
    checks: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def check_policy(path: Path) -> Checked:
    """Check a policy: a folder of Rego, or what a ``gate.yaml`` names, together with its rules.

    Raises:
        ConfigError: there is no ``opa``, or the folder or the configuration cannot be read.
        UsageError: an OPA server decides, or the folder is that of a pack.
    """
    if path.is_dir():
        refuse_whole_pack(path)
        return _check_folder(path)
    config = load_config(path)
    if config.policy.server is not None:
        raise UsageError(
            f"by {path} an OPA server decides, which has its policy; check the folder that is "
            "loaded into it"
        )
    if config.policy.rego is None or config.policy.rego.is_file():
        return Checked(tuple(_unusable(config)), ("the policy with these rules",))
    checked = _check_folder(config.policy.rego)
    unusable = () if checked.problems else tuple(_unusable(config))
    checks = (*checked.checks, "the policy with these rules")
    return Checked((*checked.problems, *unusable), checks, checked.skipped)


def _unusable(config: GateConfig) -> Iterator[Problem]:
    try:
        open_engine(config).close()
    except ConfigError as error:
        yield Problem("oms-gate", str(error))


def _check_folder(folder: Path) -> Checked:
    opa = find_opa()
    policy_sources(folder)  # There is something to check.
    problems = list(_opa_check(opa, folder))
    checks = ["opa check --strict", "opa fmt"]
    problems += _unformatted(opa, folder)
    skipped = []
    regal = shutil.which("regal")
    if regal is None:
        skipped.append("regal is not on the PATH, so nothing was linted")
    else:
        checks.append("regal")
        problems += _lint(regal, folder)
    if any(problem.by == "opa check" for problem in problems):
        skipped.append("what OPA refuses is not compiled")
    else:
        checks.append("opa build")
        problems += _uncompiled(opa, folder)
    return Checked(tuple(problems), tuple(checks), tuple(skipped))


def _opa_check(opa: str, folder: Path, *options: str) -> Iterator[Problem]:
    schema = f"--schema={shipped('input.schema.json')}"
    command = [
        "check",
        "--strict",
        "--format=json",
        schema,
        IGNORE_HIDDEN,
        *options,
        "--bundle",
        ".",
    ]
    done = run_program(opa, command, folder)
    if done.returncode == 0:
        return
    for error in _found(done.stdout or done.stderr, "errors"):
        place = error.get("location") or {}
        yield _problem("opa check", error.get("message"), place.get("file"), place.get("row"))


def _unformatted(opa: str, folder: Path) -> Iterator[Problem]:
    names = [path.relative_to(folder).as_posix() for path in _rego(folder)]
    done = run_program(opa, ["fmt", "--list", *names], folder)
    # What cannot be parsed is told by opa check.
    for name in done.stdout.decode("utf-8", "replace").splitlines() if not done.returncode else ():
        yield _problem("opa fmt", "is not as opa fmt writes it; run opa fmt -w", name)


def _rego(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.rego")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _lint(regal: str, folder: Path) -> Iterator[Problem]:
    done = run_program(regal, ["lint", "--format=json", "."], folder)
    for violation in _found(done.stdout, "violations"):
        place = violation.get("location") or {}
        said = f"{violation.get('description')} ({violation.get('title')})"
        yield _problem("regal", said, place.get("file"), place.get("row"))


def _uncompiled(opa: str, folder: Path) -> Iterator[Problem]:
    """Whether there is a decision, and nothing that only a server evaluates."""
    try:
        WasmEngine.from_rego(folder, {}, Limits()).close()
    except HostBuiltinError as error:
        places = list(_uses(opa, folder, error))
        yield from places or [Problem("oms-gate", str(error))]
    except ConfigError as error:
        yield Problem("opa build", str(error))


def _uses(opa: str, folder: Path, error: HostBuiltinError) -> Iterator[Problem]:
    """Where builtins are used: for an OPA without them, they are undefined functions."""
    known = json.loads(run_program(opa, ["capabilities", "--current"], folder).stdout)
    known["builtins"] = [one for one in known["builtins"] if one["name"] not in error.names]
    with unpacked({"capabilities.json": json.dumps(known).encode()}) as work:
        for found in _opa_check(opa, folder, f"--capabilities={work / 'capabilities.json'}"):
            name = found.message.rpartition(" ")[2]
            if name in error.names:
                message = f"{name} is evaluated by OPA servers only, not by the gate in process"
                if name.startswith("time."):
                    message += "; the time is input.now, in Unix seconds"
                yield Problem("oms-gate", message, found.file, found.line)


def _found(output: bytes, key: str) -> list[dict[str, Any]]:
    """The list of that name in what a program printed; if it is no JSON, its words are an entry."""
    with suppress(ValueError):
        found = json.loads(output).get(key)
        return found if isinstance(found, list) else []
    words = output.decode("utf-8", "replace").strip()
    return [{"message": words, "description": words, "title": "failed"}]


def _problem(by: str, message: object, file: object = None, line: object = None) -> Problem:
    said = printable(" ".join(str(message).split()))
    place = line if isinstance(line, int) and line > 0 else None
    return Problem(by, said, printable(str(file)) if file else None, place)
