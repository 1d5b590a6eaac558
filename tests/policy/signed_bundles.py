"""Bundles as OPA builds and signs them, and as somebody else would like them to be."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from oms_gate.policy.bundle import Bundle

POLICY = """package oms_gate.admission
decision := {"allow": true, "annotations": {"r": data.mark}}
"""


@dataclass(frozen=True)
class Pair:
    """A key pair in two files."""

    secret: Any
    secret_file: Path
    public_file: Path

    @classmethod
    def make(cls, folder: Path, name: str, secret: Any = None) -> Pair:
        secret = secret or ec.generate_private_key(ec.SECP256R1())
        secret_file, public_file = folder / f"{name}.key", folder / f"{name}.pub"
        secret_file.write_bytes(
            secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        public_file.write_bytes(
            secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        return cls(secret, secret_file, public_file)

    @property
    def algorithm(self) -> str:
        if isinstance(self.secret, rsa.RSAPrivateKey):
            return "RS256"
        return {256: "ES256", 384: "ES384", 521: "ES512"}[self.secret.key_size]


def build_bundle(
    opa: Path, folder: Path, pair: Pair | None, *options: str, data: str = '{"mark": "1"}'
) -> bytes:
    """What ``opa build`` makes of a small policy."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "policy.rego").write_text(POLICY)
    (source / "data.json").write_text(data)
    target = folder / "bundle.tar.gz"
    command = [str(opa), "build", "-t", "wasm", "-e", "oms_gate/admission/decision", "-b", "."]
    if pair is not None:
        options = (
            *options,
            "--signing-alg",
            pair.algorithm,
            "--signing-key",
            str(pair.secret_file),
        )
    run = subprocess.run(
        [*command, *options, "-o", str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return target.read_bytes()


def files_of(bundle: bytes) -> dict[str, bytes]:
    """Its files by their paths."""
    return dict(Bundle.from_bytes(bundle, "the bundle").files)


def packed(files: Mapping[str, bytes]) -> bytes:
    """A bundle of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def payload_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the signature of a bundle states."""
    token = json.loads(files[".signatures.json"])["signatures"][0]
    stated: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return stated


def with_token(files: Mapping[str, bytes], *tokens: str, **more: object) -> dict[str, bytes]:
    """The same files with another signature."""
    signatures = json.dumps({"signatures": tokens, **more}).encode()
    return {**files, ".signatures.json": signatures}
