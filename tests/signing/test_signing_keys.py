"""Signing keys and certificates load from files, or say in a sentence why not."""

from __future__ import annotations

import logging
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms import dsse
from oms_gate.oms.sign import payload_of, sign_with_certificate
from oms_gate.signing.keys import (
    CurveName,
    generate_key,
    load_certificates,
    load_private_key,
    write_key_pair,
)
from tests.oms import forge

CURVES: tuple[CurveName, ...] = get_args(CurveName)


def private_pem(
    key: Any, passphrase: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8
) -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return pem


def labelled(value: object) -> str:
    """Names of cases without the keys in them, which differ from one process to the next."""
    return value if isinstance(value, str) else "file"


def put(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "file.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("passphrase", [None, b"a passphrase"])
def test_private_keys_load(
    tmp_path: Path, curve: CurveName, form: PrivateFormat, passphrase: bytes | None
) -> None:
    key = generate_key(curve)
    path = put(tmp_path, private_pem(key, passphrase, form))
    loaded = load_private_key(path, passphrase)
    assert loaded.public_key() == key.public_key()
    assert dsse.is_supported(loaded.public_key())


def test_a_key_as_openssl_writes_it_loads(tmp_path: Path) -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = generate_key("P-256")
    pem = parameters + private_pem(key, form=PrivateFormat.TraditionalOpenSSL)
    assert load_private_key(put(tmp_path, pem), None).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("pem", "passphrase", "says"),
    [
        (b"", None, "exactly one private key .* no PEM at all"),
        (forge.public_pem(forge.key()), None, "is a public key; name"),
        (forge.issue("root").pem, None, "is a certificate; name"),
        (private_pem(forge.key(), form=PrivateFormat.OpenSSH), None, "ssh-keygen -p -m PKCS8"),
        (private_pem(forge.rsa_key(2048)), None, "is of the kind RSA, but .* keygen"),
        (
            private_pem(forge.rsa_key(2048), form=PrivateFormat.TraditionalOpenSSL),
            None,
            "is an RSA key, but .* keygen",
        ),
        (private_pem(ed25519.Ed25519PrivateKey.generate()), None, "is of the kind Ed25519, but"),
        (private_pem(forge.key("small", ec.SECP224R1)), None, "is on secp224r1, but .* P-256"),
        (private_pem(forge.key("other", ec.SECP256K1)), None, "is on secp256k1, but"),
        (private_pem(forge.key()) * 2, None, "exactly one private key .* 2 parts"),
        (private_pem(forge.key()) + forge.issue("root").pem, None, "exactly one .* 2 parts"),
        (private_pem(forge.key(), b"right"), None, "is encrypted; give its passphrase"),
        (private_pem(forge.key(), b"right"), b"", "is encrypted; give its passphrase"),
        (private_pem(forge.key(), b"right"), b"wrong", "cannot be opened with this passphrase"),
        (
            private_pem(forge.key(), b"right", PrivateFormat.TraditionalOpenSSL),
            None,
            "is encrypted; give its passphrase",
        ),
        (private_pem(forge.key()), b"needless", "is not encrypted, but a passphrase was given"),
        (private_pem(forge.key())[:60] + b"\n-----END PRIVATE KEY-----\n", None, "is damaged"),
        (private_pem(forge.key())[:60], None, "is damaged"),
        (b"\0" * (4 * 1024 * 1024 + 1), None, "larger than 4 MiB"),
    ],
    ids=labelled,
)
def test_other_private_keys_are_refused(
    tmp_path: Path, pem: bytes, passphrase: bytes | None, says: str
) -> None:
    path = put(tmp_path, pem)
    with pytest.raises(ConfigError, match=f"^the private key {path} .*{says}") as caught:
        load_private_key(path, passphrase)
    message = str(caught.value)
    assert "\n" not in message
    assert "wrong" not in message
    assert "needless" not in message


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=f"the private key {path} cannot be read: "):
            load_private_key(path, None)
        with pytest.raises(ConfigError, match=f"the certificate {path} cannot be read: "):
            load_certificates([path])


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path = put(tmp_path, private_pem(forge.key()), mode)
    with caplog.at_level(logging.WARNING):
        load_private_key(path, None)
    open_to_others = [f"(mode {mode:04o})" in record.getMessage() for record in caplog.records]
    assert open_to_others == ([True] if mode & 0o077 else [])


def test_a_public_key_is_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = put(tmp_path, forge.public_pem(forge.key()), 0o644)
    with pytest.raises(ConfigError, match="is a public key"):
        load_private_key(path, None)
    assert caplog.messages == []


