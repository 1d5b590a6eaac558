"""The gate of a configuration file: shared in a process, and found again in another one."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import pickle
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from oms_gate.errors import ConfigError
from oms_gate.filesystem import OmsFileSystem
from tests import models
from tests.filesystem.conftest import signed
from tests.peers.hub import HubStandIn

PROJECT = Path(__file__).parents[2]
CONTENT = models.FILES["model.safetensors"]


@pytest.fixture
def url(configured: None, key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> str:
    folder = models.write(tmp_path / "m", signed(key, shard_size=100_000))
    return f"oms::{folder}/model.safetensors"


def test_the_entry_point_is_declared_and_loads() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    value = project["entry-points"]["fsspec.specs"]["oms"]
    entry = importlib.metadata.EntryPoint("oms", value, "fsspec.specs")
    assert entry.load() is OmsFileSystem


def test_a_program_need_not_know_of_it(url: str, installed: dict[str, str]) -> None:
    code = f"import fsspec; print(len(fsspec.open({url!r}).open().read()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (f"{len(CONTENT)}\n", 0), done.stderr


def test_without_a_configuration_there_is_no_gate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OMS_GATE_CONFIG is not set"):
        fsspec.open(f"oms::{tmp_path}/x")


def test_one_gate_and_one_decision_serve_all_threads(
    configured: None, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    url = "oms::hf://acme/m/config.json"
    systems = set()

    def read(_: int) -> bytes:
        fs, path = fsspec.url_to_fs(url)
        systems.add(fs._models)
        content: bytes = fs.cat_file(path)
        return content

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(read, range(32))) == {models.FILES["config.json"]}
    (shared,) = systems
    assert shared.gate is type(shared.gate).from_environment()
    assert len([r for r in hub.requests if r.path.endswith("model.sig")]) == 1
    assert len([r for r in hub.requests if r.path.endswith("config.json")]) == 1


def test_it_keeps_no_thread_of_its_own(url: str) -> None:
    before = set(threading.enumerate())
    with fsspec.open(url) as file:
        assert file.read() == CONTENT
    gate = OmsFileSystem(target_protocol="file")._models.gate
    Gate.close(gate)  # That of the environment closes for nobody else.
    left = [t for t in set(threading.enumerate()) - before if not t.name.startswith("oms-gate")]
    assert left == []


def test_it_is_sent_to_other_processes(url: str) -> None:
    fs, path = fsspec.url_to_fs(url)
    assert pickle.loads(pickle.dumps(fs)) is fs
    file = pickle.loads(pickle.dumps(fsspec.open(url)))
    with file as stream:
        assert stream.read(3) == CONTENT[:3]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        assert other.submit(fs.cat_file, path, 5, 9).result() == CONTENT[5:9]


def test_with_a_gate_of_its_own_it_stays(options: dict[str, Any]) -> None:
    fs = fsspec.filesystem("oms", target_protocol="file", **options)
    with pytest.raises(pickle.PicklingError, match="OMS_GATE_CONFIG"):
        pickle.dumps(fs)


def test_a_process_that_is_forked_decides_for_itself(
    configured: None, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    fs, root = fsspec.url_to_fs("oms::hf://acme/m")
    assert isinstance(fs, OmsFileSystem)
    assert fs.cat_file(f"{root}/config.json") == models.FILES["config.json"]
    before = fs._models
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def read() -> None:
        answers.put((fs.cat_file(f"{root}/README.md"), fs._models is before))

    other = fork.Process(target=read)
    other.start()
    assert answers.get() == (models.FILES["README.md"], False)
    other.join()
    assert fs._models is before
