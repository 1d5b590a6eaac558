"""How a command ends that is interrupted, or that nobody listens to any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms_gate.cli import main
from tests import models
from tests.commands import oms_gate, printing_to
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.test_cli_sign import at_a_terminal

# The command itself, which waits where it has begun to write, and is hurried while it cleans up.
STALLED = """
import os, signal, time
unlink, terminated = os.unlink, signal.getsignal(signal.SIGTERM)
def stall(descriptor):
    print("writing", flush=True)
    for _ in range(600):  # One long sleep would outlast a signal that came just before it.
        time.sleep(0.1)
def hurried(*arguments, **options):
    if signal.getsignal(signal.SIGTERM) is not terminated and NUMBER == signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)
    unlink(*arguments, **options)
os.fsync, os.unlink = stall, hurried
from oms_gate.cli import main
main()
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """What runs in the background of a script ignores Ctrl-C, and so does what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert oms_gate("keygen", tmp_path / "release", "--no-passphrase").returncode == 0
    return tmp_path / "release.key"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write(tmp_path / "model", models.FILES)


def interrupted(number: signal.Signals, *arguments: object) -> tuple[int, str]:
    """Exit status and errors of a command that is interrupted while it writes."""
    program = STALLED.replace("NUMBER", str(int(number)))
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_an_interruption_leaves_nothing_behind(
    model: Path, key: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    said = "oms-gate: interrupted\n"
    assert interrupted(number, "sign", model, "--key", key) == (status, said)
    assert {path.name for path in model.iterdir()} == set(models.FILES)
    made = tmp_path / "made"
    made.mkdir()
    assert interrupted(number, "keygen", made / "k", "--no-passphrase") == (status, said)
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("command", ["verify", "pull"])
def test_an_interruption_ends_the_waiting_for_a_store(
    hub: HubStandIn, tmp_path: Path, command: str
) -> None:
    """Long before the store would be given up."""
    key = models.new_key()
    (tmp_path / "key.pub").write_bytes(models.public_pem(key))
    hub.create("org/m", files={**models.FILES, "model.sig": models.signature(models.FILES, key)})
    hub.inject(faults.Hang(20), "*.safetensors", origin="cdn")
    into = [tmp_path / "m"] if command == "pull" else []
    arguments = [command, "hf://org/m", *into, "--public-key", tmp_path / "key.pub"]
    program = [sys.executable, "-c", "from oms_gate.cli import main; main()"]
    hub.clear()
    with subprocess.Popen([*program, *map(str, arguments)], stderr=subprocess.PIPE) as process:
        while not any(
            record.origin == "api" and "safetensors" in record.path for record in hub.requests
        ):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"oms-gate: interrupted\n")
    assert time.monotonic() - start < 10
    assert not (tmp_path / "m").exists()


def test_who_wants_to_be_left_alone_is(model: Path, key: Path) -> None:
    program = STALLED.replace("NUMBER", "0").replace("time.sleep(0.1)", "os.kill(os.getpid(), 15)")
    command = ["sh", "-c", 'trap "" TERM; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run([*command, "sign", model, "--key", key], capture_output=True)
    assert (done.returncode, (model / "model.sig").exists()) == (0, True)


@pytest.mark.parametrize(("typed", "status"), [("\x03", 130), ("\x04", 2)], ids=["INT", "EOF"])
def test_an_interruption_at_a_prompt(tmp_path: Path, typed: str, status: int) -> None:
    ended, output = at_a_terminal([typed], "keygen", tmp_path / "k")
    assert ended == status, output
    prompt, *lines = output.split("\r\noms-gate: ")
    assert prompt.endswith("k.key: \n")  # at which it was answered
    assert len(lines) == 1, output
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_changes_no_exit_status(model: Path, key: Path) -> None:
    """As of ``| head``: done is done, admitted is admitted, and denied is denied."""

    def unread(*arguments: object) -> tuple[int, str]:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as output:
            done = printing_to(output, *arguments)
        return done.returncode, done.stderr

    verify = ("verify", model, "--public-key", key.with_suffix(".pub"))
    for options in ((), ("--json",)):
        assert unread("sign", model, "--key", key, *options) == (0, "")
        assert unread(*verify, *options) == (0, "")
        (model / "config.json").write_bytes(b"changed")
        assert unread(*verify, *options) == (1, "")
        (model / "config.json").write_bytes(models.FILES["config.json"])
    assert unread("keygen", model.parent / "another", "--no-passphrase") == (0, "")
    assert unread("policy", "init", "--list") == (0, "")


def test_output_that_fails_is_told_from_what_was_done(model: Path, key: Path) -> None:
    def unprinted(*arguments: object) -> str:
        with Path("/dev/full").open("wb") as full:
            done = printing_to(full, *arguments)
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    why = "but this could not be printed: No space left on device"
    verify = ("verify", model, "--public-key", key.with_suffix(".pub"))
    for options in ((), ("--json",)):
        said = unprinted("sign", model, "--key", key, *options)
        assert f"the signature is written to file://{model / 'model.sig'}, {why}" in said
        assert f"the model is admitted, {why}" in unprinted(*verify, *options)
    (model / "config.json").write_bytes(b"changed")
    assert f"the model is denied, {why}" in unprinted(*verify)
    assert "another.pub are written, " in unprinted(
        "keygen", model.parent / "another", "--no-passphrase"
    )


def test_without_a_place_for_errors_the_exit_status_is_the_same(model: Path, key: Path) -> None:
    program = str(Path(sys.executable).with_name("oms-gate"))
    for arguments, status in (
        (("verify", model, "--public-key", "absent.pub"), 2),
        (("sign", model, "--key", "absent.key"), 2),
        (("verify", "hf://org/model", "--public-key", key.with_suffix(".pub")), 3),
        (("verify", model, "--public-key", key.with_suffix(".pub")), 1),
    ):
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", program, *arguments]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
        assert done.returncode == status, arguments


def test_output_may_be_kept_in_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["oms-gate", "verify"])
    try:
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 2
    assert "Usage" in capsys.readouterr().err
