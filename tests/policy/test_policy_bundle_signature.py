"""Signed bundles of OPA, and what may not pass for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from oms_gate.errors import ConfigError
from oms_gate.limits import Limits
from oms_gate.policy.bundle import Bundle
from oms_gate.policy.bundle_signature import BundleKey, check_signature
from oms_gate.policy.wasm import WasmEngine
from tests.policy.signed_bundles import Pair, build_bundle, files_of, packed, payload_of, with_token

# What Go and Python write differently, if one does not look.
DATA = (
    '{"mark": "1", "b": [1.0, 1e3, -0, 1E+2, 12345678901234567890, 0.10, null, true, false],\n'
    ' "a": {"\\u00e9<>&": "\\u2028\\u2029\\b\\f\\n\\t\\u0001\\u007f\\"\\\\/\\ud83d\\ude00",'
    ' "": {}, "Z": [], "a": [[]]}}'
)
Keys = Callable[[str], Pair]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    made: dict[str, Pair] = {}
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}

    def pair(kind: str) -> Pair:
        if kind not in made:
            if kind == "RS256":
                secret: Any = rsa.generate_private_key(65537, 2048)
            else:
                secret = ec.generate_private_key(curves.get(kind, ec.SECP256R1()))
            made[kind] = Pair.make(folder, kind, secret)
        return made[kind]

    return pair


@pytest.fixture(scope="module")
def files(opa: Path, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of a bundle that OPA signed with the key "ES256"."""
    folder = tmp_path_factory.mktemp("bundle")
    return files_of(build_bundle(opa, folder, keys("ES256"), "--revision", "7", data=DATA))


def _check(files: dict[str, bytes], pair: Pair, scope: str = "") -> None:
    key = BundleKey.from_pem(pair.public_file.read_bytes(), "the key")
    check_signature(Bundle.from_bytes(packed(files), "the bundle"), key, scope)


def _signed(bundle: dict[str, bytes], pair: Pair, /, **changes: object) -> dict[str, bytes]:
    """Validly signed, but stating something else."""
    stated = {**payload_of(bundle), **changes}
    return with_token(bundle, jwt.encode(stated, pair.secret, pair.algorithm))


@pytest.mark.parametrize("kind", ["RS256", "ES384", "ES512"])
def test_what_opa_signs(opa: Path, keys: Keys, tmp_path: Path, kind: str) -> None:
    _check(files_of(build_bundle(opa, tmp_path, keys(kind), data=DATA)), keys(kind))


def test_a_signed_bundle_decides(files: dict[str, bytes], keys: Keys) -> None:
    _check(files, keys("ES256"))
    bundle = Bundle.from_bytes(packed(files), "the bundle")
    engine = WasmEngine.from_bundle(bundle, {}, Limits())
    decision = engine.decide({})
    engine.close()
    assert decision.annotations == {"r": "1"}
    assert decision.revision == engine.revision
    assert engine.revision.startswith("7@sha256:")


def test_signed_by_opa_sign_with_a_scope(
    opa: Path, files: dict[str, bytes], keys: Keys, tmp_path: Path
) -> None:
    source = tmp_path / "unpacked"
    source.mkdir()
    for name in files.keys() - {".signatures.json"}:
        content = files[name]
        (source / name).write_bytes(content)
    (tmp_path / "claims.json").write_text('{"scope": "production", "iss": "me"}')
    pair = keys("ES256")
    command = [str(opa), "sign", "-b", ".", "--signing-alg", "ES256"]
    command += ["--signing-key", str(pair.secret_file), "--claims-file", "../claims.json"]
    subprocess.run(command, cwd=source, check=True)
    signed = {**files, ".signatures.json": (source / ".signatures.json").read_bytes()}
    _check(signed, pair, "production")
    for scope in ("", "test"):
        with pytest.raises(ConfigError, match="scope 'production'"):
            _check(signed, pair, scope)


Attack = Callable[[dict[str, bytes], Keys], dict[str, bytes]]


def _without(name: str) -> Attack:
    return lambda files, _: {other: files[other] for other in files if other != name}


def _none(files: dict[str, bytes], _: Keys) -> dict[str, bytes]:
    return with_token(files, jwt.encode(payload_of(files), "", "none"))


def _hmac_with_the_public_key(files: dict[str, bytes], keys: Keys) -> dict[str, bytes]:
    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    secret = keys("ES256").public_file.read_bytes()
    head = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(payload_of(files)).encode())
    return with_token(
        files, (head + b"." + part(hmac.digest(secret, head, hashlib.sha256))).decode()
    )


def _weakly_digested(files: dict[str, bytes], keys: Keys) -> dict[str, bytes]:
    listed = payload_of(files)["files"]
    for file in listed:
        if file["name"] == "policy.wasm":
            digest = hashlib.new("md5", files["policy.wasm"], usedforsecurity=False).hexdigest()
            file.update(algorithm="MD5", hash=digest)
    return _signed(files, keys("ES256"), files=listed)


def _twice(files: dict[str, bytes], keys: Keys) -> dict[str, bytes]:
    listed = payload_of(files)["files"]
    return _signed(files, keys("ES256"), files=[*listed, {**listed[0], "hash": "00"}])


def _two_signatures(files: dict[str, bytes], _: Keys) -> dict[str, bytes]:
    token = json.loads(files[".signatures.json"])["signatures"][0]
    return with_token(files, token, token)


