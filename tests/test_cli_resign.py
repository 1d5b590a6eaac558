"""``oms-gate diff`` and ``oms-gate resign``, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests import models
from tests.commands import oms_gate
from tests.peers.hub import HubStandIn
from tests.test_cli_sign import at_a_terminal

NAME = "[bold]\x1b[2Kx.py"


@pytest.fixture
def signing_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """The publisher's private key; the public one is beside it."""
    file = tmp_path / "release.key"
    file.touch(0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.with_suffix(".pub").write_bytes(models.public_pem(key))
    return file


@pytest.fixture
def model(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """A signed model."""
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    return models.write(tmp_path / "model", files)


def test_diff_says_in_words_what_changed(model: Path) -> None:
    same = oms_gate("diff", model)
    assert same.returncode == 0, same.stderr
    assert "nothing changed" in same.stdout
    # Anybody may have put that signature there.
    assert "which nobody verified" in same.stdout
    assert "✓" not in same.stdout
    models.write(
        model, {"README.md": b"secret words", "modeling.py": b"import os", "a.bin": b"pickle"}
    )
    (model / "model.safetensors").rename(model / "weights.safetensors")
    (model / "config.json").unlink()
    changed = oms_gate("diff", model)
    assert changed.returncode == 1, changed.stderr
    said = [" ".join(line.split()) for line in changed.stdout.splitlines()]
    assert said[0].startswith("· 5 changes since it was signed, as the signature file says")
    assert "claims to be by the key" in said[1]
    assert said[2:] == [
        "changed README.md (12 B, document)",
        "added a.bin (6 B, a pickle, which may run code when it is loaded)",
        "added modeling.py (9 B, code that a loader may run)",
        "removed config.json (configuration, which may name code for a loader to run)",
        "moved model.safetensors -> weights.safetensors (250.0 KiB, weights)",
    ]
    assert "secret" not in changed.stdout
    quiet = oms_gate("diff", model, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    assert oms_gate("diff", model, "--quiet", "--json").returncode == 2


def test_diff_of_a_strangers_signature_as_json(model: Path) -> None:
    stranger = models.signature({**models.FILES, "gone.so": b"1"}, models.new_key())
    (model / "model.sig").write_bytes(stranger)
    done = oms_gate("diff", model, "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["verified"] is False
    assert said["removed"] == [{"path": "gone.so", "size": None, "kind": "code", "may_run": True}]
    assert [said[group] for group in ("added", "changed", "moved", "dropped", "left_out")] == [
        []
    ] * 5


def test_without_a_signature_the_way_on_is_told(model: Path, signing_key: Path) -> None:
    (model / "model.sig").unlink()
    for command in (("diff", model), ("resign", model, "--key", signing_key, "--yes")):
        refused = oms_gate(*command)
        assert refused.returncode == 2
        assert "oms-gate sign signs the model" in refused.stderr
    assert not (model / "model.sig").exists()


def test_resign_asks_at_a_terminal(model: Path, signing_key: Path) -> None:
    public = signing_key.with_suffix(".pub")
    (model / "config.json").write_bytes(b"[]")
    before = (model / "model.sig").read_bytes()
    for answer in ("", "what"):
        status, output = at_a_terminal([answer], "resign", model, "--key", signing_key)
        assert status == 1, output
        assert "nothing was signed" in output
        assert (model / "model.sig").read_bytes() == before
    status, output = at_a_terminal(["y"], "resign", model, "--key", signing_key)
    assert status == 0, output
    assert output.index("config.json") < output.index("Sign these changes? [y/N]")
    assert oms_gate("verify", model, "--public-key", public).returncode == 0
    # Of a model that did not change the signature is renewed.
    status, output = at_a_terminal(["n"], "resign", model, "--key", signing_key)
    assert status == 1, output
    assert output.index("nothing changed") < output.index("Sign it anew? [y/N]")


def test_resign_where_nobody_can_be_asked(model: Path, signing_key: Path) -> None:
    before = (model / "model.sig").read_bytes()
    options = ("resign", model, "--key", signing_key)
    for more in ((), ("--json",), ("--quiet",)):
        refused = oms_gate(*options, *more)
        assert refused.returncode == 2
        assert "give --yes" in refused.stderr
    assert (model / "model.sig").read_bytes() == before
    done = oms_gate(*options, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["changes"]["changed"] == []
    assert said["signed"]["files"] == len(models.FILES)
    public = signing_key.with_suffix(".pub")
    assert oms_gate("verify", model, "--public-key", public).returncode == 0


@pytest.fixture
def forged(model: Path) -> Path:
    """The model, of which somebody swapped the weights, added code, and signed all that."""
    evil = {**models.FILES, "model.safetensors": b"swapped", "modeling.py": b"import os"}
    signature = models.signature(evil, models.new_key(), ignore_paths=["docs"])
    return models.write(model, {**evil, "docs/run.py": b"1", "model.sig": signature})


def test_diff_with_somebody_to_trust(model: Path, signing_key: Path) -> None:
    public = ("--public-key", signing_key.with_suffix(".pub"))
    trusted = oms_gate("diff", model, *public)
    assert trusted.returncode == 0, trusted.stderr
    assert trusted.stdout.startswith("✓ nothing changed since it was signed")
    assert "claims" not in trusted.stdout
    said = json.loads(oms_gate("diff", model, *public, "--json").stdout)
    assert (said["verified"], said["doubt"]) == (True, None)


def test_of_a_forged_signature_nothing_counts(forged: Path, signing_key: Path) -> None:
    diff = oms_gate("diff", forged, "--public-key", signing_key.with_suffix(".pub"))
    assert diff.returncode == 1
    assert "nobody whom you trust signed any of this before" in diff.stdout
    said = [" ".join(line.split()) for line in diff.stdout.splitlines()]
    # Nor what it leaves out.
    for path in ("README.md", "config.json", "docs/run.py", "model.safetensors", "modeling.py"):
        assert any(line.startswith(f"added {path} ") for line in said), path
    before = (forged / "model.sig").read_bytes()
    for more in ((), ("--json",), ("--quiet",)):
        refused = oms_gate("resign", forged, "--key", signing_key, "--yes", *more)
        assert refused.returncode == 1
        assert "use oms-gate sign if all of it is meant" in refused.stderr
        assert "nobody whom you trust" in refused.stderr
    assert (forged / "model.sig").read_bytes() == before


def test_whoever_is_asked_is_told_that_nobody_signed_it(forged: Path, signing_key: Path) -> None:
    before = (forged / "model.sig").read_bytes()
    question = "Nobody whom you trust signed any of this before. Sign all of it? [y/N]"
    status, output = at_a_terminal(["n"], "resign", forged, "--key", signing_key)
    assert status == 1, output
    assert question in output
    assert "✓" not in output
    assert (forged / "model.sig").read_bytes() == before
    status, output = at_a_terminal(["y"], "resign", forged, "--key", signing_key)
    assert status == 0, output
    public = signing_key.with_suffix(".pub")
    assert oms_gate("verify", forged, "--public-key", public).returncode == 0


def test_a_configuration_says_whose_signature_counts(
    model: Path, tmp_path: Path, signing_key: Path
) -> None:
    """As when the key is another one from now on."""
    rule = {"name": "Acme", "models": [f"{model}"], "signers": [{"method": "key", "key": "acme"}]}
    trust = {"keys": {"acme": str(signing_key.with_suffix(".pub"))}, "public_good": False}
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps({"trust": trust, "publishers": [rule]}))
    key = tmp_path / "next"
    assert oms_gate("keygen", key, "--no-passphrase").returncode == 0
    options = ("resign", model, "--key", f"{key}.key", "--yes")
    assert oms_gate(*options).returncode == 1
    models.write(model, {"more.py": b"import os"})
    done = oms_gate(*options, "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("! 1 change since it was signed")
    # Of the new key it does not say so.
    assert oms_gate(*options, "--config", config).returncode == 1


def test_names_from_strangers_forge_no_output(model: Path) -> None:
    (model / NAME).write_bytes(b"1")
    (model / "model.safetensors").write_bytes(b"2")
    # Such a name can be neither signed nor shown as it is.
    refused = oms_gate("diff", model)
    assert refused.returncode == 1
    assert "\x1b" not in refused.stdout + refused.stderr
    (model / NAME).unlink()
    (model / "[bold]x.py").write_bytes(b"1")
    assert "added     [bold]x.py (1 B" in oms_gate("diff", model).stdout


def test_resign_a_repository(hub: HubStandIn, model: Path, signing_key: Path) -> None:
    signature = (model / "model.sig").read_bytes()
    hub.create("org/model", files={**models.FILES, "model.sig": signature, "run.py": b"import os"})
    seen = oms_gate("diff", "hf://org/model")
    assert seen.returncode == 1, seen.stderr
    assert "run.py (9 B, code that a loader may run)" in seen.stdout
    assert "believed  1 of 4 files" in seen.stdout
    assert "cdn" not in {record.origin for record in hub.requests}
    options = ("--key", signing_key, "--yes", "--message", "Sign run.py")
    done = oms_gate("resign", "hf://org/model", *options, HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    assert oms_gate("diff", "hf://org/model").returncode == 0
