"""OPA's program, its server, and both engines with given publishers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from oms_gate.limits import Limits
from oms_gate.policy.engine import Engine
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from tests.policy.certificates import Certify, certifier
from tests.policy.opa_process import AUTHORIZATION, ROOT, TOKEN, OpaServer, run_opa
from tests.policy.samples import NO_DATA, Build, MakeEngine, policy_folder


@pytest.fixture(scope="session")
def opa_server(opa: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaServer]:
    """A server with the gate's policy that wants TOKEN for all but its health."""
    folder = tmp_path_factory.mktemp("opa")
    (folder / "authorization.rego").write_text(AUTHORIZATION)
    options = ("--authentication=token", "--authorization=basic")
    policy = str(ROOT / "policies/admission.rego")
    with run_opa(opa, folder, *options, "authorization.rego", policy) as server:
        yield server


@pytest.fixture(scope="session")
def make_wasm() -> MakeEngine:
    return lambda publishers: WasmEngine.bundled(_data(publishers), Limits())


@pytest.fixture(scope="session")
def make_server(opa_server: OpaServer) -> MakeEngine:
    def make(publishers: Iterable[dict[str, Any]]) -> Engine:
        opa_server.put("data", json.dumps(_data(publishers)))
        return ServerEngine(opa_server.url, token=TOKEN)

    return make


@pytest.fixture(scope="module", params=["wasm", "server"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, with the PUBLISHERS of the test's module."""
    publishers: Sequence[dict[str, Any]] = request.module.PUBLISHERS
    made: Engine = request.getfixturevalue(f"make_{request.param}")(publishers)
    yield made
    made.close()


@pytest.fixture
def certify(tmp_path: Path) -> Certify:
    return certifier(tmp_path)


@pytest.fixture
def build(opa: Path, tmp_path: Path) -> Build:
    """Compile and open a policy of the package that the gate asks."""

    def build(rules: str, limits: Limits | None = None, **files: str) -> WasmEngine:
        folder = policy_folder(tmp_path, rules, **files)
        return WasmEngine.from_rego(
            folder, NO_DATA, limits or Limits(), opa=opa, cache=tmp_path / "cache"
        )

    return build


def _data(publishers: Iterable[dict[str, Any]]) -> dict[str, object]:
    return data_document(Publisher.model_validate(publisher) for publisher in publishers)