def _plugin(files: dict[str, bytes], _: Keys) -> dict[str, bytes]:
    token = json.loads(files[".signatures.json"])["signatures"][0]
    return with_token(files, token, plugin="custom")


ATTACKS: dict[str, tuple[Attack, str]] = {
    "unsigned": (_without(".signatures.json"), "it is not signed"),
    "module changed": (
        lambda files, _: {**files, "policy.wasm": files["policy.wasm"] + b"\0"},
        "'policy.wasm' was changed",
    ),
    "data changed": (
        lambda files, _: {**files, "data.json": files["data.json"].replace(b'"1"', b'"2"')},
        "'data.json' was changed",
    ),
    "a number written otherwise": (
        lambda files, _: {**files, "data.json": files["data.json"].replace(b"1e3", b"1000")},
        "'data.json' was changed",
    ),
    "a key twice": (
        lambda files, _: {**files, "data.json": b'{"mark": "2", ' + files["data.json"][1:]},
        "'data.json' is not JSON",
    ),
    "revision changed": (
        lambda files, _: {**files, ".manifest": files[".manifest"].replace(b'"7"', b'"8"')},
        "'.manifest' was changed",
    ),
    "manifest removed": (_without(".manifest"), "'.manifest' is not there"),
    "file added": (lambda files, _: {**files, "x/data.json": b"{}"}, "nobody signed"),
    "signatures below": (lambda files, _: {**files, "x/.signatures.json": b"{}"}, "nobody signed"),
    "file removed": (_without("policy.rego"), "'policy.rego' is not there"),
    "another key": (lambda files, keys: _signed(files, keys("other")), "not by this key"),
    "another curve": (lambda files, keys: _signed(files, keys("ES384")), "not by an algorithm"),
    "no algorithm": (_none, "not by an algorithm"),
    "the public key as a secret": (_hmac_with_the_public_key, "not by an algorithm"),
    "a weak digest": (_weakly_digested, "'MD5', which does not count"),
    "a name twice": (_twice, "is in its signature twice"),
    "two signatures": (_two_signatures, "exactly one"),
    "a plugin": (_plugin, "exactly one"),
    "no token": (lambda files, _: with_token(files, "x"), "not by this key"),
    "no list": (lambda files, keys: _signed(files, keys("ES256"), files=1), "not a list of files"),
    "no JSON": (lambda files, _: {**files, ".signatures.json": b"["}, "not as OPA writes it"),
}


@pytest.mark.parametrize(("attack", "words"), ATTACKS.values(), ids=ATTACKS)
def test_attacks_on_a_signed_bundle(
    files: dict[str, bytes], keys: Keys, attack: Attack, words: str
) -> None:
    with pytest.raises(ConfigError, match="the bundle is refused") as caught:
        _check(attack(files, keys), keys("ES256"))
    assert words in str(caught.value)
    _check(_signed(files, keys("ES256")), keys("ES256"))


def _members(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member)
    return out.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "policy.wasm"
    return member


@pytest.mark.parametrize(
    "member",
    [
        *(_member(name) for name in ("../x", "a/../x", "a//x", "./x", "/../x", "a\\x", "")),
        _member("policy.wasm", tarfile.SYMTYPE),
        _member("policy.wasm", tarfile.LNKTYPE),
        _member("policy.wasm", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name!r}{member.type!r}",
)
def test_names_that_are_not_plain(member: tarfile.TarInfo) -> None:
    with pytest.raises(ConfigError, match="plain name"):
        Bundle.from_bytes(_members(member), "the bundle")


def test_a_file_twice() -> None:
    content = _members(_member("/policy.wasm"), _member("policy.wasm"))
    with pytest.raises(ConfigError, match=re.escape("'policy.wasm' twice")):
        Bundle.from_bytes(content, "the bundle")


@pytest.mark.parametrize("name", ["acme/data.json", "data.yaml", "acme/rules/data.yml"])
def test_data_elsewhere_than_the_gate_looks(files: dict[str, bytes], name: str) -> None:
    """OPA heeds it in a bundle that it has not built; rules in it must not be lost in silence."""

    def engine(path: str) -> WasmEngine:
        bundle = Bundle.from_bytes(packed({**files, path: b"{}"}), "the bundle")
        return WasmEngine.from_bundle(bundle, {}, Limits())

    with pytest.raises(ConfigError, match=f"has data in '{name}', which would not be heeded"):
        engine(name)
    engine(f"{name}.md").close()


def test_keys_that_cannot_be_used(tmp_path: Path, keys: Keys) -> None:
    weak = Pair.make(tmp_path, "weak", rsa.generate_private_key(65537, 1024))
    curve = Pair.make(tmp_path, "curve", ec.generate_private_key(ec.SECP256K1()))
    goldilocks = Pair.make(tmp_path, "ed448", ed448.Ed448PrivateKey.generate())
    for pair in (weak, curve, goldilocks):
        with pytest.raises(ConfigError, match="cannot be used for bundles"):
            BundleKey.from_pem(pair.public_file.read_bytes(), "the key")
    for pem in (b"", b"secret", keys("ES256").secret_file.read_bytes()):
        with pytest.raises(ConfigError, match=re.escape("not a public key in PEM")):
            BundleKey.from_pem(pem, "the key")
