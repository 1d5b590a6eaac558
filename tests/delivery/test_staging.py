"""The stage: what an interrupted pull leaves there is used again, and never trusted."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode
from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import opened
from oms_gate.delivery.place import Place
from oms_gate.delivery.stage import locked_stage
from oms_gate.delivery.staging import Staging
from oms_gate.errors import DeliveryError
from oms_gate.oms.manifest import Resource
from oms_gate.streaming.hashing import FileRange
from oms_gate.streaming.window import AHEAD_BYTES, LONG_PIECE_BYTES
from tests import models
from tests.delivery.pulling import codes, deliver, signed, tree, untouched
from tests.peers.content import Repeated, bytes_of
from tests.peers.faults import Drop, Slow
from tests.peers.hub import HubStandIn
from tests.peers.wire import Request

Key = ec.EllipticCurvePrivateKey
MIB = 1024 * 1024
LARGE = Repeated(bytes(range(256)), AHEAD_BYTES + 3 * LONG_PIECE_BYTES)
WEIGHTS = "model.safetensors"
SHARD = 100_000


@dataclass(frozen=True)
class DropFrom(Drop):
    """The same for what begins at this byte of the file, or after it."""

    byte: int

    def strike(self, request: Request) -> None:
        if int(re.findall(r"\d+", request.range or "bytes=0-")[0]) >= self.byte:
            super().strike(request)


@pytest.fixture(autouse=True)
def no_retries(settings: dict[str, Any]) -> None:
    settings["limits"] |= {"retries": 0, "connections": 1}


@pytest.fixture
def stage(to: Path) -> Path:
    """Where the stage of a folder is that can be replaced."""
    return to.with_name(f".{to.name}.oms-gate-pull")


def sent(hub: HubStandIn) -> tuple[int, int]:
    """From which byte on the weights were asked for, and how many were sent."""
    records = [each for each in hub.requests if (each.origin, each.file) == ("cdn", WEIGHTS)]
    starts = [int(re.findall(r"\d+", record.range or "bytes=0-")[0]) for record in records]
    return min(starts, default=0), sum(record.sent for record in records)


def interrupted(hub: HubStandIn, settings: dict[str, Any], to: Path) -> None:
    """A pull that the store ends after one file, or two shards of another."""
    verdict = deliver(settings, "hf://acme/m", to)
    assert codes(verdict) == [ReasonCode.STORE_UNAVAILABLE]
    assert verdict.undecided
    assert not to.exists()
    hub.faults.clear()
    hub.clear()


@pytest.fixture
def half_of_a_large_file(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> HubStandIn:
    hub.create("acme/m", files=signed(key, {WEIGHTS: LARGE}))
    hub.inject(DropFrom(AHEAD_BYTES + LONG_PIECE_BYTES), f"*{WEIGHTS}", origin="cdn")
    interrupted(hub, settings, to)
    return hub


@pytest.fixture
def two_shards_of_three(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> HubStandIn:
    hub.create("acme/m", files=signed(key, shard_size=SHARD))
    hub.inject(Drop(), f"*{WEIGHTS}", origin="cdn", skip=2)
    interrupted(hub, settings, to)
    return hub


def partial(stage: Path, size: int = 0) -> Path:
    """The file under transfer that is larger than so many bytes."""
    [path] = [path for path in (stage / "partial").iterdir() if path.stat().st_size > size]
    return path


def test_only_the_rest_is_transferred(
    half_of_a_large_file: HubStandIn, settings: dict[str, Any], to: Path, stage: Path
) -> None:
    """Of what was there, the last part may have had gaps."""
    left = partial(stage).stat().st_size
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.admitted
    kept, count = sent(half_of_a_large_file)
    assert kept == left - AHEAD_BYTES
    assert count == LARGE.size - kept
    assert (to / WEIGHTS).read_bytes() == bytes_of(LARGE)
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes == count
    assert verdict.delivery.reused_bytes == kept
    assert verdict.coverage is not None
    assert verdict.coverage.measured_bytes == LARGE.size


def test_what_was_left_is_hashed_and_not_trusted(
    half_of_a_large_file: HubStandIn, settings: dict[str, Any], to: Path, stage: Path
) -> None:
    with partial(stage).open("r+b") as file:
        kept = file.seek(-AHEAD_BYTES, os.SEEK_END)
        file.seek(0)
        file.write(b"!")
    assert deliver(settings, "hf://acme/m", to).admitted
    rest = LARGE.size - kept
    assert sent(half_of_a_large_file) == (0, rest + LARGE.size)
    assert (to / WEIGHTS).read_bytes() == bytes_of(LARGE)


def test_of_shards_only_those_that_are_missing(
    two_shards_of_three: HubStandIn, settings: dict[str, Any], to: Path
) -> None:
    assert deliver(settings, "hf://acme/m", to).admitted
    assert sent(two_shards_of_three) == (2 * SHARD, 256_000 - 2 * SHARD)
    assert (to / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_a_shard_that_was_changed_is_transferred_again(
    two_shards_of_three: HubStandIn, settings: dict[str, Any], to: Path, stage: Path
) -> None:
    with partial(stage, SHARD).open("r+b") as file:
        file.seek(SHARD)
        file.write(b"!")
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.admitted
    assert sent(two_shards_of_three) == (SHARD, 256_000 - SHARD)
    assert (to / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_a_file_that_is_too_long_is_cut(
    two_shards_of_three: HubStandIn, settings: dict[str, Any], to: Path, stage: Path
) -> None:
    """What follows the last shard is in no digest."""
    with partial(stage, SHARD).open("ab") as file:
        file.write(bytes(200_000))
    assert deliver(settings, "hf://acme/m", to).admitted
    assert (to / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_files_that_were_complete_are_hashed_again(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, stage: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    hub.inject(Drop(), "*README.md", method="GET")
    interrupted(hub, settings, to)
    assert tree(stage / "model").keys() == {WEIGHTS, "config.json"}
    (stage / "model" / "config.json").write_bytes(b"x" * len(models.FILES["config.json"]))
    verdict = deliver(settings, "hf://acme/m", to)
    assert tree(to) == signed(key)
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes == len(models.FILES["config.json"]) + 10


def test_what_is_left_of_another_content_is_not_used(
    two_shards_of_three: HubStandIn, settings: dict[str, Any], key: Key, to: Path, stage: Path
) -> None:
    new = {**models.FILES, WEIGHTS: bytes(256_000)}
    two_shards_of_three.commit("acme/m", signed(key, new, shard_size=SHARD))
    left = partial(stage, SHARD).name
    two_shards_of_three.inject(Drop(), f"*{WEIGHTS}", origin="cdn")
    interrupted(two_shards_of_three, settings, to)
    assert not (stage / "partial" / left).exists()
    assert deliver(settings, "hf://acme/m", to).admitted
    assert (to / WEIGHTS).read_bytes() == bytes(256_000)


Spoil = Callable[[Path, Path], object]


def _replaced(place: Path, make: Callable[[], object]) -> None:
    place.unlink()
    make()


ODD: dict[str, Spoil] = {
    "another name": lambda place, victim: _replaced(place, lambda: os.link(victim, place)),
    "a link": lambda place, victim: _replaced(place, lambda: place.symlink_to(victim)),
    "a dangling link": lambda place, victim: _replaced(
        place, lambda: place.symlink_to(victim.with_name("new"))
    ),
    "a pipe": lambda place, _: _replaced(place, lambda: os.mkfifo(place)),
    "a folder": lambda place, _: _replaced(place, place.mkdir),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_in_the_place_of_a_partial_file(
    two_shards_of_three: HubStandIn,
    settings: dict[str, Any],
    to: Path,
    stage: Path,
    tmp_path: Path,
    what: str,
) -> None:
    """Nothing is written through it, and nothing that it leads to is taken."""
    victim = tmp_path / "victims" / "victim"
    models.write(victim.parent, {"victim": models.FILES[WEIGHTS][: 2 * SHARD]})
    before = victim.read_bytes()
    ODD[what](partial(stage, SHARD), victim)
    assert deliver(settings, "hf://acme/m", to).admitted
    assert (to / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]
    assert victim.read_bytes() == before
    assert list(victim.parent.iterdir()) == [victim]


@pytest.mark.parametrize("place", [".", "lock", "partial", "model", "model/sub"])
@pytest.mark.parametrize("what", ["a link", "a file", "a link to a file"])
def test_what_is_in_the_place_of_the_stage(
    settings: dict[str, Any], key: Key, to: Path, stage: Path, tmp_path: Path, place: str, what: str
) -> None:
    files = {**models.FILES, "sub/x.json": b"{}"}
    source = models.write(tmp_path / "acme" / "m", signed(key, files))  # type: ignore[arg-type]
    victims = models.write(tmp_path / "victims", {"config.json": b"mine", "x": b"mine"})
    before = untouched(victims)
    odd = stage / place
    odd.parent.mkdir(parents=True)
    if what == "a file":
        odd.write_bytes(b"")
    else:
        odd.symlink_to(victims if what == "a link" else victims / "x")
    assert deliver(settings, source, to).admitted
    assert tree(to) == signed(key, files)
    assert untouched(victims) == before
    assert list(to.parent.iterdir()) == [to]


def test_a_stage_of_somebody_else_is_refused(
    settings: dict[str, Any], key: Key, to: Path, stage: Path, tmp_path: Path
) -> None:
    """They could write into the files after these were hashed."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder somebody else's")
    source = models.write(tmp_path / "acme" / "m", signed(key))  # type: ignore[arg-type]
    stage.mkdir(parents=True)
    os.chown(stage, 1234, 1234)
    verdict = deliver(settings, source, to)
    assert codes(verdict) == [ReasonCode.SYSTEM_IO]
    assert "another user (uid 1234)" in verdict.reasons[0].message
    assert list(stage.iterdir()) == []


