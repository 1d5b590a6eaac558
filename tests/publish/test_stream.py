"""Files of snapshots as clients read them that want a stream."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import pytest

from oms_gate import Gate, ReasonCode
from oms_gate.errors import MeasureError, StoreError
from oms_gate.limits import Limits
from oms_gate.publish.hub_registry import HubRegistry
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Publication
from oms_gate.publish.release import Release, release
from oms_gate.publish.stream import SnapshotStream
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.hub import HubStore
from oms_gate.stores.local import LocalStore
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.publish import on_hub
from tests.publish.on_hub import REPOSITORY, TARGET

CONTENT = bytes(range(256)) * 10_000


@pytest.fixture
def listing(tmp_path: Path) -> Snapshot:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / "empty").write_bytes(b"")
    return LocalStore(Limits()).snapshot(Reference.parse(str(tmp_path)))


def test_it_reads_as_a_file_does(listing: Snapshot) -> None:
    with SnapshotStream(listing, "a.bin") as stream, io.BytesIO(CONTENT) as expected:
        assert stream.readable()
        assert stream.seekable()
        for size in (0, 1, 511, 1024 * 1024, 5):
            assert stream.read(size) == expected.read(size)
            assert stream.tell() == expected.tell()
        for offset, whence in ((3, 0), (2_000_000, 0), (-10, 1), (0, 1), (-7, 2), (0, 2), (0, 0)):
            assert stream.seek(offset, whence) == expected.seek(offset, whence)
            assert stream.read(100) == expected.read(100)
        assert stream.read() == expected.read()
        assert stream.read() == stream.read(10) == b""


def test_it_is_empty(listing: Snapshot) -> None:
    stream = SnapshotStream(listing, "empty")
    assert stream.read() == b""
    assert stream.seek(0, io.SEEK_END) == 0


def test_what_has_changed_is_not_read(listing: Snapshot, tmp_path: Path) -> None:
    stream = SnapshotStream(listing, "a.bin")
    stream.read(10)
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    stream.seek(0)
    with pytest.raises(StoreError) as caught:
        stream.read(10)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def copied(gate: Gate, commit: str) -> Release:
    """What comes of it where a model goes from one repository to another."""
    target = Reference.parse("hf://acme/new")
    source = HubStore(gate.stores, gate.limits).snapshot(Reference.parse(f"{TARGET}@{commit}"))
    publication = Publication(target, overlay(target, None, source), source.files.keys())
    with closing(source), closing(HubRegistry(target, gate)) as registry:
        return release(gate, registry, publication)


def test_a_source_that_fails_on_the_way(hub: HubStandIn, writer: Gate, first: str) -> None:
    """It is the source that is told of, not the Hub's client in which it failed."""
    hub.state.uploads.clear()  # Or the Hub would not want to have the weights again.
    lost = faults.CallBefore(lambda: hub.inject(faults.Status(404), f"/{REPOSITORY}/resolve/*"))
    hub.inject(lost, "/api/models/acme/new/preupload/*", times=1)
    with pytest.raises(StoreError, match=r"model\.safetensors is not there") as caught:
        copied(writer, first)
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND
    assert not on_hub.there(hub, repository="acme/new")


@pytest.mark.parametrize("file", ["README.md", "model.safetensors"])
def test_a_source_that_gives_something_else_the_second_time(
    hub: HubStandIn, writer: Gate, first: str, file: str
) -> None:
    other = on_hub.there(hub)[file].replace(b"1", b"2")
    swap = faults.CallBefore(lambda: hub.replace_under_commit(REPOSITORY, file, other))
    hub.inject(swap, "/api/repos/create", times=1)
    with pytest.raises(MeasureError, match=f"{file} was changed .*signed sha256"):
        copied(writer, first)
    assert not on_hub.there(hub, repository="acme/new")
