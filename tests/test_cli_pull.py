"""``oms-gate pull``, as a user runs it: by exit status, output, and what is in the folder."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.commands import oms_gate
from tests.delivery.pulling import tree
from tests.peers.faults import Slow
from tests.peers.hub import HubStandIn
from tests.test_cli_sign import at_a_terminal

ROOT = Path(__file__).parents[1]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed model; its public key is beside it."""
    key = models.new_key()
    (tmp_path / "key.pub").write_bytes(models.public_pem(key))
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    return models.write(tmp_path / "model", files)


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "to" / "model"


def test_it_says_what_has_arrived(model: Path, to: Path) -> None:
    public = model.parent / "key.pub"
    first = oms_gate("pull", model, to, "--public-key", public)
    assert first.returncode == 0, first.stderr
    assert f"{to}: 3 files, 250.0 KiB, of which 250.0 KiB were transferred" in first.stdout
    assert "bytes: every signed byte was hashed here" in first.stdout
    again = oms_gate("pull", model, to, "--public-key", public)
    assert f"{to}: 3 files, 250.0 KiB, of which 0 B were transferred" in again.stdout
    assert oms_gate("verify", to, "--public-key", public).returncode == 0


def test_patterns_are_named_in_what_it_says(model: Path, to: Path) -> None:
    public = model.parent / "key.pub"
    options = ["--include", "*.json", "--include", "README*", "--exclude", "READ*"]
    result = oms_gate("pull", model, to, "--public-key", public, *options)
    assert f"{to}: 1 file, 23 B, of which 23 B were transferred; 2 signed were" in result.stdout
    assert "every byte of the files that arrived was hashed here" in result.stdout
    assert tree(to).keys() == {"config.json", "model.sig"}


def test_json_is_what_lies_beside_the_model(model: Path, to: Path) -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    result = oms_gate("pull", model, to, "--public-key", model.parent / "key.pub", "--json")
    jsonschema.validate(json.loads(result.stdout), schema)
    assert result.stdout.rstrip("\n") == (to / VERDICT_FILE).read_text()


def test_a_denial_is_1_and_puts_nothing_there(model: Path, to: Path) -> None:
    public = model.parent / "key.pub"
    (model / "config.json").write_bytes(b"changed")
    denied = oms_gate("pull", model, to, "--public-key", public)
    assert denied.returncode == 1
    assert "config.json was changed after signing" in denied.stdout
    assert list(to.parent.iterdir()) == []
    quiet = oms_gate("pull", model, to, "--public-key", public, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    absent = oms_gate("pull", model / "absent", to, "--public-key", public)
    assert absent.returncode == 3
    assert ReasonCode.STORE_NOT_FOUND in absent.stdout


def test_a_cache_of_the_hubs_client(hub: HubStandIn, model: Path, to: Path) -> None:
    commit = hub.create("org/m", files={path.name: path.read_bytes() for path in model.iterdir()})
    public = model.parent / "key.pub"
    options = ["--public-key", public, "--hub-cache", "--ref", "stable"]
    result = oms_gate("pull", "hf://org/m", to, *options)
    assert result.returncode == 0, result.stdout + result.stderr
    folder = to / "models--org--m"
    assert f"{folder}/snapshots/{commit}: 3 files" in result.stdout
    assert (folder / "refs" / "stable").read_text() == commit


def test_what_annotate_lets_through_is_loud(model: Path, to: Path) -> None:
    config = model.parent / "gate.yaml"
    config.write_text(
        "mode: annotate\ntrust: {keys: {acme: key.pub}}\npublishers:\n"
        "  - {name: Acme, models: ['/**'], signers: [{method: key, key: acme}]}\n"
    )
    (model / "config.json").write_bytes(b"changed")
    result = oms_gate("pull", model, to, "--config", config)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "config.json was changed" in result.stdout
    assert "let through all the same" in result.stdout
    assert (to / "config.json").read_bytes() == b"changed"
    assert json.loads((to / VERDICT_FILE).read_text())["outcome"] == "denied"
    absent = oms_gate("pull", model / "absent", to, "--config", config)
    assert absent.returncode == 3
    assert "let through" not in absent.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["pull", "{model}"], "DIR"),
        (["pull", "{model}", "{to}"], "nobody is named"),
        (["pull", "{model}", "", "--public-key", "{key}"], "no name"),
        (["pull", "{model}", "{key}", "--public-key", "{key}"], "not a folder"),
        (["pull", "{model}", "{model}", "--public-key", "{key}"], "README.md"),
        (["pull", "{model}", "/", "--public-key", "{key}"], "choose another folder"),
        (["pull", "{model}", "{to}", "--public-key", "{key}", "--include", "x"], "leave no file"),
        (["pull", "{model}", "{to}", "--public-key", "{key}", "--json", "--quiet"], "--quiet"),
        (["pull", "hf://", "{to}", "--public-key", "{key}"], "hf://"),
        (["pull", "{model}", "{to}", "--public-key", "{key}", "--hub-cache"], "not a repository"),
        (["pull", "hf://org/m", "{to}", "--public-key", "{key}", "--ref", "x"], "add --hub-cache"),
        (["pull", "{model}", "{to}", "--pinned-signature", "abc"], "does not pin"),
        (["pull", "{model}", "{to}", "--pinned-signature", ""], "does not pin"),
    ],
)
def test_usage_and_configuration_mistakes_are_2(
    model: Path, to: Path, arguments: list[str], word: str
) -> None:
    names = {"model": model, "to": to, "key": model.parent / "key.pub"}
    result = oms_gate(*(argument.format(**names) for argument in arguments))
    assert result.returncode == 2, result.stdout + result.stderr
    assert word in result.stderr
    assert result.stdout == ""
    assert not to.exists()


