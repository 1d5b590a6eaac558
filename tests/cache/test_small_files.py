"""Small files of the cache that are read first, and kept later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache, CachedModel
from oms_gate.errors import AdmissionDenied, DeliveryError
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from tests import models
from tests.peers import faults
from tests.peers.hub import HubStandIn

FILES = {"config.json": b"{}", "deep/er/tokens.json": b"[1]", "empty.txt": b""}
NAME = "deep/er/tokens.json"


@pytest.fixture
def two(
    gate: Gate, folder: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> Iterator[tuple[CachedModel, CachedModel]]:
    """One model, as two processes have it."""
    hub.create("acme/m", files={**FILES, "model.sig": models.signature(FILES, key)})
    with Cache(gate, folder) as one, Cache(gate, folder) as other:
        yield one.model(Reference.parse("hf://acme/m")), other.model(Reference.parse("hf://acme/m"))


def test_what_was_read_is_there_once_it_is_kept(two: tuple[CachedModel, CachedModel]) -> None:
    one, other = two
    contents = {name: one.read(name) for name in FILES}
    assert contents == FILES
    for name in FILES:
        assert one.read_present(name) is None
        assert not one.was_present(name)
    one.keep(contents)
    for model in two:
        assert {name: model.read_present(name) for name in FILES} == FILES
        assert all(map(model.was_present, FILES))
    one.check_folder()
    assert other.path(NAME).stat().st_mode & 0o777 == 0o444
    assert not list(one.folder.parents[3].glob("stages/*"))


def test_what_is_there_already_stays(two: tuple[CachedModel, CachedModel]) -> None:
    """It was handed out, perhaps: another file in its place would be a change of it."""
    one, other = two
    one.keep({NAME: FILES[NAME]})
    before = one.path(NAME).stat()
    other.keep(FILES)
    assert one.path(NAME).stat() == before
    one.check()
    assert {name: one.read_present(name) for name in FILES} == FILES


def test_those_before_one_that_cannot_be_kept_are_there(
    two: tuple[CachedModel, CachedModel],
) -> None:
    before, failing, after = FILES
    (two[0].folder / failing / "in the way").mkdir(parents=True)
    with pytest.raises(DeliveryError):
        two[0].keep(FILES)
    for model in two:
        assert model.read_present(before) == FILES[before]
        assert model.read_present(after) is None


def test_what_is_not_what_was_signed_is_not_given(
    two: tuple[CachedModel, CachedModel], hub: HubStandIn
) -> None:
    one, other = two
    hub.inject(faults.WrongBytes(), f"*{NAME}", method="GET")
    with pytest.raises(AdmissionDenied) as denied:
        one.read(NAME)
    assert [reason.code for reason in denied.value.verdict.reasons] == [ReasonCode.FILE_CHANGED]
    hub.faults.clear()
    # It says nothing of other files, nor of the next attempt.
    assert one.failure is None
    assert one.read(NAME) == FILES[NAME]
    other.keep({NAME: FILES[NAME]})
    path = one.folder / NAME
    path.chmod(0o644)
    path.write_bytes(b"[2]")
    assert one.read_present(NAME) is None
    path.unlink()
    path.mkdir()
    assert one.read_present(NAME) is None
    path.rmdir()
    path.symlink_to("/etc/passwd")
    assert one.read_present(NAME) is None
