"""The policy: what one decision takes, in process and on an OPA server."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.report import Figure, Spread, Table
from benchmarks.setting import Setting
from oms_gate.limits import Limits
from oms_gate.policy.engine import Engine
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from tests.policy.opa_process import ROOT, TOKEN, run_opa
from tests.policy.samples import certificate, document

_POLICIES = ROOT / "policies"
# Two publishers, five requirements and an exception.
_PACK = _POLICIES / "examples" / "enterprise-pki" / "data.json"
_SUBJECT = "CN=Release,OU=Model Release,O=Acme Corporation,C=US"
_FILES = (3, 1000)
_DECISIONS = 200
_STARTS = 5
_AIM_IN_PROCESS, _AIM_ON_SERVER = 1, 5
# Says yes without looking: what asking takes at least.
_TRIVIAL = 'package oms_gate.admission\n\ndecision := {"allow": true}\n'
_SHIPPED, _LEAST = "the gate's policy", "a policy that says yes"


def measure(setting: Setting) -> Iterator[str]:
    """Each candidate in turns, many times a round; a round's time is the median of its times."""
    program = shutil.which("opa", path=ROOT / ".tools/bin") or shutil.which("opa")
    assert program is not None, "opa is missing: run `make peers`"
    data = json.loads(_PACK.read_text())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(setting.scratch()))
        (folder / "trivial").mkdir()
        (folder / "trivial/admission.rego").write_text(_TRIVIAL)
        sources = [str(_POLICIES / "lib"), str(_POLICIES / "admission.rego"), str(_PACK)]
        models = {count: _model(count) for count in _FILES}
        engines: dict[tuple[str, str], Engine] = {
            ("in process", _SHIPPED): WasmEngine.bundled(data, Limits()),
            ("in process", _LEAST): WasmEngine.from_rego(
                folder / "trivial", {}, Limits(), opa=Path(program), cache=folder / "cache"
            ),
        }
        for name, files in ((_SHIPPED, sources), (_LEAST, [str(folder / "trivial")])):
            server = stack.enter_context(run_opa(Path(program), folder, *files))
            engines["OPA server on loopback", name] = ServerEngine(server.url, token=TOKEN)
        for engine in engines.values():
            stack.callback(engine.close)
        candidates: dict[tuple[str, str, int], tuple[int, Callable[[], object]]] = {
            (place, name, count): (_DECISIONS, _asking(engine, model))
            for (place, name), engine in engines.items()
            for count, model in models.items()
        }
        for count, model in models.items():
            path = folder / f"{count}.json"
            path.write_text(json.dumps(model))
            candidates["`opa eval`", _SHIPPED, count] = (
                _STARTS,
                _evaluating(program, sources, path),
            )
        candidates["opening the engine", _SHIPPED, 0] = (_STARTS, lambda: _opening(data))
        found = _in_turns(candidates, setting.rounds)
    yield _table(found).markdown()
    yield report.figures(_figures(found)).markdown()


def _model(count: int) -> dict[str, Any]:
    """The input document of a model that is admitted, with so many signed files."""
    weights = ((f"model-{number:05}.safetensors", 4_000_000_000) for number in range(count - 2))
    signed = (("config.json", 700), ("tokenizer.json", 9_000_000), *weights)
    signer = certificate(_SUBJECT, _SUBJECT, "acme-root")
    return document("s3://acme-models/production/x", signer, signed=signed)


def _asking(engine: Engine, model: Mapping[str, object]) -> Callable[[], object]:
    def ask() -> None:
        decision = engine.decide(model)
        assert decision.allow, decision

    return ask


def _evaluating(program: str, sources: list[str], model: Path) -> Callable[[], object]:
    """What a user of OPA does without a server: a process for each decision."""
    options = [option for source in sources for option in ("--data", source)]
    command = [
        program,
        "eval",
        *options,
        "--input",
        model,
        "data.oms_gate.admission.decision.allow",
    ]

    def evaluate() -> None:
        done = subprocess.run([*command, "--format=raw"], capture_output=True, check=True)
        assert done.stdout.strip() == b"true", done.stdout

    return evaluate


def _opening(data: Mapping[str, object]) -> None:
    WasmEngine.bundled(data, Limits()).close()


Found = Mapping[tuple[str, str, int], list[float]]


def _in_turns(
    candidates: Mapping[tuple[str, str, int], tuple[int, Callable[[], object]]], rounds: int
) -> Found:
    """Milliseconds of each round. What is done first of all does not count."""
    found: dict[tuple[str, str, int], list[float]] = {name: [] for name in candidates}
    for _, work in candidates.values():
        work()
    for _ in range(rounds):
        for name, (times, work) in candidates.items():
            found[name].append(1000 * median(_seconds(work) for _ in range(times)))
    return found


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _table(found: Found) -> Table:
    rows = []
    for place, name, count in found:
        if count in (0, _FILES[0]):
            counts = (count,) if count == 0 else _FILES
            spreads = [Spread.of(found[place, name, files]).text(2) for files in counts]
            label = place if count == 0 else f"{place}: {name}"
            rows.append([label, *spreads, *[""] * (len(_FILES) - len(spreads))])
    columns = ("milliseconds", *(f"{count:,} files" for count in _FILES))
    return Table(columns, rows)


def _figures(found: Found) -> Iterator[Figure]:
    most = _FILES[-1]
    for place, aim in (("in process", _AIM_IN_PROCESS), ("OPA server on loopback", _AIM_ON_SERVER)):
        ours, least = found[place, _SHIPPED, most], found[place, _LEAST, most]
        yield Figure(f"{place}, {most:,} files: milliseconds", ours, at_most=aim)
        yield Figure(f"{place}, {most:,} files: times {_LEAST}", report.over(ours, least))
        evaluated = report.over(found["`opa eval`", _SHIPPED, most], ours)
        yield Figure(f"{place}, {most:,} files: times faster than `opa eval`", evaluated)