def test_a_terminal_has_a_bar(hub: HubStandIn, model: Path, to: Path) -> None:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    hub.create("org/model", files=dict(files))
    hub.inject(Slow(200_000), "*.safetensors", origin="cdn")
    public = str(model.parent / "key.pub")
    status, output = at_a_terminal([], "pull", "hf://org/model", str(to), "--public-key", public)
    assert status == 0
    assert "/256.0 kB" in output
    assert tree(to) == files


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What runs in the background of a script ignores Ctrl-C, and so does what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
@pytest.mark.usefixtures("interruptible")
def test_an_interruption_keeps_what_has_arrived(
    hub: HubStandIn, model: Path, to: Path, number: signal.Signals, status: int
) -> None:
    hub.create("org/model", files={path.name: path.read_bytes() for path in model.iterdir()})
    hub.inject(Slow(1000), "*.safetensors", origin="cdn")
    command = [str(Path(sys.executable).with_name("oms-gate")), "pull", "hf://org/model", str(to)]
    command += ["--public-key", str(model.parent / "key.pub")]
    stage = to.with_name(".model.oms-gate-pull")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        deadline = time.monotonic() + 60
        while not (stage / "model" / "config.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (status, "oms-gate: interrupted\n")
    assert not to.exists()
    hub.faults.clear()
    hub.clear()
    again = oms_gate("pull", "hf://org/model", to, *command[-2:])
    assert again.returncode == 0, again.stdout
    assert not [each for each in hub.requests if each.file == "config.json"]
    assert list(to.parent.iterdir()) == [to]


def test_a_pinned_signature_needs_nobody_to_be_named(model: Path, to: Path) -> None:
    pinned = hashlib.sha256((model / "model.sig").read_bytes()).hexdigest()
    result = oms_gate("pull", model, to, "--pinned-signature", pinned)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"pinned, sha256 {pinned}; signer and policy were not asked" in result.stdout
    assert "  signed by" not in result.stdout
    models.write(model, {"model.sig": models.signature(models.FILES, models.new_key())})
    denied = oms_gate("pull", model, to.with_name("other"), "--pinned-signature", pinned)
    assert denied.returncode == 1
    assert ReasonCode.SIGNATURE_NOT_PINNED in denied.stdout
    assert "the model was signed anew" in denied.stdout


def test_of_a_configuration_a_pin_takes_stores_and_limits_only(model: Path, to: Path) -> None:
    """Roots and policies need not even be there."""
    pinned = hashlib.sha256((model / "model.sig").read_bytes()).hexdigest()
    config = model.parent / "gate.yaml"
    text = (
        "mode: annotate\nsignature: other.sig\ntrust: {keys: {acme: absent.pub}}\n"
        "policy: {rego: absent}\n"
    )
    config.write_text(text)
    (model / "model.sig").rename(model / "other.sig")
    options = ("--pinned-signature", pinned, "--config", config)
    result = oms_gate("pull", model, to, *options[:2], OMS_GATE_CONFIG=str(config))
    assert result.returncode == 0, result.stdout + result.stderr
    (model / "config.json").write_bytes(b"changed")
    other = to.with_name("other")
    assert oms_gate("pull", model, other, *options).returncode == 1
    models.write(model, {"other.sig": b" " * 2000})
    config.write_text(text + "limits: {bundle_bytes: 1024}\n")
    assert ReasonCode.SIGNATURE_TOO_LARGE in oms_gate("pull", model, other, *options).stdout
    assert not other.exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--public-key", "{key}"], "options of the signer"),
        (["--identity", ""], "options of the signer"),
        (["--policy", "{model}"], "leave out --policy"),
    ],
)
def test_a_pin_says_it_all(model: Path, to: Path, options: list[str], word: str) -> None:
    named = [option.format(key=model.parent / "key.pub", model=model) for option in options]
    result = oms_gate("pull", model, to, "--pinned-signature", "0" * 64, *named)
    assert (result.returncode, result.stdout) == (2, "")
    assert word in result.stderr
