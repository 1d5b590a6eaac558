"""What a model is wanted for: each way to use one says so to the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import fsspec
import huggingface_hub
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionWarning, Gate, from_pretrained, guard
from oms_gate.config import GateConfig
from oms_gate.config import open_engine as opened_engine
from oms_gate.filesystem import OmsFileSystem
from oms_gate.policy.decision import Decision
from oms_gate.policy.engine import Engine
from oms_gate.publish.release import Upload, release_folder
from oms_gate.reference import Reference
from oms_gate.server import rulebook
from tests import models
from tests.kubernetes.reviewing import mutated
from tests.peers.hub import HubStandIn
from tests.publish.shelf import Shelf


class Asked:
    """The gate's own engine; `operations` are what it was asked about."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.kind = engine.kind
        self.revision = engine.revision
        self.operations: set[object] = set()

    def decide(self, document: Mapping[str, Any]) -> Decision:
        self.operations.add(document["context"]["operation"])
        return self.engine.decide(document)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


class Library:
    """Takes any model."""

    @classmethod
    def from_pretrained(cls, path: str) -> Self:
        assert (Path(path) / "config.json").is_file()
        return cls()


@pytest.fixture
def config(public_key: Path) -> GateConfig:
    signers = [{"method": "key", "key": "acme"}]
    return GateConfig.model_validate(
        {
            "trust": {"keys": {"acme": public_key}, "public_good": False},
            "publishers": [{"name": "A", "models": ["acme/*", "/**"], "signers": signers}],
            "stores": {"private_hosts": ["localhost"]},
        }
    )


@pytest.fixture
def gate(config: GateConfig) -> Iterator[Gate]:
    with Gate.from_config(config) as gate:
        gate.policy = Asked(gate.policy)
        yield gate


@pytest.fixture
def model(key: ec.EllipticCurvePrivateKey, hub: HubStandIn, tmp_path: Path) -> Path:
    """A model in a folder, which is on the Hub as acme/model too."""
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    hub.create("acme/model", files=dict(files))
    return models.write(tmp_path / "model", files)


def asked(gate: Gate) -> set[object]:
    assert isinstance(gate.policy, Asked)
    return gate.policy.operations


def test_verify(gate: Gate, model: Path) -> None:
    assert gate.check(model).admitted
    assert asked(gate) == {"verify"}


def test_pull(gate: Gate, model: Path, tmp_path: Path) -> None:
    gate.pull(model, tmp_path / "there")
    assert asked(gate) == {"pull"}


def test_load(gate: Gate, model: Path) -> None:
    from_pretrained(Library, str(model), gate=gate)
    assert asked(gate) == {"load"}


def test_load_by_an_admission(gate: Gate, model: Path) -> None:
    gate.admit(model).snapshot.close()
    assert asked(gate) == {"load"}


def test_load_what_is_denied_and_let_through(gate: Gate, model: Path) -> None:
    """It is pulled, to be loaded."""
    memory = fsspec.filesystem("memory")
    memory.put(str(model), "/elsewhere/model", recursive=True)
    gate.mode = "annotate"
    try:
        with pytest.warns(AdmissionWarning):
            from_pretrained(Library, "memory://elsewhere/model", gate=gate)
    finally:
        memory.rm("/elsewhere", recursive=True)
    assert asked(gate) == {"load"}


def test_load_under_a_guard(gate: Gate, model: Path) -> None:
    with guard(gate):
        huggingface_hub.snapshot_download("acme/model")
    assert asked(gate) == {"load"}


def test_load_through_fsspec(gate: Gate, model: Path) -> None:
    fsspec.register_implementation("oms", OmsFileSystem, clobber=True)
    with fsspec.open(f"oms::file://{model}/config.json", oms={"gate": gate}) as stream:
        assert stream.read() == models.FILES["config.json"]
    assert asked(gate) == {"load"}


def test_publish(gate: Gate, model: Path) -> None:
    released = release_folder(gate, Shelf(Reference.parse("hf://acme/model")), Upload(model))
    assert released.published is not None
    assert asked(gate) == {"publish"}


def test_admit(config: GateConfig, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Asked] = []

    def open_engine(config: GateConfig) -> Engine:
        engines.append(Asked(opened_engine(config)))
        return engines[-1]

    monkeypatch.setattr(rulebook, "open_engine", open_engine)
    answer, _ = mutated(config, model)
    assert answer.allowed
    assert set.union(*(engine.operations for engine in engines)) == {"admit"}
