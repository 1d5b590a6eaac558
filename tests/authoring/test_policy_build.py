"""A bundle is the policy without its tests, the same each time, and one that the gate can use."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oms_gate.authoring.building import SigningKey, build_policy
from oms_gate.errors import ConfigError
from oms_gate.limits import Limits
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from tests import models
from tests.commands import oms_gate
from tests.policy.samples import document


def members(bundle: Path) -> dict[str, bytes]:
    with tarfile.open(bundle) as archive:
        files = ((file.name.lstrip("/"), archive.extractfile(file)) for file in archive)
        return {name: content.read() for name, content in files if content}


def test_a_bundle_is_the_policy_alone(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar.gz"
    done = oms_gate("policy", "build", folder, "-o", bundle, "--revision", "r7", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert (told["size"], told["revision"], told["signed"]) == (bundle.stat().st_size, "r7", False)
    files = members(bundle)
    assert json.loads(files[".manifest"])["revision"] == "r7"
    assert "own.rego" in files
    assert not [name for name in files if "_test" in name or "schema" in name or "regal" in name]
    engine = WasmEngine.from_bundle(bundle, data_document([]), Limits())
    assert "publisher.unknown" in {reason.code for reason in engine.decide(document()).deny}
    engine.close()
    again = build_policy(folder, tmp_path / "again.tar.gz", revision="r7")
    assert again.sha256 == told["sha256"]


def test_a_bundle_is_signed_over_its_files(folder: Path, tmp_path: Path) -> None:
    key = models.new_key()
    (tmp_path / "policy.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "policy.key").chmod(0o600)
    bundle = tmp_path / "b.tar.gz"
    arguments = ["policy", "build", folder, "-o", bundle, "--signing-key", tmp_path / "policy.key"]
    done = oms_gate(*arguments)
    assert done.returncode == 0, done.stderr
    assert "yes, ES256" in done.stdout
    files = members(bundle)
    (token,) = json.loads(files[".signatures.json"])["signatures"]
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(
        encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(hashes.SHA256())
    )
    payload = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    assert "policy.wasm" in {file["name"].lstrip("/") for file in payload["files"]}
    # OPA would take the name for the secret.
    missing = oms_gate(*arguments[:-1], tmp_path / "nokey")
    assert missing.returncode == 2
    assert "nokey cannot be read" in missing.stderr


def test_what_the_gate_cannot_use_is_not_written(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "bundle.tar.gz"
    output.parent.mkdir()
    output.write_bytes(b"the last one")
    (folder / "late.rego").write_text(
        'package oms_gate.admission\nwarn contains {"code": "l", "msg": "l"} if time.now_ns() > 5\n'
    )
    with pytest.raises(ConfigError, match=r"the policy in .*/policy uses time.now_ns"):
        build_policy(folder, output)
    assert [path.name for path in output.parent.iterdir()] == ["bundle.tar.gz"]
    assert output.read_bytes() == b"the last one"
    (folder / "late.rego").write_text("package oms_gate.admission\nwarn contains\n")
    with pytest.raises(ConfigError, match="OPA refuses"):
        build_policy(folder, output)
    key = SigningKey(tmp_path / "none.key", "ES256")
    with pytest.raises(ConfigError, match="cannot be read"):
        build_policy(folder, output, key=key)
