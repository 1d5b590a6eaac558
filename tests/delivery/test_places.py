"""Where models are put: volumes, folders that cannot be replaced, disks that are full, locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, ReasonCode, UsageError
from oms_gate.delivery import system_calls
from oms_gate.delivery.place import Place
from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.delivery.pulling import codes, deliver, gate_of, mount, signed, tree, untouched
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn

Key = ec.EllipticCurvePrivateKey
ROOT = Path(__file__).parents[2]
STAGE = ".oms-gate-pull"


@pytest.fixture
def source(tmp_path: Path, key: Key) -> Path:
    return models.write(tmp_path / "acme" / "m", signed(key))  # type: ignore[arg-type]


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    """A folder that is mounted from the same file system."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount file systems")
    for name in ("real", "bound"):
        (tmp_path / name).mkdir()
    mount("--bind", tmp_path / "real", tmp_path / "bound")
    yield tmp_path / "bound"
    subprocess.run(["umount", "--lazy", tmp_path / "bound"], check=True)


@pytest.mark.parametrize("kind", ["volume", "bound"])
def test_a_volume_is_filled_in_place(
    request: pytest.FixtureRequest,
    hub: HubStandIn,
    settings: dict[str, Any],
    key: Key,
    kind: str,
) -> None:
    to: Path = request.getfixturevalue(kind)
    assert Place.of(to).in_place
    hub.create("acme/m", files=signed(key, {**models.FILES, "gone/x.json": b"{}"}))
    assert deliver(settings, "hf://acme/m", to).admitted
    assert tree(to).keys() == {*models.FILES, "gone/x.json", "model.sig"}
    new = {**models.FILES, "config.json": b"{}"}
    hub.commit("acme/m", {**signed(key, new), "gone/x.json": None})
    weights = (to / "model.safetensors").stat().st_ino
    for expected in (2, 0):
        verdict = deliver(settings, "hf://acme/m", to)
        assert verdict.delivery is not None
        assert verdict.delivery.transferred_bytes == expected
        assert tree(to) == signed(key, new)
    assert {path.name for path in to.iterdir()} == {*models.FILES, "model.sig", VERDICT_FILE}
    assert (to / "model.safetensors").stat().st_ino == weights


def test_a_volume_has_things_of_its_own(
    settings: dict[str, Any], source: Path, volume: Path
) -> None:
    """What the file system keeps there is neither in the way nor touched."""
    models.write(volume, {"lost+found/#12": b"found"})
    before = untouched(volume / "lost+found")
    assert deliver(settings, source, volume).admitted
    assert deliver(settings, source, volume).admitted
    assert untouched(volume / "lost+found") == before
    (volume / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        deliver(settings, source, volume)


def test_while_a_volume_is_filled_nothing_is_promised(
    hub: HubStandIn, settings: dict[str, Any], key: Key, volume: Path
) -> None:
    """The old copy is whole until the new one is; then the verdict is the first to go."""
    hub.create("acme/m", files=signed(key))
    assert deliver(settings, "hf://acme/m", volume).admitted
    good = tree(volume)
    seen = []
    hub.commit("acme/m", signed(key, {**models.FILES, "config.json": b"{}"}))

    def look() -> None:
        seen.append({path: (volume / path).read_bytes() for path in good})
        assert (volume / VERDICT_FILE).exists()

    hub.inject(CallBefore(look), "*config.json", method="GET")
    assert deliver(settings, "hf://acme/m", volume).admitted
    assert seen == [good]


@pytest.fixture
def inner() -> Iterator[Path]:
    """A folder that everybody can reach, in one that cannot be written to."""
    outer = Path(tempfile.mkdtemp(prefix="oms-gate-"))
    (outer / "inner").mkdir()
    outer.chmod(0o555)
    yield outer / "inner"
    outer.chmod(0o755)
    shutil.rmtree(outer)


@contextmanager
def nobody(*groups: int) -> Iterator[None]:
    """Root is nobody meanwhile, in these groups too; any other user stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


@pytest.fixture
def pulled(
    hub: HubStandIn,
    settings: dict[str, Any],
    key: Key,
    to: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    """A gate that has pulled before: nobody can read this code or a home folder."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.create("acme/m", files=signed(key, {**models.FILES, "a/b/x.json": b"{}"}))
    assert deliver(settings, "hf://acme/m", to).admitted
    return gate_of(settings)


def test_a_folder_that_cannot_be_replaced_is_filled_in_place(
    pulled: Gate, to: Path, inner: Path
) -> None:
    """Its parent cannot be written to."""
    if os.geteuid() == 0:
        os.chown(inner, 65534, 65534)
    with nobody():
        verdict = pulled.deliver("hf://acme/m", inner)
        refused = pulled.deliver("hf://acme/m", inner.with_name("new"))
    assert verdict.delivery is not None, verdict.reasons
    assert tree(inner) == tree(to)
    assert codes(refused) == [ReasonCode.SYSTEM_IO]
    assert "let this user write there" in refused.reasons[0].message


def test_what_arrives_belongs_to_the_group_of_a_shared_volume(pulled: Gate, inner: Path) -> None:
    """Also where who runs this is not root, as with fsGroup in a pod."""
    if os.geteuid() != 0:
        pytest.skip("only root can join a group")
    os.chown(inner, 65534, 2345)
    inner.chmod(0o2775)
    with nobody(2345):
        verdict = pulled.deliver("hf://acme/m", inner / "m")
    assert verdict.delivery is not None, verdict.reasons
    for path in (inner / "m", *(inner / "m").rglob("*")):
        expected = 0o2775 if path.is_dir() else 0o664
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 2345), path