def test_a_key_that_everybody_can_change_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, private_pem(forge.key()), 0o602)
    with pytest.raises(ConfigError, match=r"changed by every user .*mode 0602"):
        load_private_key(path, None)


def test_a_key_comes_through_a_pipe_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, private_pem(forge.key()))
    os.close(writing)
    with os.fdopen(reading):
        loaded = load_private_key(Path(f"/dev/fd/{reading}"), None)
    assert loaded.public_key() == forge.key().public_key()


def test_certificates_load_in_order(tmp_path: Path) -> None:
    root = forge.issue("root")
    middle = forge.issue("middle", root)
    leaf = forge.issue_leaf("leaf", middle)
    paths = [tmp_path / name for name in ("leaf.pem", "others.pem")]
    paths[0].write_bytes(b"The signer.\n" + leaf.pem)
    paths[1].write_bytes(middle.pem + root.pem)
    chain = load_certificates(paths)
    assert chain == (leaf.certificate, middle.certificate, root.certificate)
    manifest = forge.checked(forge.signed(forge.statement())).manifest
    data = sign_with_certificate(payload_of(manifest, "m"), leaf.private_key, chain)
    assert forge.checked(data, forge.anchored(root)).signer.identity == "CN=leaf"


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "holds no PEM at all"),
        (forge.public_pem(forge.key()), "holds a PUBLIC KEY"),
        (private_pem(forge.key()), "beside a private key"),
        (forge.issue("root").pem + private_pem(forge.key()), "beside a private key"),
        (forge.issue("root").pem + private_pem(forge.key(), b"p"), "beside a private key"),
        (forge.issue("root").pem + forge.public_pem(forge.key()), "holds 2 parts"),
        (forge.issue("root").pem[:200], "is damaged"),
        (forge.issue("root").pem + forge.issue("root").pem[:200], "is damaged"),
        (forge.issue("root").pem.replace(b"MII", b"MIH"), "is damaged"),
    ],
    ids=labelled,
)
def test_other_certificates_are_refused(tmp_path: Path, pem: bytes, says: str) -> None:
    path = put(tmp_path, pem, 0o644)
    with pytest.raises(ConfigError, match=f"^the certificate {path} .*{says}") as caught:
        load_certificates([path])
    assert "\n" not in str(caught.value)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("passphrase", [None, b"a passphrase"])
def test_a_key_pair_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_umask: None,
    curve: CurveName,
    passphrase: bytes | None,
) -> None:
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_ino, stat.S_IMODE(status.st_mode)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    key = generate_key(curve)
    private, public = tmp_path / "key", tmp_path / "key.pub"
    write_key_pair(private, public, key, passphrase)
    assert load_private_key(private, passphrase).public_key() == key.public_key()
    assert load_pem_public_key(public.read_bytes()) == key.public_key()
    assert (b"BEGIN ENCRYPTED PRIVATE KEY" in private.read_bytes()) is (passphrase is not None)
    modes = {private: 0o600, public: 0o644, tmp_path: stat.S_IMODE(tmp_path.stat().st_mode)}
    assert {(path.stat().st_ino, mode) for path, mode in modes.items()} == set(synced)


@pytest.mark.parametrize("taken", ["key", "key.pub"])
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_no_file_is_overwritten(tmp_path: Path, taken: str, kind: str) -> None:
    path = tmp_path / taken
    if kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"precious")
    before = tmp_path.stat().st_mtime_ns
    with pytest.raises(ConfigError, match=f"{taken} is there already"):
        write_key_pair(tmp_path / "key", tmp_path / "key.pub", generate_key("P-256"), None)
    assert list(tmp_path.iterdir()) == [path]
    # Nor was a private key there for a moment.
    assert tmp_path.stat().st_mtime_ns == before
    assert kind != "file" or path.read_bytes() == b"precious"


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    key, private = generate_key("P-256"), tmp_path / "key"
    with pytest.raises(ConfigError, match=r"key\.pub cannot be written: No such file"):
        write_key_pair(private, tmp_path / "no folder" / "key.pub", key, None)
    with pytest.raises(ConfigError, match="key is there already"):
        write_key_pair(private, private, key, None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ConfigError, match="key cannot be written: File too large"):
            write_key_pair(private, tmp_path / "key.pub", key, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1024])
def test_passphrases_that_protect_nothing_are_refused(tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(UsageError, match=f"from 1 to 1023 bytes, but has {len(passphrase)}"):
        write_key_pair(tmp_path / "key", tmp_path / "pub", generate_key("P-256"), passphrase)
    assert list(tmp_path.iterdir()) == []
    write_key_pair(tmp_path / "key", tmp_path / "pub", generate_key("P-256"), b"x" * 1023)
