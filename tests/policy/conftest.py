"""OPA's program, its server, and both engines with given publishers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from oms_gate.limits import Limits
from oms_gate.policy.engine import Engine
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from tests.policy.opa_process import AUTHORIZATION, ROOT, TOKEN, OpaServer, run_opa
from tests.policy.samples import NO_DATA, Build, Engines, MakeEngine, data_of, policy_folder


@pytest.fixture(scope="session")
def opa_server(opa: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaServer]:
    """A server with the gate's policy that wants TOKEN for all but its health."""
    folder = tmp_path_factory.mktemp("opa")
    (folder / "authorization.rego").write_text(AUTHORIZATION)
    options = ("--authentication=token", "--authorization=basic")
    policy = [str(ROOT / "policies/admission.rego"), str(ROOT / "policies/lib")]
    options += ("--ignore=*_test.rego", "authorization.rego")
    with run_opa(opa, folder, *options, *policy) as server:
        yield server


@pytest.fixture(scope="session")
def make_wasm() -> MakeEngine:
    return lambda *rules: WasmEngine.bundled(data_of(*rules), Limits())


@pytest.fixture(scope="session")
def make_server(opa_server: OpaServer) -> MakeEngine:
    def make(*rules: Iterable[dict[str, Any]]) -> Engine:
        opa_server.put("data", json.dumps(data_of(*rules)))
        return ServerEngine(opa_server.url, token=TOKEN)

    return make


@pytest.fixture(scope="module", params=["wasm", "server"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, with the rules of the test's module."""
    made: Engine = request.getfixturevalue(f"make_{request.param}")(*_rules(request))
    yield made
    made.close()


@pytest.fixture(scope="module")
def engines(
    request: pytest.FixtureRequest, make_wasm: MakeEngine, make_server: MakeEngine
) -> Iterator[Engines]:
    """Both engines, with the rules of the test's module."""
    made = make_wasm(*_rules(request)), make_server(*_rules(request))
    yield made
    for each in made:
        each.close()


def _rules(request: pytest.FixtureRequest) -> Iterator[Sequence[dict[str, Any]]]:
    """PUBLISHERS, and where there are some REQUIREMENTS and EXCEPTIONS."""
    for name in ("PUBLISHERS", "REQUIREMENTS", "EXCEPTIONS"):
        yield getattr(request.module, name, [])


@pytest.fixture
def build(opa: Path, tmp_path: Path) -> Build:
    """Compile and open a policy of the package that the gate asks."""

    def build(rules: str, limits: Limits | None = None, **files: str) -> WasmEngine:
        folder = policy_folder(tmp_path, rules, **files)
        return WasmEngine.from_rego(
            folder, NO_DATA, limits or Limits(), opa=opa, cache=tmp_path / "cache"
        )

    return build
