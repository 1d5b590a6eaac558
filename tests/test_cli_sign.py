"""``oms-gate sign`` and ``oms-gate keygen``, as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from oms_gate.reason_codes import ReasonCode
from oms_gate.signing.pkcs11 import open_token_key
from tests import models
from tests.commands import oms_gate
from tests.oms import forge
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.peers.softhsm import PIN, SoftHSM
from tests.sigstore.authority import IDENTITY
from tests.sigstore.instance import stamp
from tests.sigstore.server import SigstoreServer
from tests.sigstore.timestamps import TimestampAuthority

PASSPHRASE = "correct horse"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write(tmp_path / "model", models.FILES)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; the public one is beside it."""
    assert oms_gate("keygen", tmp_path / "release", "--no-passphrase").returncode == 0
    return tmp_path / "release.key"


def test_keygen_makes_a_pair_that_signs_and_verifies(model: Path, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signed = oms_gate("sign", model, "--key", key)
    assert signed.returncode == 0, signed.stderr
    assert "signed" in signed.stdout
    assert f"{len(models.FILES)} (250.0 KiB)" in signed.stdout
    assert str(model / "model.sig") in signed.stdout
    verified = oms_gate("verify", model, "--public-key", key.with_suffix(".pub"))
    assert verified.returncode == 0, verified.stdout


def test_keygen_wants_a_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("", ".", "..", "folder/", "folder/..", "folder/.key"):
        refused = oms_gate("keygen", f"{tmp_path}/{name}" if name else "", "--no-passphrase")
        assert refused.returncode == 2
        assert "is no name for a key" in refused.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]
    assert oms_gate("keygen", tmp_path / "release.key", "--no-passphrase").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"release.key", "release.pub"}


