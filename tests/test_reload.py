"""Processes that last follow what decides: as it is now, and as it was while the new is bad."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache
from oms_gate.config import GateConfig
from oms_gate.errors import AdmissionDenied, ConfigError
from oms_gate.gate import Gate, _shared
from oms_gate.loading.pretrained import from_pretrained
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.reload import Followed, files_state
from oms_gate.server.gate_policies import read_policy
from oms_gate.server.rulebook import Rulebook, Terms
from tests import models

SECONDS = 0.05


def _read(file: Path) -> Callable[[], str]:
    def read() -> str:
        if "bad" in (text := file.read_text()):
            raise ConfigError(f"{text} is no good")
        return text

    return read


def _followed(file: Path, **options: Any) -> Followed[str]:
    return Followed(_read(file), lambda: files_state([file.parent]), "it", **options)


def test_what_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "below" / "file"
    file.parent.mkdir()
    file.write_text("1")
    followed = Followed(_read(file), lambda: files_state([tmp_path]), "it")
    seen = []
    for text in ("1", "2", "bad", "bad", "4"):
        file.write_text(text)
        seen.append((followed.now(), followed.mistake))
    assert seen == [
        ("1", None),
        ("2", None),
        ("2", "bad is no good"),
        ("2", "bad is no good"),
        ("4", None),
    ]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    with pytest.raises(ConfigError):
        file.write_text("bad")
        _followed(file)


def test_looks_are_seldom(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    looks: list[int] = []
    followed = Followed(_read(file), lambda: looks.append(1), "it", seconds=60)
    assert [followed.now() for _ in range(100)] == ["1"] * 100
    assert len(looks) == 1


def test_nobody_waits_long_for_the_new(tmp_path: Path) -> None:
    going = threading.Event()
    started = threading.Event()

    def make() -> int:
        if started.is_set():
            going.wait(10)
        started.set()
        return time.monotonic_ns()

    states = iter(range(100))
    followed = Followed(make, lambda: next(states), "it", seconds=0.01, patience=0.05)
    first = followed.now()
    time.sleep(0.02)
    before = time.monotonic()
    assert followed.now() == first
    assert followed.now() == first
    assert time.monotonic() - before < 5
    going.set()
    deadline = time.monotonic() + 10
    while followed.now() == first and time.monotonic() < deadline:
        time.sleep(0.01)
    assert followed.now() != first


# A gate.


@pytest.fixture
def followed_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Gate, Path]]:
    """The gate of the environment, which trusts the key OWN, and its configuration."""
    config = tmp_path / "gate.yaml"
    (tmp_path / "own.pub").write_bytes(models.public_pem(OWN))
    config.write_text(json.dumps(_settings()))
    monkeypatch.setenv("OMS_GATE_CONFIG", str(config))
    yield Gate.from_environment(), config
    with _shared.pop(str(config)).held() as last:
        last.close()


def _engines() -> set[threading.Thread]:
    """Each has a thread."""
    return {thread for thread in threading.enumerate() if "epoch" in thread.name}


OWN = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def _settings(**changes: Any) -> dict[str, Any]:
    signer = {"method": "key", "key": "own"}
    return {
        "trust": {"keys": {"own": "own.pub"}, "public_good": False},
        "publishers": [{"name": "own", "models": ["file:///**"], "signers": [signer]}],
        "limits": {"reload_seconds": SECONDS},
        **changes,
    }


def _model(folder: Path) -> Path:
    files = dict(models.FILES)
    return models.write(folder, {**files, "model.sig": models.signature(files, OWN)})


def test_a_gate_follows_its_files(
    followed_gate: tuple[Gate, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate, config = followed_gate
    model = _model(tmp_path / "m")
    engines = len(_engines())
    assert gate.check(model).admitted

    def now(key: bytes | None = None, **changes: Any) -> list[ReasonCode]:
        if key is not None:
            (tmp_path / "own.pub").write_bytes(key)
        config.write_text(json.dumps(_settings(**changes)))
        time.sleep(SECONDS)
        return [reason.code for reason in gate.check(model).reasons]

    assert now(models.public_pem(OTHER)) == [ReasonCode.KEY_UNTRUSTED]
    assert now(models.public_pem(OWN)) == []
    assert now(publishers=[]) == [ReasonCode.PUBLISHER_UNKNOWN]
    assert now(b"no key") == [ReasonCode.PUBLISHER_UNKNOWN]
    assert "stays in force as it was" in caplog.text
    assert now(models.public_pem(OWN)) == []
    assert len(_engines()) == engines  # Those of before are closed.


def test_a_check_under_way_ends_on_the_old(
    followed_gate: tuple[Gate, Path], tmp_path: Path
) -> None:
    gate, config = followed_gate
    model = _model(tmp_path / "m")
    with gate.held() as old:
        epoch = old.epoch
        config.write_text(json.dumps(_settings(publishers=[])))
        time.sleep(SECONDS)
        assert not gate.check(model).admitted
        assert old.check(model).admitted
        assert old.epoch == epoch
    with gate.held() as new:
        assert new.epoch != epoch


@pytest.mark.parametrize("what", ["policy", "trust"])
def test_a_decision_does_not_outlive_what_decided(
    followed_gate: tuple[Gate, Path], tmp_path: Path, what: str
) -> None:
    gate, config = followed_gate
    reference = Reference.parse(str(_model(tmp_path / "m")))
    with Cache(gate, tmp_path / "cache") as cache:
        model = cache.model(reference)
        time.sleep(SECONDS)
        assert cache.model(reference) is model
        if what == "policy":
            config.write_text(json.dumps(_settings(publishers=[])))
        else:
            (tmp_path / "own.pub").write_bytes(models.public_pem(OTHER))
        time.sleep(SECONDS)
        with pytest.raises(AdmissionDenied):
            cache.model(reference)


def test_the_epoch_of_what_else_decides(followed_gate: tuple[Gate, Path], tmp_path: Path) -> None:
    gate, config = followed_gate
    epochs = [gate.epoch]
    for changes in (
        {"mode": "annotate"},
        {"signature": "other.sig"},
        {"attestations": {"scan": "*.sigstore.json"}},
        {"attestations": {"scan": "scans/*.json"}},
        {"boms": {"sbom": "*.cdx.json"}},
        {"history": {"file": str(tmp_path / "a.db")}},
        {"history": {"file": str(tmp_path / "b.db")}},
    ):
        config.write_text(json.dumps(_settings(**changes)))
        epochs.append(Gate.from_config(config).epoch)
        assert Gate.from_config(config).epoch == epochs[-1]
    assert len(set(epochs)) == len(epochs)


def test_the_epoch_of_trust() -> None:
    def root(name: str, key: ec.EllipticCurvePrivateKey) -> KeyRoot:
        return KeyRoot.from_pem(name, models.public_pem(key))

    trusts = [
        Trust(),
        Trust(old_format=True),
        Trust(keys={"a": root("a", OWN)}),
        Trust(keys={"b": root("b", OWN)}),
        Trust(keys={"a": root("a", OTHER)}),
    ]
    assert len({trust.epoch for trust in trusts}) == len(trusts)
    assert Trust(keys={"a": root("a", OWN)}).epoch == trusts[2].epoch


def test_a_rulebook_follows_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    key = tmp_path / "own.pub"
    key.write_bytes(models.public_pem(OWN))
    settings = _settings(trust={"keys": {"own": str(key)}, "public_good": False})
    file.write_text(json.dumps(settings))
    book = Rulebook(GateConfig.model_validate(settings), file)

    def terms() -> Terms:
        return book.terms("team", {}, "hf://acme/m")

    # Its gate has the rules of a policy besides, and is made anew too.
    rule = {"name": "x", "models": ["hf://x/*"], "signers": [{"method": "key", "key": "own"}]}
    metadata = {"name": "granting", "uid": "granting", "generation": 1}
    policy, _ = read_policy(
        {"metadata": metadata, "spec": {"publishers": [rule]}}, lambda *_: {}, "oms-gate"
    )
    book.replace([policy])
    assert book.gate(terms()) is not None
    keys = [terms().key]
    model = _model(tmp_path / "m")

    def follow() -> bool:
        time.sleep(SECONDS)
        book.follow()
        admitted = book.gate(terms()).check(model).admitted
        keys.append(terms().key)
        return admitted

    assert follow()
    file.write_text(json.dumps({**settings, "publishers": []}))
    assert not follow()
    file.write_text("publisher: 1")
    assert not follow()
    assert "publisher" in (book.mistake or "")
    file.write_text(json.dumps(settings))
    assert follow()
    assert book.mistake is None
    assert keys[0] == keys[1] != keys[2] == keys[3] != keys[4] == keys[0]
    places = {"attestations": {"built": "built.json"}, "boms": {"sbom": "m.cdx.json"}}
    file.write_text(json.dumps({**settings, **places}))
    assert follow()
    assert book.gate(terms()).attestations == places["attestations"]
    assert book.gate(terms()).boms == places["boms"]
    book.close()


def test_a_load_ends_by_what_it_began_with(
    followed_gate: tuple[Gate, Path], tmp_path: Path
) -> None:
    gate, config = followed_gate
    model = _model(tmp_path / "m")

    def load(path: str, **_: Any) -> bool:
        config.write_text(json.dumps(_settings(publishers=[])))
        time.sleep(SECONDS)
        assert not gate.check(model).admitted
        return (Path(path) / "config.json").exists()

    assert from_pretrained(load, str(model), gate=gate)
    with pytest.raises(AdmissionDenied):
        from_pretrained(load, str(model), gate=gate)