@pytest.mark.parametrize("mode", ["exchange", "aside", "in-place"])
def test_killed_at_each_step_it_leaves_nothing_wrong(mode: str) -> None:
    """In memory, where there is one, since each pull waits for the disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="oms-gate-", dir=memory) as place:
        command = [sys.executable, "-m", "tests.delivery.kill_points", mode, place]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


KILLED_IN_PLACE = """
import json, os, signal, sys
from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.delivery import publishing

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

publishing._move = killed
with Gate.from_config(GateConfig.model_validate(json.loads(sys.argv[1]))) as gate:
    gate.deliver(sys.argv[2], sys.argv[3])
"""


def test_what_a_killed_pull_put_in_place_is_still_known_after_a_denial(
    settings: dict[str, Any], source: Path, to: Path
) -> None:
    """It has no verdict any more, and is none of the user's all the same."""
    assert deliver(settings, source, to).admitted
    (to / STAGE).mkdir()
    (to / "config.json").write_bytes(b"to be mended")
    command = [sys.executable, "-c", KILLED_IN_PLACE, json.dumps(settings), str(source), str(to)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not (to / VERDICT_FILE).exists()
    good = (source / "config.json").read_bytes()
    (source / "config.json").write_bytes(b"tampered")
    shutil.rmtree(to / STAGE / "model")
    assert codes(deliver(settings, source, to)) == [ReasonCode.FILE_CHANGED]
    (source / "config.json").write_bytes(good)
    assert deliver(settings, source, to).admitted
    assert tree(to) == tree(source)
    assert not (to / STAGE).exists()


def test_a_system_without_the_calls_of_linux(
    settings: dict[str, Any], key: Key, source: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_calls, "_LIBC", object())
    assert deliver(settings, source, to).admitted
    new = {**models.FILES, "sub/x.json": b"{}"}
    models.write(source, signed(key, new))  # type: ignore[arg-type]
    assert deliver(settings, source, to).admitted
    assert tree(to) == signed(key, new)
    assert list(to.parent.iterdir()) == [to]


def test_a_disk_that_is_too_small_is_noticed_first(
    hub: HubStandIn, settings: dict[str, Any], key: Key, volume: Path
) -> None:
    """Not a byte of a file is asked for; what is there already needs no room."""
    large = {**models.FILES, "large.bin": bytes(2_000_000)}
    hub.create("acme/m", files=signed(key, large))
    hub.clear()
    verdict = deliver(settings, "hf://acme/m", volume / "m")
    assert codes(verdict) == [ReasonCode.DISK_FULL]
    assert "2.2 MiB are still to be written" in verdict.reasons[0].message
    assert verdict.undecided
    assert [each for each in hub.requests if each.file and "safetensors" in each.file] == []
    assert list(volume.iterdir()) == []
    assert deliver(settings, "hf://acme/m", volume / "m", exclude=["large.bin"]).admitted


def test_a_disk_that_fills_up(
    hub: HubStandIn, settings: dict[str, Any], key: Key, volume: Path
) -> None:
    """What has arrived is kept, and the next pull completes it."""
    settings["limits"]["connections"] = 1
    hub.create("acme/m", files=signed(key, {**models.FILES, "second.bin": bytes(200_000)}))

    def fill() -> None:
        room = os.statvfs(volume)
        (volume / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 10_000))

    hub.inject(CallBefore(fill), "*second.bin", origin="cdn", times=1)
    verdict = deliver(settings, "hf://acme/m", volume / "m")
    assert codes(verdict) == [ReasonCode.DISK_FULL]
    assert "there is no room left" in verdict.reasons[0].message
    (volume / "filler").unlink()
    verdict = deliver(settings, "hf://acme/m", volume / "m")
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes < 256_000
    assert tree(volume / "m").keys() == {*models.FILES, "second.bin", "model.sig"}


