"""Files of the cache get names, and lose some, while others use them: no change of their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache
from oms_gate.cache.contents import Contents
from oms_gate.cache.view import View
from oms_gate.errors import AdmissionDenied
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.streaming import hashing
from oms_gate.streaming.hashing import Progress
from tests import models
from tests.peers import faults
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class Once:
    """Does something at the first report of progress."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.done = False

    def __call__(self, _: Progress) -> None:
        if not self.done:
            self.done = True
            self.work()


@pytest.fixture
def sparse(
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The URL of a model with a file that takes longer to hash than a report to come."""
    monkeypatch.setattr(hashing, "_POLL_SECONDS", 0.01)
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as stream:
        stream.truncate(150_000_000)
    files: dict[str, Content] = {WEIGHTS: zeros, CONFIG: b"{}"}
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})
    return "hf://acme/m"


def test_a_file_that_gets_a_name_while_it_is_hashed_is_hashed_again(
    gate: Gate, folder: Path, sparse: str
) -> None:
    with Cache(gate, folder) as cache:
        path = cache.model(Reference.parse(sparse)).path(WEIGHTS)
    path.touch()
    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(sparse))
        named = Once(lambda: os.link(path, folder / "another name"))
        model.fetch([WEIGHTS], named)
        assert named.done
        assert model.present(WEIGHTS) == path
    path.touch()
    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(sparse))
        unnamed = Once((folder / "another name").unlink)
        model.fetch([WEIGHTS], unnamed)
        assert unnamed.done
    path.touch()
    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(sparse))
        with pytest.raises(AdmissionDenied) as denied:
            model.fetch([WEIGHTS], Once(lambda: _spoil(path)))
        assert denied.value.verdict.reasons[0].code is ReasonCode.CACHE_CHANGED


@pytest.fixture
def slow(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """The URL of a model whose weights arrive long after its other files."""
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    hub.create("acme/m", files=files)
    hub.inject(faults.Slow(250_000), "*.safetensors", origin="cdn")
    return "hf://acme/m"


def _content(folder: Path, name: str) -> Path:
    return folder / "files" / "sha256" / hashlib.sha256(models.FILES[name]).hexdigest()


def test_a_file_that_gets_a_name_while_others_arrive_is_handed_out(
    gate: Gate, folder: Path, slow: str
) -> None:
    def name_config(_: Progress) -> None:
        if (content := _content(folder, CONFIG)).exists() and not (folder / "more").exists():
            os.link(content, folder / "more")

    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(slow))
        model.fetch(models.FILES, name_config)
        assert (folder / "more").exists()
        assert model.path(CONFIG).read_bytes() == models.FILES[CONFIG]


def test_a_file_that_gets_a_name_when_it_has_arrived_is_handed_out(
    gate: Gate, folder: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring = Contents.bring

    def bring_and_name(contents: Contents, *arguments: Any) -> None:
        bring(contents, *arguments)
        if not (folder / "more").exists():
            os.link(_content(folder, CONFIG), folder / "more")

    monkeypatch.setattr(Contents, "bring", bring_and_name)
    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(slow))
        assert model.path(CONFIG).read_bytes() == models.FILES[CONFIG]
        assert (folder / "more").exists()


def test_a_file_that_gets_a_name_before_it_is_opened_is_opened(
    gate: Gate, folder: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = View.opened

    def name_and_open(view: View, path: str, content: str) -> Any:
        if not (folder / "more").exists():
            os.link(_content(folder, CONFIG), folder / "more")
        return opened(view, path, content)

    monkeypatch.setattr(View, "opened", name_and_open)
    with Cache(gate, folder) as cache:
        with cache.model(Reference.parse(slow)).open(CONFIG) as stream:
            assert stream.read() == models.FILES[CONFIG]
        assert (folder / "more").exists()


@pytest.mark.parametrize("before", [True, False])
def test_a_file_that_is_changed_while_others_arrive_is_not_handed_out(
    gate: Gate, folder: Path, slow: str, before: bool
) -> None:
    """What is noted of it is how it was when it was hashed, or had arrived."""
    if before:
        with Cache(gate, folder) as cache:
            cache.model(Reference.parse(slow)).path(CONFIG).touch()
    spoilt: list[Path] = []

    def spoil_config(_: Progress) -> None:
        content = _content(folder, CONFIG)
        if not spoilt and content.exists() and any(folder.glob("stages/*/partial/*")):
            _spoil(content)
            spoilt.append(content)

    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(slow))
        with pytest.raises(AdmissionDenied) as denied:
            model.fetch(models.FILES, spoil_config)
        assert spoilt
        assert denied.value.verdict.reasons[0].code is ReasonCode.CACHE_CHANGED


def _spoil(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"X")