def test_an_empty_passphrase_file_is_said_to_be_empty(tmp_path: Path, model: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch(0o600)
    for command in (("keygen", tmp_path / "k"), ("sign", model, "--key", tmp_path / "k.key")):
        refused = oms_gate(*command, "--passphrase-file", empty)
        assert refused.returncode == 2
        assert f"{empty} is empty" in refused.stderr


def test_keygen_overwrites_nothing(key: Path) -> None:
    before = key.read_bytes()
    for name in (key.with_suffix(""), key.parent / "absent" / "release"):
        refused = oms_gate("keygen", name, "--no-passphrase")
        assert refused.returncode == 2
        assert "oms-gate: " in refused.stderr
    assert key.read_bytes() == before


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_keygen_has_a_passphrase_from_a_file_or_the_environment(
    tmp_path: Path, model: Path, curve: str
) -> None:
    secret = tmp_path / "passphrase"
    secret.touch(0o600)
    secret.write_text(PASSPHRASE + "\n")
    made = oms_gate("keygen", tmp_path / "k", "--curve", curve, "--passphrase-file", secret)
    assert made.returncode == 0, made.stderr
    private = tmp_path / "k.key"
    assert b"ENCRYPTED" in private.read_bytes()
    assert oms_gate("sign", model, "--key", private, "--passphrase-file", secret).returncode == 0
    environment = {"OMS_GATE_KEY_PASSPHRASE": PASSPHRASE}
    assert oms_gate("sign", model, "--key", private, **environment).returncode == 0
    wrong = oms_gate("sign", model, "--key", private, OMS_GATE_KEY_PASSPHRASE="wrong")
    assert wrong.returncode == 2
    assert "passphrase" in wrong.stderr
    missing = oms_gate("sign", model, "--key", private)
    assert missing.returncode == 2
    assert "is encrypted; give its passphrase by --passphrase-file (in" in missing.stderr
    for output in (made, wrong, missing):
        assert PASSPHRASE not in output.stdout + output.stderr


def test_keygen_without_a_passphrase_must_be_told_so(tmp_path: Path) -> None:
    refused = oms_gate("keygen", tmp_path / "k")
    assert refused.returncode == 2
    assert "--no-passphrase" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    both = oms_gate("keygen", tmp_path / "k", "--no-passphrase", "--passphrase-file", "x")
    assert both.returncode == 2


def at_a_terminal(answers: list[str], *arguments: object) -> tuple[int, str]:
    """Run it with a terminal, and give an answer at each question; exit status and output."""
    program = str(Path(sys.executable).with_name("oms-gate"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program, [program, *map(str, arguments)])  # pragma: no cover
    output = b""
    try:
        while chunk := os.read(terminal, 1024):
            output += chunk
            if answers and output.endswith((b": ", b"[y/N] ")):
                os.write(terminal, answers.pop(0).encode() + b"\n")
                output += b"\n"
    except OSError:  # The other end has closed.
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), output.decode()


def test_at_a_terminal_the_passphrase_is_asked_for(tmp_path: Path, model: Path) -> None:
    status, output = at_a_terminal([PASSPHRASE, "another"], "keygen", tmp_path / "k")
    assert status == 2, output
    assert "differ" in output
    assert not (tmp_path / "k.key").exists()
    status, output = at_a_terminal([""], "keygen", tmp_path / "k")
    assert status == 2, output
    assert "say --no-passphrase" in output
    status, output = at_a_terminal([PASSPHRASE] * 2, "keygen", tmp_path / "k")
    assert status == 0, output
    status, output = at_a_terminal([PASSPHRASE] * 2, "keygen", tmp_path / "k")
    assert status == 2, output
    assert "is there already" in " ".join(output.split())
    assert "Passphrase" not in output
    status, output = at_a_terminal([PASSPHRASE], "sign", model, "--key", tmp_path / "k.key")
    assert status == 0, output
    assert PASSPHRASE not in output


def test_json_says_what_was_signed(model: Path, key: Path) -> None:
    done = oms_gate(
        "sign", model, "--key", key, "--json", "--hash", "blake3", "--shards", "64KiB",
        "--ignore-path", "README.md", "--ignore-path", "docs/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["model"] == f"file://{model}"
    assert said["signature"] == f"file://{model}/model.sig"
    assert said["method"] == "key"
    assert said["identity"].startswith("sha256:")
    assert (said["hash_type"], said["serialization"], said["shard_size"]) == (
        "blake3",
        "shards",
        65536,
    )
    assert {"README.md", "docs", "model.sig"} <= set(said["ignore_paths"])
    assert said["files"] == 2
    claims = json.loads(oms_gate("inspect", model / "model.sig", "--json").stdout)
    assert claims["claimed_root_digest"] == said["root_digest"]
    verified = oms_gate("verify", model, "--public-key", key.with_suffix(".pub"))
    assert verified.returncode == 0, verified.stdout


def test_quiet_says_nothing(model: Path, key: Path) -> None:
    done = oms_gate("sign", model, "--key", key, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert oms_gate("sign", model, "--key", key, "--quiet", "--json").returncode == 2


def test_a_certificate_and_its_chain(model: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    window: forge.Json = {"start": now - timedelta(1), "end": now + timedelta(1)}
    root = forge.issue("root", **window)
    middle = forge.issue("middle", root, **window)
    leaf = forge.issue_leaf("release", middle, **window)
    for name, party in (("root", root), ("middle", middle), ("leaf", leaf)):
        (tmp_path / f"{name}.pem").write_bytes(party.pem)
    pem = leaf.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    )
    key = tmp_path / "leaf.key"
    key.touch(0o600)
    key.write_bytes(pem)
    options = [
        "--key", key, "--certificate", tmp_path / "leaf.pem",
        "--certificate-chain", tmp_path / "middle.pem",
    ]  # fmt: skip
    signed = oms_gate("sign", model, *options, OMS_GATE_KEY_PASSPHRASE=PASSPHRASE)
    assert signed.returncode == 0, signed.stderr
    verified = oms_gate(
        "verify", model, "--certificate-root", tmp_path / "root.pem", "--identity", "CN=release"
    )
    assert verified.returncode == 0, verified.stdout
    options[3] = tmp_path / "middle.pem"
    refused = oms_gate("sign", model, *options, OMS_GATE_KEY_PASSPHRASE=PASSPHRASE)
    assert refused.returncode == 2
    assert "belongs to another key" in refused.stderr


USAGE = {
    "nothing to sign with": ([], "nothing is given to sign with"),
    "two methods": (["--key", "k", "--sigstore", "public"], "leave out --key"),
    "a chain without its first": (["--key", "k", "--certificate-chain", "c"], "--certificate too"),
    "a token without Sigstore": (["--key", "k", "--identity-token", "t"], "go with --sigstore"),
    "half a private Sigstore": (["--sigstore", "private", "--trusted-root", "t"], "give both"),
    "a private root for the public": (
        ["--sigstore", "public", "--trusted-root", "t"],
        "--sigstore private",
    ),
    "no identity": (["--sigstore", "public"], "no identity to sign with"),
    "a passphrase for a token": (
        ["--key", "pkcs11:token=x?module-path=/x.so", "--passphrase-file", "p"],
        "a PIN and no passphrase",
    ),
    "a file's certificate in a token": (
        ["--key", "k", "--certificate", "token"],
        "is for a key in a token",
    ),
    "no such key": (["--key", "absent.key"], "cannot be read"),
    "an empty key": (["--key", ""], "--key is empty"),
    "a commit to a folder": (["--key", "KEY", "--message", "x"], "for a commit to the Hub"),
    "shards of nothing": (["--key", "KEY", "--shards", "0"], "no size of shards"),
    "shards of something else": (["--key", "absent.key", "--shards", "much"], "no size of shards"),
    "a pull request for a folder": (["--key", "KEY", "--pull-request"], "not on the Hub"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_what_cannot_be_meant_is_said(model: Path, key: Path, mistake: str) -> None:
    options, message = USAGE[mistake]
    done = oms_gate("sign", model, *[key if option == "KEY" else option for option in options])
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert not (model / "model.sig").exists()


def test_what_cannot_be_signed_is_not(model: Path, key: Path, tmp_path: Path) -> None:
    absent = oms_gate("sign", tmp_path / "absent", "--key", key)
    assert absent.returncode == 2
    assert "nothing to sign" in absent.stderr
    (model / "link").symlink_to("/etc/hostname")
    linked = oms_gate("sign", model, "--key", key)
    assert linked.returncode == 1
    assert "symbolic link" in linked.stderr
    empty = models.write(tmp_path / "empty", {".git/HEAD": b""})
    nothing = oms_gate("sign", empty, "--key", key)
    assert nothing.returncode == 2
    assert "no file to sign" in nothing.stderr


def test_a_name_that_nobody_takes_is_told_to_its_signer(model: Path, key: Path) -> None:
    (model / "a:b.txt").touch()
    refused = oms_gate("sign", model, "--key", key)
    assert refused.returncode == 1
    assert refused.stderr == (
        "oms-gate: the model cannot be signed: the name 'a:b.txt' begins with a drive letter; "
        "rename the file\n"
    )


def test_the_signature_of_a_single_file_has_its_name(model: Path, key: Path) -> None:
    file = model / "model.safetensors"
    refused = oms_gate("sign", file, "--key", key, "--signature", "another.sig")
    assert refused.returncode == 2
    assert "is always model.safetensors.sig beside it" in refused.stderr
    config = model.parent / "gate.yaml"
    config.write_text(json.dumps({"signature": "our.sig"}))
    for options in (("--signature", "model.safetensors.sig"), ("--config", config)):
        assert oms_gate("sign", file, "--key", key, *options).returncode == 0
    assert (model / "model.safetensors.sig").exists()


def test_a_disk_that_is_full_is_no_matter_of_usage(model: Path, key: Path, tmp_path: Path) -> None:
    code = (
        "import resource; from oms_gate.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); main()"
    )
    command = [sys.executable, "-c", code, "sign", str(model), "--key", str(key)]
    for options in ([], ["--output", str(tmp_path / "x.sig")]):
        failed = subprocess.run([*command, *options], capture_output=True, text=True)
        assert failed.returncode == 3
        assert "cannot be written: File too large" in failed.stderr


def test_a_key_in_the_model_would_be_published_with_it(model: Path, key: Path) -> None:
    inside = model / "release.key"
    inside.write_bytes(key.read_bytes())
    inside.chmod(0o600)
    for reference in (model, f"file://{model}", f"local://{model}"):
        refused = oms_gate("sign", reference, "--key", inside)
        assert refused.returncode == 2
        assert "would be published with it" in refused.stderr
    inside.unlink()
    assert oms_gate("sign", model, "--key", key).returncode == 0


def test_what_signs_does_not_give_way_to_the_signature(model: Path, key: Path) -> None:
    """Not even where it is empty, as a file may be that is to be overwritten."""
    weights = model / "config.json"
    beside = weights.with_name("config.json.sig")
    beside.touch(0o600)
    uses: list[tuple[object, ...]] = [
        ("--key", beside),
        ("--key", key, "--passphrase-file", beside),
        ("--key", key, "--certificate", beside),
        ("--key", key, "--certificate", "other.pem", "--certificate-chain", beside),
    ]
    for use in uses:
        for place in ((weights,), (model.parent, "--output", beside)):
            refused = oms_gate("sign", *place, *use)
            assert refused.returncode == 2
            assert "would take its place" in refused.stderr
    assert beside.read_bytes() == b""
    assert oms_gate("sign", weights, "--key", key).returncode == 0


def test_a_path_that_is_not_there_is_told(model: Path, key: Path) -> None:
    options = ("--key", key, "--ignore-path", "./README.md", "--ignore-path", "absent.md")
    done = oms_gate("sign", model, *options)
    assert done.returncode == 0
    assert "oms-gate: absent.md is to be left out" in done.stderr
    assert "README" not in done.stderr
    assert oms_gate("sign", model, *options, "--quiet").stderr == ""


def test_what_verifiers_refuse_to_be_left_out_is_told(model: Path, key: Path) -> None:
    models.write(model, {"original/a.bin": b"1", "original/b.py": b"2"})
    left_out = ("--ignore-path", "model.safetensors", "--ignore-path", "original/")
    done = oms_gate("sign", model, "--key", key, *left_out)
    assert done.returncode == 0
    assert "model.safetensors is left out, but loaders may read model.safetensors:" in done.stderr
    assert "original is left out, but loaders may read original/a.bin and more:" in done.stderr
    denied = oms_gate("verify", model, "--public-key", key.with_suffix(".pub"))
    assert ReasonCode.COVERAGE_IGNORED in denied.stdout


def test_a_bucket_named_by_a_configuration(
    s3: SeaweedFS, s3_bucket: str, key: Path, tmp_path: Path
) -> None:
    for path, content in models.FILES.items():
        s3.put(s3_bucket, f"m/{path}", content)
    config = tmp_path / "gate.yaml"
    stores = {"options": {"s3": s3.storage_options()}}
    config.write_text(json.dumps({"stores": stores, "signature": "our.sig"}))
    signed = oms_gate("sign", f"s3://{s3_bucket}/m", "--key", key, "--config", config, "--json")
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout)["signature"] == f"s3://{s3_bucket}/m/our.sig"
    public = key.with_suffix(".pub")
    options = ("--config", config, "--public-key", public)
    assert oms_gate("verify", f"s3://{s3_bucket}/m", *options).returncode == 0


def test_a_pull_request(hub: HubStandIn, key: Path) -> None:
    hub.create("org/model", files=models.FILES)
    options = ("--key", key, "--pull-request", "--message", "Sign v1")
    signed = oms_gate("sign", "hf://org/model", *options, HF_TOKEN=hub.token)
    assert signed.returncode == 0, signed.stderr
    assert "/discussions/1" in signed.stdout
    for empty in (("--message", ""), ("--message", "x", "--output", key.with_name("x.sig"))):
        assert oms_gate("sign", "hf://org/model", "--key", key, *empty).returncode == 2
    denied = oms_gate("sign", "hf://org/model", *options)
    assert denied.returncode == 2
    assert "HF_TOKEN" in denied.stderr


@pytest.mark.parametrize(
    "fault",
    [
        faults.Status(400, {"X-Error-Message": "LFS quota exceeded"}),
        faults.Redirect("http://127.0.0.1:9/"),
    ],
    ids=["refusal", "redirect"],
)
def test_a_hub_that_refuses_is_not_the_models_fault(
    hub: HubStandIn, key: Path, fault: faults.Fault
) -> None:
    hub.create("org/model", files=models.FILES)
    hub.inject(fault, "*/commit/main")
    failed = oms_gate("sign", "hf://org/model", "--key", key, HF_TOKEN=hub.token)
    assert failed.returncode == 3, failed.stderr


def test_nor_is_one_that_is_too_slow(hub: HubStandIn, key: Path, tmp_path: Path) -> None:
    hub.create("org/model", files=models.FILES)
    hub.inject(faults.Slow(20), "*config.json")
    config = tmp_path / "gate.yaml"
    config.write_text("limits: {read_seconds: 0.5, retries: 0}\n")
    options = ("--key", key, "--config", config)
    failed = oms_gate("sign", "hf://org/model", *options, HF_TOKEN=hub.token)
    assert failed.returncode == 3, failed.stderr
    assert "minimum_bytes_per_second" in failed.stderr


@pytest.fixture
def sigstore(tmp_path: Path) -> Iterator[SigstoreServer]:
    """A private Sigstore; its two files are beside the model."""
    with SigstoreServer() as server:
        root, config = server.sigstore.trusted_root(), server.signing_config()
        (tmp_path / "trusted_root.json").write_text(json.dumps(root))
        (tmp_path / "signing_config.json").write_text(json.dumps(config))
        yield server


def test_a_private_sigstore(sigstore: SigstoreServer, model: Path, tmp_path: Path) -> None:
    root = ("--trusted-root", tmp_path / "trusted_root.json")
    instance = (
        *("--sigstore", "private", "--signing-config", tmp_path / "signing_config.json"),
        *root,
    )
    token = sigstore.identity_token(IDENTITY)
    signed = oms_gate("sign", model, *instance, "--identity-token", token)
    assert signed.returncode == 0, signed.stderr
    assert IDENTITY in signed.stdout
    assert token not in signed.stdout + signed.stderr
    who = ("--identity", IDENTITY, "--issuer", sigstore.url)
    verified = oms_gate("verify", model, *who, *root)
    assert verified.returncode == 0, verified.stdout
    assert "(1 by timestamp authority)" in verified.stdout
    # The token of the environment is as good.
    assert oms_gate("sign", model, *instance, SIGSTORE_ID_TOKEN=token).returncode == 0
    refused = oms_gate("sign", model, *instance, SIGSTORE_ID_TOKEN="no.token.atall")
    assert refused.returncode == 3
    assert "identity token" in refused.stderr


def test_a_timestamp(sigstore: SigstoreServer, model: Path, key: Path, tmp_path: Path) -> None:
    signed = oms_gate(
        "sign", model, "--key", key, "--timestamp-url", f"{sigstore.url}/api/v1/timestamp"
    )
    assert signed.returncode == 0, signed.stderr
    (tmp_path / "tsa.pem").write_bytes(sigstore.sigstore.timestamp_authority.root_pem)
    trust = {
        "keys": {"signer": str(key.with_suffix(".pub"))},
        "timestamp_authorities": {"tsa": "tsa.pem"},
    }
    signers = [{"method": "key", "key": "signer"}]
    publishers = [{"name": "we", "models": [str(model)], "signers": signers}]
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps({"trust": trust, "publishers": publishers}))
    verified = oms_gate("verify", model, "--config", config)
    assert verified.returncode == 0, verified.stdout
    assert "(1 by timestamp authority)" in verified.stdout
    silent = oms_gate("sign", model, "--key", key, "--timestamp-url", "http://127.0.0.1:9/")
    assert silent.returncode == 3
    assert "http://127.0.0.1:9/" in silent.stderr


def test_a_key_in_a_token(
    model: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = SoftHSM(tmp_path / "softhsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tokens.configuration))
    tokens.create("release")
    tokens.generate("release", "models", b"\x01")
    now = datetime.now(UTC)
    window: forge.Json = {"start": now - timedelta(1), "end": now + timedelta(1)}
    root = forge.issue("root", **window)
    (tmp_path / "root.pem").write_bytes(root.pem)
    with open_token_key(tokens.uri(token="release", object="models")) as held:
        public_key = held.public_key()
        issuable: Any = held
        certificate = forge.issue_leaf("we", root, private_key=issuable, **window).certificate
    (tmp_path / "token.pub").write_bytes(
        public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    uri = tokens.uri(pin=None, token="release", object="models")

    signed = oms_gate("sign", model, "--key", uri, OMS_GATE_PKCS11_PIN=PIN)
    assert signed.returncode == 0, signed.stderr
    assert oms_gate("verify", model, "--public-key", tmp_path / "token.pub").returncode == 0
    wrong = oms_gate("sign", model, "--key", uri, OMS_GATE_PKCS11_PIN="0000")
    assert wrong.returncode == 2
    assert "PIN" in wrong.stderr
    in_token = ("--key", uri, "--certificate", "token")
    bare = oms_gate("sign", model, *in_token, OMS_GATE_PKCS11_PIN=PIN)
    assert bare.returncode == 2
    assert "holds no certificate" in bare.stderr
    tokens.store_certificate("release", certificate, b"\x01")
    signed = oms_gate("sign", model, *in_token, OMS_GATE_PKCS11_PIN=PIN)
    assert signed.returncode == 0, signed.stderr
    assert oms_gate("verify", model, "--certificate-root", tmp_path / "root.pem").returncode == 0


def test_an_expired_certificate_with_a_timestamp(model: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    root = forge.issue("root", start=now - timedelta(9), end=now + timedelta(9))
    leaf = forge.issue_leaf("we", root, start=now - timedelta(9), end=now - timedelta(5))
    bundle = forge.certificate_bundle(forge.encode(forge.statement(dict(models.FILES))), leaf)
    authority = TimestampAuthority.make()
    stamp(bundle, authority, now - timedelta(7))
    (model / "model.sig").write_bytes(forge.encode(bundle))
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "tsa.pem").write_bytes(authority.root_pem)
    trusting = ("--certificate-root", tmp_path / "root.pem")
    denied = oms_gate("verify", model, *trusting)
    assert denied.returncode == 1
    assert ReasonCode.CERTIFICATE_EXPIRED in denied.stdout
    stamped = ("--timestamp-authority", tmp_path / "tsa.pem")
    admitted = oms_gate("verify", model, *trusting, *stamped)
    assert admitted.returncode == 0, admitted.stdout
    assert "its certificate expired at" in admitted.stdout
    alone = oms_gate("verify", model, *stamped)
    assert alone.returncode == 2
    assert "by key or certificate" in alone.stderr
