"""A gateway's caches stay within their bound, and no client loses what it is being given."""

from __future__ import annotations

import http.client
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache.layout import ARRIVALS, Layout
from oms_gate.config import GateConfig
from oms_gate.errors import DeliveryError
from oms_gate.gateway.arrivals import Followed
from oms_gate.gateway.journal import REMEMBERED_SECONDS, Journal, State
from oms_gate.gateway.room import Room
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import oms_gate
from tests.gateway.running import Running, running
from tests.peers.faults import Truncate
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"
DAY = 24 * 3600


def weights(number: int, size: int = 300_000) -> bytes:
    return bytes([number, 255]) * (size // 2)


def create(hub: HubStandIn, key: ec.EllipticCurvePrivateKey, number: int, size: int) -> str:
    """A model of acme with one file of its own."""
    files = {WEIGHTS: weights(number, size)}
    hub.create(f"acme/m{number}", files={**files, "model.sig": models.signature(files, key)})
    return f"/acme/m{number}/resolve/main/{WEIGHTS}"


def settled(folder: Path) -> None:
    """Wait until nothing is arriving any more: clients have all of a file a moment before."""
    while list(folder.glob(f"*/{ARRIVALS}/*")):
        time.sleep(0.01)


def size_of(folder: Path) -> int:
    files = {(s.st_dev, s.st_ino): s.st_size for s in map(os.lstat, folder.rglob("*.safetensors"))}
    return sum(files.values())


def age(folder: Path, days: float) -> None:
    """Let the models have been used so long ago that were used just now."""
    at = time.time() - days * DAY
    for each in folder.glob("*/known/*"):
        if each.stat().st_mtime > time.time() - DAY / 2:
            os.utime(each, (at, at))


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "caches"


@pytest.fixture
def small(hub: HubStandIn, settings: dict[str, Any], caches: Path) -> Iterator[Running]:
    """A gateway that keeps a mebibyte."""
    config = GateConfig.model_validate(settings | {"gateway": {"cache_bytes": MIB}})
    with running(config, caches) as gateway:
        yield gateway


def test_what_was_used_longest_ago_goes_before_more_comes(
    small: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, caches: Path
) -> None:
    for number, days in enumerate((4, 6, 5, 3, 2)):
        path = create(hub, key, number, 300_000)
        for _ in range(2):
            assert small.ask(path).content == weights(number)
        settled(caches)
        age(caches, days)
        assert size_of(caches) <= MIB
    there = {each.read_bytes() for each in caches.rglob("*.safetensors")}
    assert there == {weights(number) for number in (0, 3, 4)}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("header", [{}, {"Range": "bytes=7-99"}])
def test_a_model_whose_files_have_gone_is_given_all_the_same(
    gateway: Running,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    caches: Path,
    header: dict[str, str],
    is_late: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also to who comes to a file as it has just been moved to its place."""
    open_arriving = Followed.open

    def open_late(followed: Followed) -> BinaryIO | None:
        end = time.monotonic() + 5
        while followed.journal.file.exists() and time.monotonic() < end:
            time.sleep(0.001)
        return open_arriving(followed)

    if is_late:
        monkeypatch.setattr(Followed, "open", open_late)
    path = create(hub, key, 1, 300_000)
    expected = weights(1)[7:100] if header else weights(1)
    for _ in range(3):
        answer = gateway.ask(path, headers=header)
        assert (answer.status < 300, answer.content) == (True, expected)
        settled(caches)
        Room(caches, 0).tidy()
        assert size_of(caches) == 0


def test_a_client_is_given_the_rest_of_a_file_that_goes(
    gateway: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, caches: Path
) -> None:
    path = create(hub, key, 1, 9_000_000)
    expected = gateway.ask(path).content
    settled(caches)
    parts = urlsplit(gateway.endpoint)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = bytearray(client.recv(1000))
        Room(caches, 0).tidy()
        assert size_of(caches) == 0
        while chunk := client.recv(MIB):
            received += chunk
    assert received.endswith(expected)


def test_who_has_the_beginning_of_what_went_must_begin_anew(
    gateway: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, caches: Path
) -> None:
    path = create(hub, key, 1, 3_000_000)
    hub.inject(Truncate(2_500_000), "*.safetensors", origin="cdn", times=1)
    # The answer ends early; or it is over before the client is given a byte.
    with suppress(http.client.HTTPException, OSError):
        assert gateway.ask(path).status == 429
    (part,) = caches.glob(f"*/{ARRIVALS}/*.part")
    Room(caches, 0).tidy()
    assert not part.exists()
    # That which had arrived may have been wrong: nobody is to put another end to it.
    answer = gateway.ask(path, headers={"Range": "bytes=1000000-"})
    assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED
    whole = gateway.ask(path)
    assert (whole.content, whole.headers["ETag"][-3:]) == (weights(1, 3_000_000), '-1"')


@pytest.fixture
def layout(caches: Path) -> Layout:
    return Layout.of(caches / ("ab" * 32))


def test_an_arrival_that_is_gone_on_with_stays(layout: Layout, caches: Path) -> None:
    journal = Journal(layout, "sha256/" + "cd" * 32)
    with journal.written(lambda: None, time.monotonic() + 5):
        journal.file.write_bytes(b"x" * 1000)
        Room(caches, 0).tidy()
        assert journal.file.exists()
    Room(caches, 0).tidy()
    # Nobody had anything of it.
    assert not list((layout.folder / ARRIVALS).iterdir())


def test_nothing_goes_for_a_file_that_would_not_fit_all_the_same(
    caches: Path, layout: Layout
) -> None:
    room = Room(caches, 1000)
    left, *files = (Journal(layout, f"sha256/{n}").file for n in range(3))
    left.write_bytes(b"x" * 300)
    with room.taken(files[0], 600):
        for size in (500, 300):  # By the second, there is room if the other one goes.
            with suppress(DeliveryError), room.taken(files[1], size):
                pass
            assert left.exists() == (size == 500)


def test_what_is_arriving_counts_as_there(caches: Path, layout: Layout) -> None:
    room = Room(caches, 1000)
    files = [Journal(layout, f"sha256/{n}").file for n in range(3)]
    with room.taken(files[0], 400), room.taken(files[1], 400):
        files[0].write_bytes(b"x" * 300)
        with pytest.raises(DeliveryError) as caught, room.taken(files[2], 400):
            raise AssertionError
        assert caught.value.reason.code is ReasonCode.DISK_FULL
        with room.taken(files[2], 200):
            pass


def test_what_says_that_something_was_wrong_stays_for_a_while(layout: Layout, caches: Path) -> None:
    journal = Journal(layout, "sha256/" + "cd" * 32)
    for age, stays in ((REMEMBERED_SECONDS - 60, True), (REMEMBERED_SECONDS + 60, False)):
        with journal.written(lambda: None, time.monotonic() + 5):
            journal.release(State(1, 0, time.time() - age))
        Room(caches, 0).tidy()
        assert (journal.state().turn == 1) is stays


def test_files_that_nothing_remembers_go(
    gateway: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, caches: Path
) -> None:
    gateway.ask(create(hub, key, 1, 300_000))
    settled(caches)
    for record in caches.glob("*/known/*"):
        record.unlink()
    assert size_of(caches) == 300_000
    Room(caches, 0).tidy()
    assert size_of(caches) == 0


def test_the_cache_of_a_repository_without_files_goes(layout: Layout, caches: Path) -> None:
    Room(caches, MIB).tidy()
    assert layout.folder.exists()
    for folder in layout.folders:
        os.utime(folder, (1, 1))
    Room(caches, MIB).tidy()
    assert not layout.folder.exists()


def test_no_answer_follows_one_that_has_begun(
    gateway: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    files = {WEIGHTS: random.Random(1).randbytes(300_000)}
    signature = models.signature(files, key, shard_size=100_000)
    hub.create("acme/m", files={**files, "model.sig": signature})
    hub.replace_under_commit("acme/m", WEIGHTS, files[WEIGHTS][:150_000] + bytes(150_000))
    # The first part is right, and is sent; of the second, nothing is to take its place.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as caught:
        gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}", headers={"Range": "bytes=50000-149999"})
    if isinstance(caught.value, http.client.IncompleteRead):
        assert files[WEIGHTS][50_000:100_000].startswith(caught.value.partial)


def test_the_commands_about_caches_know_those_of_a_gateway(
    gateway: Running, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, caches: Path
) -> None:
    gateway.ask(create(hub, key, 1, 300_000))
    (folder,) = (each.parent for each in caches.glob("*/known"))
    listed = oms_gate("cache", "list", "--cache", folder, "--json")
    assert "hf://acme/m1@" in listed.stdout
    assert oms_gate("cache", "verify", "--cache", folder).returncode == 0
    assert oms_gate("cache", "prune", "--all", "--cache", folder).returncode == 0
    assert size_of(caches) == 0
    assert gateway.ask("/acme/m1/resolve/main/model.safetensors").content == weights(1)