PULL = """
import json, sys
from oms_gate import Gate
from oms_gate.config import GateConfig

with Gate.from_config(GateConfig.model_validate(json.loads(sys.argv[1]))) as gate:
    print("ready", flush=True)
    sys.stdin.readline()
    print(gate.deliver("hf://acme/m", sys.argv[2]).to_json())
"""


def test_two_pulls_at_once_do_the_work_once(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    hub.inject(CallBefore(lambda: time.sleep(0.5)), "*model.safetensors", origin="cdn")
    command = [sys.executable, "-c", PULL, json.dumps(settings), str(to)]
    pulls = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for pull in pulls:
        assert pull.stdout is not None
        assert pull.stdout.readline() == "ready\n"
    for pull in pulls:
        assert pull.stdin is not None
        pull.stdin.write("\n")
        pull.stdin.flush()
    said = [pull.communicate() for pull in pulls]
    verdicts = [json.loads(output) for output, _ in said]
    amounts = sorted(verdict["delivery"]["transferred_bytes"] for verdict in verdicts)
    assert amounts == [0, sum(map(len, models.FILES.values()))]
    assert len([each for each in hub.requests if each.origin == "cdn"]) == 1
    assert sum("another pull into" in errors for _, errors in said) == 1
    assert tree(to) == signed(key)


@contextmanager
def locked(stage: Path) -> Iterator[IO[str]]:
    """A stage that another pull has."""
    stage.mkdir(parents=True)
    with (stage / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_it_waits_for_another_pull_until_the_deadline(
    settings: dict[str, Any], source: Path, to: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings["limits"]["total_seconds"] = 1
    with locked(to.with_name(f".{to.name}{STAGE}")):
        verdict = deliver(settings, source, to)
    assert codes(verdict) == [ReasonCode.DEADLINE_EXCEEDED]
    assert verdict.undecided
    assert [record.getMessage() for record in caplog.records] == [
        f"another pull into {to} is at work; waiting for it"
    ]
    assert not to.exists()
    # The lock has ended, although its file is still there.
    assert deliver(settings, source, to).admitted


def test_a_lock_on_a_stage_that_is_gone_is_none(
    settings: dict[str, Any], source: Path, to: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waited has the lock of a stage that was removed; somebody else may have the next one."""
    stage = to.with_name(f".{to.name}{STAGE}")
    verdicts = []
    with locked(stage) as lock:
        waiting = threading.Thread(target=lambda: verdicts.append(deliver(settings, source, to)))
        waiting.start()
        while not caplog.records:
            time.sleep(0.02)
        stage.rename(stage.with_name("gone"))
        with locked(stage):
            # The first lock is free from here on.
            fcntl.flock(lock, fcntl.LOCK_UN)
            waiting.join(0.4)
            assert waiting.is_alive()
            assert not to.exists()
    waiting.join()
    assert verdicts[0].admitted


def test_a_file_system_that_cannot_lock(
    settings: dict[str, Any], source: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is none at hand, so this one says what such a one says."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    verdict = deliver(settings, source, to)
    assert codes(verdict) == [ReasonCode.SYSTEM_IO]
    assert "cannot lock files" in verdict.reasons[0].message
    assert list(to.parent.iterdir()) == []