@pytest.mark.parametrize("reason", ["deadline", "store"])
def test_what_is_undecided_goes_on_next_time(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, stage: Path, reason: str
) -> None:
    hub.create("acme/m", files=signed(key))
    if reason == "deadline":
        settings["limits"]["total_seconds"] = 1
        hub.inject(Slow(20), "*config.json", method="GET")
    else:
        hub.inject(Drop(), "*config.json", method="GET")
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.undecided
    assert WEIGHTS in tree(stage / "model")
    hub.faults.clear()
    settings["limits"]["total_seconds"] = 60
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes < 100


class TestWriting:
    """The files of a stage, by themselves."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "stage").mkdir()
        return tmp_path / "stage"

    def staging(self, folder: int, size: int | None) -> Staging:
        staging = Staging(
            folder,
            Path("to"),
            {"a/x": (Resource("a/x", "00"),)},
            {"a/x": size},
            "sha256",
            Access(0o644, 0o755, None),
        )
        staging.prepare()
        return staging

    def test_in_any_order(self, folder: Path) -> None:
        with opened(str(folder)) as stage:
            staging = self.staging(stage, 10)
            with staging.open(FileRange("a/x", signed="00")) as writer:
                writer.write(4, memoryview(b"456789"))
                assert not (folder / "model" / "a").exists()
                writer.write(0, b"0123")
            staging.complete("a/x")
        assert (folder / "model" / "a" / "x").read_bytes() == b"0123456789"
        assert staging.transferred == 10

    def test_nothing_is_written_after_the_end(self, folder: Path) -> None:
        """The number of a closed file is soon another file's."""
        with opened(str(folder)) as stage:
            staging = self.staging(stage, 10)
            writer = staging.open(FileRange("a/x", signed="00"))
            staging.close()
            others = [(folder / str(number)).open("wb") for number in range(5)]
            with pytest.raises(RuntimeError):
                writer.write(0, b"!")
            with pytest.raises(RuntimeError):
                staging.open(FileRange("a/x", signed="00"))
            for other in others:
                other.close()
                assert Path(other.name).read_bytes() == b""

    @pytest.mark.parametrize("spoil", ["longer", "another name"])
    def test_what_somebody_else_has_changed_gets_no_name(self, folder: Path, spoil: str) -> None:
        with opened(str(folder)) as stage:
            staging = self.staging(stage, 3)
            with staging.open(FileRange("a/x", signed="00")) as writer:
                writer.write(0, b"012")
            [file] = (folder / "partial").iterdir()
            if spoil == "longer":
                file.write_bytes(b"0123")
            else:
                os.link(file, folder / "y")
            with pytest.raises(DeliveryError, match="changed by another program"):
                staging.complete("a/x")
        assert list((folder / "model").iterdir()) == []


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(to: Path) -> None:
    place = Place.of(to)
    with locked_stage(place, time.monotonic()) as stage:
        # What is left over keeps the stage, and the lock in it.
        os.close(os.open("left", os.O_CREAT, dir_fd=stage))
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        with locked_stage(place, time.monotonic()):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
